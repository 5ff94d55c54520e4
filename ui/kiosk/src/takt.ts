/**
 * The takt ring: how long ago the last unit passed, against what the line has for one.
 *
 * Pure. Without a takt, or with no pass in the last hour, there is no ring.
 */
import type { OrderView } from './view';

export interface Takt {
  /** Seconds since the last pass. */
  passed: number;
  takt: number;
  /** Seconds left; below zero the unit is late. */
  left: number;
  /** How much of the ring is drawn, 0..=1. */
  share: number;
  late: boolean;
  hour: number;
}

/** `ageMs`: how old the view is on the page's own clock. */
export function taktOf(order: OrderView, ageMs: number): Takt | undefined {
  const { takt_s: takt, last_pass_s: last } = order;
  if (takt == null || takt === 0 || last == null) return undefined;
  const passed = last + Math.floor(ageMs / 1000);
  const left = takt - passed;
  return { passed, takt, left, share: Math.min(1, passed / takt), late: left < 0, hour: order.passed_hour ?? 0 };
}
