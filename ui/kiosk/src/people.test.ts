import { describe, expect, test } from 'vitest';
import { nextOf } from './next';
import { answerOf, badgeOf, leadKey, mayProve, waitOf, wishOf } from './people';
import { SAMPLE_PEOPLE, sampleSlot, sampleView } from './samples';
import { scanNote } from './scan-note';
import type { LeadAct, OperatorView, PeopleView } from './view';
import { en } from './words/en';
import { LANGUAGE_TAGS, LANGUAGES } from './words/languages';

const lead = SAMPLE_PEOPLE[3]!.operator as OperatorView;
const inside = (more: Partial<OperatorView>): PeopleView => ({ kept: true, operator: { ...lead, ...more } });

describe('the badge says who is in and what is wanted of them', () => {
  test('nothing where no people are kept, a demand while nobody is in', () => {
    expect(badgeOf({ kept: false, operator: null }, en)).toBeUndefined();
    expect(badgeOf({ kept: true, operator: null }, en)).toEqual({
      title: 'Nobody is in', detail: 'Scan badge', tone: 'odd', in: false,
    });
  });

  test('a lead is asked for the PIN until it is proven, and never while it is of no use', () => {
    expect(badgeOf(inside({}), en)).toMatchObject({ title: 'No. 12', detail: 'Enter PIN', tone: 'calm' });
    expect(badgeOf(inside({ rights: 'lead' }), en)?.detail).toBe('Lead');
    expect(badgeOf(inside({ hub_away: true }), en)?.detail).toBe('Worker');
    expect(badgeOf(inside({ has_pin: false }), en)?.detail).toBe('Worker');
    expect(badgeOf(inside({ role: 'worker' }), en)?.detail).toBe('Worker');
    for (const more of [{ rights: 'lead' }, { hub_away: true }, { has_pin: false }, { role: 'worker' }] as const) {
      expect(mayProve({ ...lead, ...more })).toBe(false);
    }
    expect(mayProve(lead)).toBe(true);
  });

  test('a wait counts seconds, a lock hours and minutes', () => {
    expect(waitOf({ ...lead, wait_s: 28 }, en)).toBe('Wait 28 s');
    expect(waitOf({ ...lead, wait_s: 43_200, locked: true }, en)).toBe('Locked for 12 h 0 m');
    expect(waitOf({ ...lead, wait_s: 30, locked: true }, en)).toBe('Locked for 1 m');
    expect(waitOf(lead, en)).toBeUndefined();
    expect(badgeOf(inside({ wait_s: 3 }), en)?.tone).toBe('odd');
  });

  test('every sample has a badge in every language', () => {
    for (const tag of LANGUAGE_TAGS) {
      const said = SAMPLE_PEOPLE.slice(1).map((people) => badgeOf(people, LANGUAGES[tag]));
      expect(said.every((badge) => badge !== undefined && badge.title !== '' && badge.detail !== '')).toBe(true);
    }
  });
});

describe('a badge comes before boards', () => {
  test('whoever is needed, the one next thing says so', () => {
    const view = { ...sampleView([sampleSlot(1, 'empty')]), people: { kept: true, operator: null } };
    expect(nextOf(view)).toEqual({ what: 'act', act: 'scan_badge', slots: [] });
    expect(nextOf({ ...view, people: inside({}) }).what).toBe('place_boards');
    expect(nextOf({ ...view, people: { kept: false, operator: null } }).what).toBe('place_boards');
  });

  test("a badge's text is never shown", () => {
    for (const last of [
      { step: 'sent', text: 'OP:4711' },
      { step: 'answered', text: '4711', answer: { accepted: true, word: 'badged_in', kind: 'operator', code: null, slot: null } },
      { step: 'answered', text: ']Q1OP:4711', answer: { accepted: false, word: 'damaged', kind: null, code: 'F-81', slot: null } },
      { step: 'unanswered', text: 'OP:4711' },
    ] as const) {
      expect(JSON.stringify(scanNote(last, [], en))).not.toContain('4711');
    }
  });
});

describe("a lead's key asks for what the slot waits for", () => {
  const acts: LeadAct[] = [
    { kind: 'approve_chip', chip: 'STM32F103CB', way: 'uart' }, { kind: 'approve_erase' }, { kind: 'open_slot' },
  ];

  test('it is open to a proven lead, and to anybody where no people are kept', () => {
    for (const act of acts) {
      expect(leadKey(act, inside({ rights: 'lead' }), en).open).toBe(true);
      expect(leadKey(act, { kept: false, operator: null }, en).open).toBe(true);
      for (const people of [inside({}), inside({ role: 'it', rights: 'it' }), { kept: true, operator: null }]) {
        expect(leadKey(act, people, en).open).toBe(false);
      }
    }
    expect(acts.map((act) => leadKey(act, inside({}), en).label)).toEqual(['Approve STM32F103CB', 'Approve erase', 'Open slot']);
  });

  test('what is asked for names the chip and way, or the slot', () => {
    expect(acts.map((act) => wishOf(act, 3))).toEqual([
      { kind: 'unproven', chip: 'STM32F103CB', way: 'uart' }, { kind: 'unlock', slot: 3 }, undefined,
    ]);
  });

  test('a word this page does not know is no sentence of its own', () => {
    expect(answerOf('lead_needed', en)).toBe('The lead has to do this');
    for (const word of ['', 'constructor', 'brand_new']) expect(answerOf(word, en)).toBe('No answer – try again');
  });
});
