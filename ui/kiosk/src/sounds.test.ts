import { expect, test } from 'vitest';
import { sampleSlot, sampleTrouble, sampleView } from './samples';
import { soundOf, soundOfScan } from './sounds';
import { TONES } from './synth';
import type { SlotState } from './view';

const view = (...states: SlotState[]) => sampleView(states.map((state, i) => sampleSlot(i + 1, state)));

test('what changes in a slot is heard once, and the worst of several', () => {
  expect(soundOf(undefined, view('pass'))).toBeUndefined();
  expect(soundOf(view('recording'), view('pass'))).toBe('pass');
  expect(soundOf(view('pass'), view('pass'))).toBeUndefined();
  expect(soundOf(view('reading', 'recording'), view('fail', 'pass'))).toBe('fail');
  expect(soundOf(view('fail'), view('closed'))).toBe('fail');
  expect(soundOf(view('pass'), view('empty'))).toBeUndefined();
});

test('a trouble of the whole station asks for attention once', () => {
  const stopped = { ...view('empty'), trouble: sampleTrouble('F-41', null) };
  expect(soundOf(view('empty'), stopped)).toBe('attention');
  expect(soundOf(stopped, stopped)).toBeUndefined();
});

test('a scan sounds taken or refused, and not again when it came twice', () => {
  const answer = { accepted: true, word: 'order_selected', kind: 'order', code: null, slot: null } as const;
  expect(soundOfScan({ step: 'answered', text: '', answer })).toBe('scan_accepted');
  expect(soundOfScan({ step: 'answered', text: '', answer: { ...answer, accepted: false } })).toBe('scan_refused');
  expect(soundOfScan({ step: 'answered', text: '', answer: { ...answer, accepted: false, word: 'doubled' } })).toBeUndefined();
  expect(soundOfScan({ step: 'half' })).toBe('scan_refused');
  expect(soundOfScan({ step: 'sent', text: '' })).toBeUndefined();
});

test('no two sounds are alike', () => {
  const heard = Object.values(TONES).map((tones) => tones.map(({ hertz, wave }) => `${wave} ${hertz}`).join(', '));
  expect(new Set(heard).size).toBe(heard.length);
});
