/**
 * Every word a screen can say, as a type: a language that lacks one does not compile.
 *
 * Sentences follow one pattern: what, where, do now. No jargon, no blame, no question the worker
 * cannot answer.
 */
import type { Act, Blame, OperatorRole, ScanKind, SlotState, TroubleCode } from '../view';
import type { LostReason } from '../link';

/** The words a `ScanAnswer` may carry. */
export type StationWord =
  | 'order_selected'
  | 'unknown_order'
  | 'not_a_scan'
  | 'empty'
  | 'too_long'
  | 'damaged'
  | 'incomplete'
  | 'doubled'
  | 'binned'
  | 'bin_unknown'
  | 'nothing_to_bin'
  | 'take_out_first'
  | 'signed_out'
  | 'nobody_in'
  | 'not_used_here'
  | 'not_recorded'
  | 'badged_in'
  | 'badge_replaced'
  | 'already_in'
  | 'badge_unknown'
  | 'badge_ended'
  | 'badge_disabled'
  | 'no_roster'
  | 'badge_first'
  | 'lead_needed'
  | 'hub_away';

/** The words that a person's act may be answered with. */
export type PersonWord =
  | 'pin_right'
  | 'pin_wrong'
  | 'pin_too_short'
  | 'pin_waits'
  | 'pin_locked'
  | 'no_pin'
  | 'badge_first'
  | 'lead_needed'
  | 'it_needed'
  | 'hub_away'
  | 'no_roster'
  | 'order_closed'
  | 'no_order'
  | 'not_recorded'
  | 'approved'
  | 'opened';

export interface Words {
  /** The language's own name, as shown on its key. */
  language: string;
  state: Record<SlotState, string>;
  /** A slot whose state nobody knows. */
  noNews: string;
  /** On an empty slot: what to do when a board is in it all the same. */
  boardInHere: string;
  /** What happened, for each trouble. */
  trouble: Record<TroubleCode, string>;
  /** What the hands do now: one or two words for a tile, one sentence for a card. */
  act: Record<Act, { word: string; sentence: string }>;
  blame: Record<Blame, string>;
  hub: {
    online: string;
    offline: string;
    connecting: string;
    notEnrolled: string;
    allThere: string;
    sending(records: number): string;
    safeHere(records: number): string;
    leaseFor(span: string): string;
    leaseOver: string;
    callIt: string;
  };
  lost: Record<LostReason, { title: string; sentence: string }>;
  connecting: { title: string; sentence: string };
  scan: {
    ready: string;
    sending: string;
    accepted: Record<ScanKind, string>;
    /** What the station answered: its stable words, in this language. */
    answer: Record<StationWord, string>;
    notAccepted: string;
    noAnswer: string;
    /** A scanner of the station is unplugged; which, where it has several. */
    gone(number: number | undefined): string;
  };
  people: {
    /** On the badge's key while nobody is in: what is so, what to do. */
    nobody: string;
    scanBadge: string;
    number(number: number): string;
    role: Record<OperatorRole, string>;
    /** Beside a lead's or IT's role while their PIN is not proven. */
    pinWanted: string;
    pinTitle: string;
    /** A key of the pad: takes the last digit back. */
    erase: string;
    enter: string;
    digits(count: number): string;
    out: string;
    closeOrder: string;
    /** Leads to the figures of the order. */
    figures: string;
    /** Leads to what a look over the station finds. */
    preflight: string;
    waits(seconds: number): string;
    lockedFor(span: string): string;
    answer: Record<PersonWord, string>;
    noAnswer: string;
    approveChip(chip: string): string;
    approveErase: string;
    openSlot: string;
    leadFirst: string;
  };
  next: {
    takeOut: string;
    placeBoards: string;
    orderDone: string;
    orderDoneThen: string;
    awaitRelease: string;
    awaitReleaseWhy: string;
    wait: string;
    waitWhy: string;
  };
  order: {
    none: string;
    noneThen: string;
    label(number: string): string;
    release(version: string): string;
    revision(revision: string): string;
    passed(passed: number, quantity: number): string;
    inWork(boards: number): string;
    codesShort(boards: number): string;
    /** Beside the takt ring: units of the last hour. */
    anHour(units: number): string;
    /** What the ring says to who cannot see it. */
    takt(passed: number, takt: number): string;
  };
  secondsLeft(seconds: number): string;
  chip(tail: string): string;
  incident(id: string): string;
  span(days: number, hours: number, minutes: number): string;
  /** Stands above a slot's number. */
  slot: string;
  wholeStation: string;
  code: string;
  close: string;
  chooseLanguage: string;
  /** Between short things of one kind, and between clauses. */
  listSeparator: string;
  clauseSeparator: string;
}

/** A stretch of time as its two largest parts that matter to a shift. */
export function spanOf(seconds: number, words: Words): string {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  const hours = Math.floor(minutes / 60);
  return words.span(Math.floor(hours / 24), hours % 24, minutes % 60);
}
