/**
 * What a hand scanner types, collected into scans.
 *
 * Owns the collecting of keystrokes between two Enter keys. Time comes in as an argument. Which
 * label a scan is, and what it means, is the daemon's decision.
 *
 * Promise: whatever arrives ends as a scan or as half of one, never as nothing.
 */
export const SCAN_BYTES_MAX = 256;
/** A scanner types a character every 5 to 50 ms; after this pause the rest is not coming. */
export const SCAN_PAUSE_MS = 1500;

export interface ScanRead {
  text: string;
  /** False when its Enter never came: it is not sent, because half an order's number is another's. */
  whole: boolean;
}

/** Collects the keystrokes of a keyboard-wedge scanner. */
export class Wedge {
  #typed = '';
  #lastMs = 0;

  /** Whether a scan has begun: then Enter and Space belong to it, not to a focused button. */
  get begun(): boolean {
    return this.#typed !== '';
  }

  /** Takes one key as the browser names it. A whole scan comes back once Enter ends it. */
  key(key: string, nowMs: number): { taken: boolean; scan?: ScanRead } {
    if (key === 'Enter') {
      if (!this.begun) return { taken: false };
      const text = this.#typed;
      this.#typed = '';
      return { taken: true, scan: { text, whole: true } };
    }
    if ([...key].length !== 1 || (key === ' ' && !this.begun)) return { taken: false };
    // Enough is kept for the station to see that the scan was too long, never more.
    if (this.#typed.length <= SCAN_BYTES_MAX) this.#typed += key;
    this.#lastMs = nowMs;
    return { taken: true };
  }

  /** Ends a scan whose Enter never came. */
  expire(nowMs: number): ScanRead | undefined {
    if (!this.begun || nowMs - this.#lastMs < SCAN_PAUSE_MS) return undefined;
    const text = this.#typed;
    this.#typed = '';
    return { text, whole: false };
  }
}
