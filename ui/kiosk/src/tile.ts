/**
 * One slot's view as a tile: which word, picture and tone, and the small print.
 *
 * Pure: a slot and a language in, text out. Owns the grid's shape too, because the tiles lie on
 * the screen as the slots lie in the fixture.
 */
import type { SlotState, SlotView } from './view';
import type { Words } from './words/words';

/** IEC 60073 meanings: good = green, bad = red, odd = yellow; the rest is grey and white. */
export type Tone = 'empty' | 'working' | 'good' | 'bad' | 'odd' | 'closed' | 'unknown';

export type IconName =
  | 'empty' | 'contact' | 'reading' | 'flashing' | 'verifying' | 'activating' | 'testing'
  | 'recording' | 'pass' | 'seen_before' | 'fail' | 'closed' | 'unknown';

export interface Tile {
  number: number;
  word: string;
  icon: IconName;
  tone: Tone;
  /** One short line under the word; empty where the word says it all. */
  detail: string;
  /** The activation code, once there is one; shown where there is room. */
  code: string | undefined;
  /** 0..=100 while something runs whose length is known. */
  percent: number | undefined;
  /** A fresh PASS fills the tile, then settles. */
  fresh: boolean;
  /** A touch says that a board is in here, or takes that back. */
  looks: boolean;
}

/** How long a new PASS fills its tile. */
export const FRESH_MS = 4000;

const TONE: Record<SlotState, Tone> = {
  empty: 'empty',
  contact: 'working',
  reading: 'working',
  flashing: 'working',
  verifying: 'working',
  activating: 'working',
  testing: 'working',
  recording: 'working',
  pass: 'good',
  seen_before: 'odd',
  fail: 'bad',
  closed: 'closed',
};

/** `ageMs`: how old the view is on the page's own clock. */
export function tileOf(slot: SlotView, words: Words, ageMs: number): Tile {
  const tone = TONE[slot.state];
  return {
    number: slot.number,
    word: words.state[slot.state],
    icon: slot.state,
    tone,
    detail: detailOf(slot, tone, words),
    code: (tone === 'good' || tone === 'odd') && slot.code != null ? slot.code : undefined,
    percent: tone === 'working' && slot.percent != null ? clampPercent(slot.percent) : undefined,
    fresh: slot.state === 'pass' && slot.since_ms + ageMs < FRESH_MS,
    looks: slot.can_look,
  };
}

/** A slot nobody has news of. */
export function unknownTile(number: number, words: Words): Tile {
  return {
    number,
    word: words.noNews,
    icon: 'unknown',
    tone: 'unknown',
    detail: '',
    code: undefined,
    percent: undefined,
    fresh: false,
    looks: false,
  };
}

function detailOf(slot: SlotView, tone: Tone, words: Words): string {
  switch (tone) {
    case 'working': {
      const parts = [];
      if (slot.percent != null) parts.push(`${clampPercent(slot.percent)} %`);
      if (slot.remaining_s != null) parts.push(words.secondsLeft(slot.remaining_s));
      return parts.join(' · ');
    }
    case 'good':
    case 'odd':
      return slot.uid_tail == null ? '' : words.chip(slot.uid_tail);
    case 'bad':
    case 'closed':
      return slot.trouble == null ? '' : `${slot.trouble.code} · ${words.act[slot.trouble.act].word}`;
    case 'empty':
      return slot.can_look ? words.boardInHere : '';
    case 'unknown':
      return '';
  }
}

function clampPercent(percent: number): number {
  return Math.max(0, Math.min(100, Math.round(percent)));
}

/** Columns and rows for a fixture: 1×1, 2×1, 2×2, 4×2, 4×4, then as square as it goes. */
export function gridOf(slots: number): { columns: number; rows: number } {
  const columns = slots <= 1 ? 1 : slots <= 4 ? 2 : slots <= 16 ? 4 : Math.ceil(Math.sqrt(slots));
  return { columns, rows: Math.max(1, Math.ceil(slots / columns)) };
}
