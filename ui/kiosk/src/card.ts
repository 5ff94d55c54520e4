/**
 * What the large card says: where, what, do now, with a drawing.
 *
 * Pure: a trouble or a next action in, words out. The bottom bar and the card share it, so they
 * cannot contradict each other.
 */
import type { LostReason } from './link';
import type { Next } from './next';
import type { Act, Trouble } from './view';
import type { Words } from './words/words';

export type DrawingName = Act | 'place_boards' | 'order_done' | 'no_answer';

/** The bottom bar: an action that must be taken, nothing to do, a fault, or nobody knows. */
export type BarTone = 'must' | 'rest' | 'fault' | 'lost';

export interface Card {
  drawing: DrawingName;
  /** The slots it is about, as on the fixture; empty when it is about none. */
  slots: string;
  /** Where, or why, in words. */
  where: string;
  /** What happened; empty when nothing is wrong. */
  what: string;
  /** The one thing to do. */
  act: string;
  /** For the telephone. */
  small: string;
}

/** `slot` is where it is shown; a station's trouble has none. */
export function troubleCard(trouble: Trouble, slot: number | undefined, words: Words): Card {
  return {
    drawing: trouble.act,
    slots: slot === undefined ? '' : String(slot),
    // A unit with several chips: which of them.
    where: slot === undefined ? words.wholeStation : (trouble.chip ?? ''),
    what: words.trouble[trouble.code],
    act: words.act[trouble.act].sentence,
    small: [`${words.code} ${trouble.code}`, words.blame[trouble.blame], words.incident(trouble.incident)].join(' · '),
  };
}

/** The next action in two lines, as it stands in the bottom bar. */
export function nextCard(next: Next, words: Words): Card {
  const plain = { slots: '', where: '', what: '', small: '' };
  switch (next.what) {
    case 'act':
      return {
        ...plain,
        drawing: next.act,
        slots: slotList(next.slots, words),
        act: words.act[next.act].sentence,
      };
    case 'take_out':
      return {
        ...plain,
        drawing: 'remove_board',
        slots: slotList(next.slots, words),
        act: words.next.takeOut,
      };
    case 'place_boards':
      return {
        ...plain,
        drawing: 'place_boards',
        slots: slotList(next.slots, words),
        act: words.next.placeBoards,
      };
    case 'order_done':
      return { ...plain, drawing: 'order_done', where: words.next.orderDone, act: words.next.orderDoneThen };
    case 'await_release':
      return {
        ...plain,
        drawing: 'wait_for_station',
        where: words.next.awaitReleaseWhy,
        act: words.next.awaitRelease,
      };
    case 'wait':
      return { ...plain, drawing: 'wait_for_station', where: words.next.waitWhy, act: words.next.wait };
  }
}

/**
 * Nobody knows how the boards are: what to do meanwhile. `titled`: the screen says elsewhere what
 * is wrong, so only the advice is left.
 */
export function lostCard(reason: LostReason, titled: boolean, words: Words): Card {
  const { title, sentence } = words.lost[reason];
  const card = { drawing: 'no_answer', slots: '', what: '', small: '' } as const;
  return titled ? { ...card, where: '', act: sentence } : { ...card, where: sentence, act: title };
}

/** Runs of three and more neighbours are shortened: 1–4, 7. */
export function slotList(slots: number[], words: Words): string {
  const runs: number[][] = [];
  for (const slot of [...slots].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.at(-1) === slot - 1) last.push(slot);
    else runs.push([slot]);
  }
  return runs
    .map((run) => (run.length > 2 ? `${run[0]}–${run.at(-1)}` : run.join(words.listSeparator)))
    .join(words.listSeparator);
}
