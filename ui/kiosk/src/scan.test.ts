import { expect, test } from 'vitest';
import { SCAN_BYTES_MAX, SCAN_PAUSE_MS, Wedge, type ScanRead } from './scan';

function type(wedge: Wedge, keys: Iterable<string>, startMs = 0): (ScanRead | undefined)[] {
  let now = startMs;
  return [...keys].map((key) => wedge.key(key, (now += 8)).scan).filter((scan) => scan !== undefined);
}

test('keystrokes become a scan when Enter ends them', () => {
  const wedge = new Wedge();
  expect(type(wedge, [...'WO:4711', 'Enter'])).toEqual([{ text: 'WO:4711', whole: true }]);
  expect(wedge.begun).toBe(false);
});

test('two scans in a row stay two scans', () => {
  const keys = [...'WO:1', 'Enter', ...'SN:2', 'Enter'];
  expect(type(new Wedge(), keys).map((scan) => scan?.text)).toEqual(['WO:1', 'SN:2']);
});

test('keys that are no characters do not disturb a scan', () => {
  const keys = ['Shift', 'W', 'Shift', 'O', 'Shift', ':', 'F8', '1', 'Dead', 'Enter'];
  expect(type(new Wedge(), keys)).toEqual([{ text: 'WO:1', whole: true }]);
});

test('a scan of any length ends as one, too long for the station', () => {
  const scans = type(new Wedge(), [...'x'.repeat(100_000), 'Enter', ...'WO:1', 'Enter']);
  expect(scans.map((scan) => scan?.text.length)).toEqual([SCAN_BYTES_MAX + 1, 4]);
});

test('half a scan is named once its Enter does not come, and does not spoil the next', () => {
  const wedge = new Wedge();
  type(wedge, 'WO:47');
  expect(wedge.expire(40 + SCAN_PAUSE_MS - 1)).toBeUndefined();
  expect(wedge.expire(40 + SCAN_PAUSE_MS)).toEqual({ text: 'WO:47', whole: false });
  expect(wedge.expire(1e9)).toBeUndefined();
  expect(type(wedge, [...'WO:4711', 'Enter'], 1e6)).toEqual([{ text: 'WO:4711', whole: true }]);
});

test('Enter and Space belong to a button unless a scan has begun', () => {
  const wedge = new Wedge();
  expect(wedge.key('Enter', 0)).toEqual({ taken: false });
  expect(wedge.key(' ', 0)).toEqual({ taken: false });
  wedge.key('S', 0);
  expect(wedge.key(' ', 0)).toEqual({ taken: true });
});
