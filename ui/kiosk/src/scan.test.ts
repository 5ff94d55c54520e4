import { describe, expect, test } from 'vitest';
import { readScan, SCAN_BYTES_MAX, SCAN_PAUSE_MS, Wedge, type ScanRead } from './scan';

function type(wedge: Wedge, keys: Iterable<string>, startMs = 0): (ScanRead | undefined)[] {
  let now = startMs;
  return [...keys].map((key) => wedge.key(key, (now += 8)).scan).filter((scan) => scan !== undefined);
}

describe('a scan is read by its prefix', () => {
  const cases: [string, string][] = [
    ['WO:4711', 'order'],
    ['OP:0042', 'operator'],
    ['SN:LMP-000123', 'serial'],
    ['BIN:RED', 'bin'],
    ['  WO:4711 ', 'order'],
    ['SN:a:b:c', 'serial'],
    ['SN:电路板', 'serial'],
    ['', 'empty'],
    ['   ', 'empty'],
    ['4006381333931', 'unknown_prefix'],
    ['wo:4711', 'unknown_prefix'],
    ['XWO:4711', 'unknown_prefix'],
    [':', 'unknown_prefix'],
    ['WO:', 'damaged'],
    ['WO:   ', 'damaged'],
    ['SN:\u0000\u0007', 'damaged'],
    ['SN:\uFFFD', 'damaged'],
    ['__proto__:x', 'unknown_prefix'],
    [`SN:${'x'.repeat(SCAN_BYTES_MAX)}`, 'too_long'],
    [`SN:${'板'.repeat(85)}`, 'too_long'],
  ];
  test.each(cases)('%j is %s', (raw, expected) => {
    const read = readScan(raw);
    expect(read.kind === 'refused' ? read.why : read.kind).toBe(expected);
  });

  test('256 bytes are taken, 257 are not', () => {
    expect(readScan(`SN:${'x'.repeat(SCAN_BYTES_MAX - 3)}`).kind).toBe('serial');
    expect(readScan(`SN:${'x'.repeat(SCAN_BYTES_MAX - 2)}`)).toMatchObject({ why: 'too_long' });
  });
});

test('keystrokes become a scan when Enter ends them', () => {
  const wedge = new Wedge();
  expect(type(wedge, [...'WO:4711', 'Enter'])).toEqual([{ kind: 'order', text: 'WO:4711' }]);
  expect(wedge.begun).toBe(false);
});

test('two scans in a row stay two scans', () => {
  const keys = [...'WO:1', 'Enter', ...'SN:2', 'Enter'];
  expect(type(new Wedge(), keys)).toEqual([
    { kind: 'order', text: 'WO:1' },
    { kind: 'serial', text: 'SN:2' },
  ]);
});

test('keys that are no characters do not disturb a scan', () => {
  const keys = ['Shift', 'W', 'Shift', 'O', 'Shift', ':', 'F8', '1', 'Dead', 'Enter'];
  expect(type(new Wedge(), keys)).toEqual([{ kind: 'order', text: 'WO:1' }]);
});

test('a scan of any length ends as one refusal', () => {
  const scans = type(new Wedge(), [...'x'.repeat(100_000), 'Enter', ...'WO:1', 'Enter']);
  expect(scans).toMatchObject([{ why: 'too_long' }, { kind: 'order' }]);
});

test('half a scan is named once its Enter does not come, and does not spoil the next', () => {
  const wedge = new Wedge();
  type(wedge, 'WO:47');
  expect(wedge.expire(40 + SCAN_PAUSE_MS - 1)).toBeUndefined();
  expect(wedge.expire(40 + SCAN_PAUSE_MS)).toEqual({ kind: 'refused', why: 'incomplete', text: 'WO:47' });
  expect(wedge.expire(1e9)).toBeUndefined();
  expect(type(wedge, [...'WO:4711', 'Enter'], 1e6)).toEqual([{ kind: 'order', text: 'WO:4711' }]);
});

test('Enter and Space belong to a button unless a scan has begun', () => {
  const wedge = new Wedge();
  expect(wedge.key('Enter', 0)).toEqual({ taken: false });
  expect(wedge.key(' ', 0)).toEqual({ taken: false });
  wedge.key('S', 0);
  expect(wedge.key(' ', 0)).toEqual({ taken: true });
});
