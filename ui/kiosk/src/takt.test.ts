import { expect, test } from 'vitest';
import { sampleView } from './samples';
import { taktOf } from './takt';

const order = sampleView([]).order!;

test('the ring fills to the takt, then says how late the unit is', () => {
  const at = (ageMs: number) => taktOf({ ...order, takt_s: 12, last_pass_s: 8, passed_hour: 274 }, ageMs);
  expect(at(0)).toEqual({ passed: 8, takt: 12, left: 4, share: 8 / 12, late: false, hour: 274 });
  expect(at(3999)).toMatchObject({ left: 1, late: false });
  expect(at(4000)).toMatchObject({ left: 0, share: 1, late: false });
  expect(at(9500)).toMatchObject({ left: -5, share: 1, late: true });
});

test('without a takt or a pass there is no ring', () => {
  expect(taktOf({ ...order, takt_s: null }, 0)).toBeUndefined();
  expect(taktOf({ ...order, takt_s: 0 }, 0)).toBeUndefined();
  expect(taktOf({ ...order, last_pass_s: null }, 0)).toBeUndefined();
});
