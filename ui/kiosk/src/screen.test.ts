import { describe, expect, test } from 'vitest';
import { nextCard, slotList, troubleCard } from './card';
import { densityFrom, PX_PER_MM } from './density';
import { hubText } from './hub';
import { isMandatory, nextOf, type Next } from './next';
import { pictogramOf } from './pictogram';
import { ALL_STATES, ALL_TROUBLES, sampleSlot, sampleTrouble, sampleView, SAMPLE_HUBS } from './samples';
import { NOTE_MS, scanNote, scanSeen } from './scan-note';
import { FRESH_MS, gridOf, tileOf, unknownTile } from './tile';
import type { HubView, OrderView, SlotState, StationView } from './view';
import { en } from './words/en';
import { zh } from './words/zh';
import type { Words } from './words/words';
import { languageFrom, LANGUAGE_TAGS, LANGUAGES } from './words/languages';

describe('a tile says what the slot is', () => {
  test('every state has its own word in every language', () => {
    for (const tag of LANGUAGE_TAGS) {
      const words = ALL_STATES.map((state) => tileOf(sampleSlot(1, state), LANGUAGES[tag], 0).word);
      words.push(unknownTile(1, LANGUAGES[tag]).word);
      expect(new Set(words).size).toBe(ALL_STATES.length + 1);
    }
  });

  test('only PASS is green, only FAIL is red', () => {
    const tones = (tone: string) => ALL_STATES.filter((state) => tileOf(sampleSlot(1, state), en, 0).tone === tone);
    expect(tones('good')).toEqual(['pass']);
    expect(tones('bad')).toEqual(['fail']);
    expect(tones('odd')).toEqual(['seen_before']);
  });

  test('progress and remaining seconds are told where the station tells them', () => {
    expect(tileOf(sampleSlot(3, 'flashing'), en, 0)).toMatchObject({ detail: '63 % · 7 s left', percent: 63 });
    expect(tileOf(sampleSlot(3, 'reading'), en, 0)).toMatchObject({ detail: '', percent: undefined });
    expect(tileOf({ ...sampleSlot(3, 'flashing'), percent: 250 }, en, 0).percent).toBe(100);
  });

  test('a percentage left over from work is not drawn on a finished board', () => {
    expect(tileOf({ ...sampleSlot(3, 'pass'), percent: 40 }, en, 0).percent).toBeUndefined();
  });

  test('a fail says its code and the act', () => {
    expect(tileOf(sampleSlot(3, 'fail'), en, 0).detail).toBe('F-10 · Seat again');
  });

  test('an empty slot asks for a touch where the station would look again', () => {
    for (const tag of LANGUAGE_TAGS) {
      const words = LANGUAGES[tag];
      expect(tileOf(sampleSlot(1, 'empty'), words, 0)).toMatchObject({ detail: words.boardInHere, looks: true });
    }
    expect(tileOf({ ...sampleSlot(1, 'empty'), can_look: false }, en, 0)).toMatchObject({ detail: '', looks: false });
    expect(ALL_STATES.filter((state) => tileOf(sampleSlot(1, state), en, 0).looks)).toEqual(['empty']);
    expect(unknownTile(1, en).looks).toBe(false);
  });

  test('a board that does not answer is red, says its act, and can be touched again', () => {
    const claimed = tileOf({ ...sampleSlot(2, 'fail'), can_look: true }, en, 0);
    expect(claimed).toMatchObject({ tone: 'bad', detail: 'F-10 · Seat again', looks: true });
    const card = troubleCard(sampleTrouble('F-10', 2), 2, en);
    expect(card.where).toBe('');
    expect(troubleCard({ ...sampleTrouble('F-10', 2), chip: 'radio' }, 2, en).where).toBe('radio');
    expect(`${card.what} ${card.act}`).toBe(
      'No contact with the board. Check that it has power. Lift the board, wipe it, seat it again.',
    );
  });

  test('a PASS fills its tile for four seconds, then settles', () => {
    expect(tileOf(sampleSlot(1, 'pass', 0), en, FRESH_MS - 1).fresh).toBe(true);
    expect(tileOf(sampleSlot(1, 'pass', 0), en, FRESH_MS).fresh).toBe(false);
    expect(tileOf(sampleSlot(1, 'pass', FRESH_MS), en, 0).fresh).toBe(false);
    expect(tileOf(sampleSlot(1, 'fail', 0), en, 0).fresh).toBe(false);
  });
});

test.each([
  [0, 1, 1], [1, 1, 1], [2, 2, 1], [3, 2, 2], [4, 2, 2], [5, 4, 2], [8, 4, 2], [12, 4, 3], [16, 4, 4], [20, 5, 4], [25, 5, 5],
])('%i slots lie in %i columns and %i rows', (slots, columns, rows) => {
  expect(gridOf(slots)).toEqual({ columns, rows });
});

