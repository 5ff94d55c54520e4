/**
 * What a hand scanner types, read as one scan.
 *
 * Owns the collecting of keystrokes between two Enter keys and the four prefixes. Time comes in as
 * an argument. A scan selects and never configures: what it means is the daemon's decision.
 *
 * Promise: whatever arrives ends as a scan or as a named refusal, never as nothing.
 */
export const SCAN_BYTES_MAX = 256;
/** A scanner types a character every 5 to 50 ms; after this pause the rest is not coming. */
export const SCAN_PAUSE_MS = 1500;

export type ScanKind = 'order' | 'operator' | 'serial' | 'bin';
export type ScanRefusal = 'empty' | 'too_long' | 'damaged' | 'unknown_prefix' | 'incomplete';
export type ScanRead =
  | { kind: ScanKind; text: string }
  | { kind: 'refused'; why: ScanRefusal; text: string };

const KIND_OF_PREFIX: Record<string, ScanKind> = {
  'WO:': 'order',
  'OP:': 'operator',
  'SN:': 'serial',
  'BIN:': 'bin',
};

export function readScan(raw: string): ScanRead {
  const text = raw.trim();
  const refused = (why: ScanRefusal): ScanRead => ({ kind: 'refused', why, text });
  if (text === '') return refused('empty');
  if (new TextEncoder().encode(text).length > SCAN_BYTES_MAX) return refused('too_long');
  if (/[\p{Cc}\p{Cs}\uFFFD]/u.test(text)) return refused('damaged');
  const [prefix, rest] = [text.slice(0, text.indexOf(':') + 1), text.slice(text.indexOf(':') + 1)];
  const kind = KIND_OF_PREFIX[prefix];
  if (kind === undefined) return refused('unknown_prefix');
  if (rest.trim() === '') return refused('damaged');
  return { kind, text };
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
      const typed = this.#typed;
      this.#typed = '';
      return { taken: true, scan: readScan(typed) };
    }
    if ([...key].length !== 1 || (key === ' ' && !this.begun)) return { taken: false };
    // Enough is kept to know that the scan was too long, never more.
    if (this.#typed.length <= SCAN_BYTES_MAX) this.#typed += key;
    this.#lastMs = nowMs;
    return { taken: true };
  }

  /** Ends a scan whose Enter never came. */
  expire(nowMs: number): ScanRead | undefined {
    if (!this.begun || nowMs - this.#lastMs < SCAN_PAUSE_MS) return undefined;
    const text = this.#typed;
    this.#typed = '';
    return { kind: 'refused', why: 'incomplete', text };
  }
}
