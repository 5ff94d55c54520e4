/**
 * Who is at the station, in words: the badge's key in the header, the messages of the PIN pad, and
 * what a lead's key on a card says.
 *
 * Pure. Decides nothing: whether an act is done, the daemon says.
 */
import type { LeadAct, OperatorView, PeopleView, Wish } from './view';
import { spanOf, type PersonWord, type Words } from './words/words';

export interface Badge {
  title: string;
  detail: string;
  /** `odd` asks for something: a badge, a PIN, patience. */
  tone: 'calm' | 'odd';
  in: boolean;
}

/** The badge's key; nothing where no people are kept. */
export function badgeOf(people: PeopleView, words: Words): Badge | undefined {
  if (!people.kept) return undefined;
  const { operator } = people;
  if (operator == null) return { title: words.people.nobody, detail: words.people.scanBadge, tone: 'odd', in: false };
  const title = words.people.number(operator.number);
  const role = words.people.role[operator.role];
  const wait = waitOf(operator, words);
  if (wait !== undefined) return { title, detail: wait, tone: 'odd', in: true };
  if (mayProve(operator)) return { title, detail: words.people.pinWanted, tone: 'calm', in: true };
  return { title, detail: words.people.role[operator.rights] === role ? role : words.people.role.worker, tone: 'calm', in: true };
}

/** Whether a PIN would give them more than they have. */
export function mayProve(operator: OperatorView): boolean {
  return operator.has_pin && operator.role !== 'worker' && operator.rights === 'worker' && !operator.hub_away;
}

/** How long no PIN may be entered, in words; nothing when one may be. */
export function waitOf(operator: OperatorView, words: Words): string | undefined {
  const { wait_s: wait, locked } = operator;
  if (wait == null) return undefined;
  return locked || wait > 120 ? words.people.lockedFor(spanOf(wait + 59, words)) : words.people.waits(wait);
}

/** What an answer says; a newer daemon may know more words than this page. */
export function answerOf(word: string, words: Words): string {
  return Object.hasOwn(words.people.answer, word) ? words.people.answer[word as PersonWord] : words.people.noAnswer;
}

/** A lead's key on a slot's card. */
export interface LeadKey {
  label: string;
  /** Whether who is in may press it; else the card says who may. */
  open: boolean;
}

export function leadKey(act: LeadAct, people: PeopleView, words: Words): LeadKey {
  const label = {
    approve_chip: act.kind === 'approve_chip' ? words.people.approveChip(act.chip) : '',
    approve_erase: words.people.approveErase,
    open_slot: words.people.openSlot,
  }[act.kind];
  return { label, open: !people.kept || people.operator?.rights === 'lead' };
}

/** What to ask the station for; opening a slot is no approval. */
export function wishOf(act: LeadAct, slot: number): Wish | undefined {
  switch (act.kind) {
    case 'approve_chip':
      return { kind: 'unproven', chip: act.chip, way: act.way };
    case 'approve_erase':
      return { kind: 'unlock', slot };
    case 'open_slot':
      return undefined;
  }
}