describe('the next action', () => {
  const full: Partial<OrderView> = { quantity: 500, passed: 312, in_work: 0 };
  function next(states: SlotState[], more: Partial<StationView> = {}, order: Partial<OrderView> | null = full): Next {
    const view = sampleView(states.map((state, index) => sampleSlot(index + 1, state)));
    return nextOf({ ...view, order: order && { ...view.order!, ...order }, ...more });
  }
  const cases: [string, Next, Next][] = [
    ['no order', next(['empty'], {}, null), { what: 'act', act: 'scan_work_order', slots: [] }],
    ['empty slots', next(['empty', 'flashing', 'empty']), { what: 'place_boards', slots: [1, 3] }],
    ['a good board', next(['empty', 'pass', 'seen_before']), { what: 'take_out', slots: [2, 3] }],
    ['a good board after its order was closed', next(['pass'], {}, null), { what: 'take_out', slots: [1] }],
    ['a fail beside a good board', next(['pass', 'fail']), { what: 'act', act: 'plug_in_again', slots: [2] }],
    ['two fails with one act', next(['fail', 'fail']), { what: 'act', act: 'plug_in_again', slots: [1, 2] }],
    ['all working', next(['flashing', 'testing']), { what: 'wait' }],
    ['no places left', next(['empty', 'flashing'], {}, { passed: 498, in_work: 2 }), { what: 'wait' }],
    ['an order that is complete', next(['empty', 'empty'], {}, { passed: 500 }), { what: 'order_done' }],
    ['a release that is not whole yet', next(['empty'], {}, { ready: false }), { what: 'await_release' }],
    ['a good board while the next release comes', next(['pass'], {}, { ready: false }), { what: 'take_out', slots: [1] }],
    ['all slots closed', next(['closed', 'closed']), { what: 'act', act: 'call_lead', slots: [] }],
    ['a fault of the whole station', next(['pass', 'fail'], { trouble: sampleTrouble('F-34', null) }), { what: 'act', act: 'call_lead', slots: [] }],
  ];
  test.each(cases)('with %s', (_, got, expected) => {
    expect(got).toEqual(expected);
  });

  test('only waiting is not mandatory', () => {
    expect(cases.filter(([, got]) => !isMandatory(got)).map(([name]) => name)).toEqual([
      'all working', 'no places left', 'a release that is not whole yet',
    ]);
    expect(isMandatory({ what: 'act', act: 'wait_for_station', slots: [1] })).toBe(false);
  });

  test('neighbouring slots are written as a run', () => {
    expect(slotList([4, 1, 2, 3, 7, 9, 10], en)).toBe('1–4, 7, 9, 10');
    expect(slotList([], en)).toBe('');
    expect(nextCard({ what: 'take_out', slots: [2] }, en)).toMatchObject({ slots: '2', act: 'Take out' });
  });
});

describe('every language can say everything', () => {
  const leaves = (value: unknown, path: string): [string, string][] => {
    if (typeof value === 'string') return [[path, value]];
    if (typeof value === 'function') return [[path, String((value as (...args: unknown[]) => string)(7, 8, 9))]];
    return Object.entries(value as object).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
  };
  test.each(LANGUAGE_TAGS)('%s has no empty word and the same keys as English', (tag) => {
    const [mine, english] = [leaves(LANGUAGES[tag], ''), leaves(en, '')];
    expect(mine.map(([path]) => path).sort()).toEqual(english.map(([path]) => path).sort());
    expect(mine.filter(([, text]) => text.trim() === '')).toEqual([]);
  });
  test.each(LANGUAGE_TAGS)('%s tells every trouble apart and gives each an act', (tag) => {
    const cards = ALL_TROUBLES.map((code) => troubleCard(sampleTrouble(code, 3), 3, LANGUAGES[tag]));
    expect(new Set(cards.map((card) => card.what)).size).toBe(ALL_TROUBLES.length);
    for (const card of cards) expect(card.act).not.toBe('');
  });
  test('Chinese and Japanese sentences are not left in English', () => {
    for (const tag of ['zh-Hans', 'ja'] as const) {
      const latin = Object.values(LANGUAGES[tag].trouble).filter((text) => !/\p{Script=Han}|\p{Script=Katakana}/u.test(text));
      expect(latin).toEqual([]);
    }
  });
  test('a language without a word, or a trouble without a sentence, does not compile', () => {
    const { fail: _fail, ...states } = en.state;
    const { 'F-12': _trouble, ...troubles } = en.trouble;
    // @ts-expect-error FAIL has no word
    const state: Words['state'] = states;
    // @ts-expect-error F-12 has no sentence
    const trouble: Words['trouble'] = troubles;
    // @ts-expect-error F-13 would say nothing
    const empty: Words['trouble'] = { ...en.trouble, 'F-13': undefined };
    expect([state, trouble, empty]).toHaveLength(3);
  });
  test('language tags find their language', () => {
    expect(['zh-CN', 'zh-Hans', 'ja-JP', 'en-GB', 'de', '', null].map(languageFrom)).toEqual([
      'zh-Hans', 'zh-Hans', 'ja', 'en', undefined, undefined, undefined,
    ]);
  });
});

describe('the hub', () => {
  const offline = (more: Partial<HubView>): HubView => ({ ...SAMPLE_HUBS[2]!, ...more });
  test('offline is calm and says what is safe and for how long', () => {
    expect(hubText(offline({}), en)).toEqual({
      title: 'Offline', detail: '214 records safe here, lease for 4 h 10 m', tone: 'calm', online: false,
    });
    expect(hubText(offline({ unsynced: 1, lease_ends_in_s: null }), en).detail).toBe('1 record safe here');
    expect(hubText(offline({ lease_ends_in_s: 3 * 86_400 + 7200 }), en).detail).toContain('lease for 3 d 2 h');
  });
  test('a short lease is yellow and an ended one red', () => {
    expect(hubText(offline({ lease_ends_in_s: 7199 }), en).tone).toBe('odd');
    expect(hubText(offline({ lease_ends_in_s: 0 }), en)).toMatchObject({ tone: 'bad', detail: '214 records safe here, lease is over' });
  });
  test('a station of no hub says so', () => {
    expect(hubText(SAMPLE_HUBS[6]!, en)).toMatchObject({ title: 'Not enrolled', online: false });
  });
});

test("the station's words about a scan are translated, unknown ones fall back", () => {
  const note = (accepted: boolean, word: string) =>
    scanNote({ step: 'answered', text: 'WO:1', answer: { accepted, word, kind: 'order', code: null, slot: null } }, [], en);
  expect(note(true, 'order_selected')).toEqual({ tone: 'good', title: 'Work order chosen', text: 'WO:1' });
  expect(note(false, 'unknown_order')).toMatchObject({ tone: 'odd', title: 'No such work order here' });
  expect(note(true, 'toString')).toMatchObject({ tone: 'good', title: 'Work order taken' });
  expect(note(false, 'new_word')).toMatchObject({ tone: 'odd', title: 'Not taken' });
});

test("a scan of the station's own scanner is news for a while, and an unplugged one is never ready", () => {
  const answer = { accepted: false, word: 'damaged', kind: null, code: 'F-81', slot: null } as const;
  const seen = { number: 1, scanner: 1, text: null, answer, since_ms: 3000 };
  expect(scanNote(scanSeen(seen, 0), [], en)).toEqual({ tone: 'odd', title: 'Damaged scan – scan again', text: 'Code F-81' });
  expect(scanSeen(seen, NOTE_MS)).toEqual({ step: 'none' });
  const gone = { number: 2, trouble: sampleTrouble('F-80', null) };
  const there = { number: 1, trouble: null };
  expect(scanNote({ step: 'none' }, [there], en)).toMatchObject({ tone: 'rest', title: 'Ready to scan' });
  expect(scanNote({ step: 'none' }, [gone], en)).toMatchObject({ tone: 'odd', title: 'Scanner is not connected' });
  expect(scanNote({ step: 'none' }, [there, gone], zh)).toMatchObject({ tone: 'odd', title: '扫描枪 2 未连接' });
  const idle = { ...sampleView([sampleSlot(1, 'empty')]), order: null };
  expect(nextOf({ ...idle, scanners: [gone] })).toMatchObject({ act: 'plug_in_scanner' });
  expect(nextOf({ ...idle, scanners: [gone, there] })).toMatchObject({ act: 'scan_work_order' });
});

test('the same product has the same sign, another release another one', () => {
  const sign = (text: string) => JSON.stringify(pictogramOf(text));
  expect(sign('demo-lamp 1.4.2')).toBe(sign('demo-lamp 1.4.2'));
  expect(sign('demo-lamp 1.4.2')).not.toBe(sign('demo-lamp 1.4.3'));
  for (const row of pictogramOf('demo-lamp 1.4.2')) expect(row).toEqual([...row].reverse());
});

test('the density comes from the query, then the page, and a misread one is not believed', () => {
  expect(densityFrom('?mm=5.87', '4')).toBe(5.87);
  expect(densityFrom('', '4.1')).toBe(4.1);
  for (const bad of ['', '0', '-3', 'NaN', '900']) expect(densityFrom(`?mm=${bad}`, '')).toBe(PX_PER_MM);
});
