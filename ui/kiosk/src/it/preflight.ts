/** What a look over the station found, in the order in which it needs somebody. */
import type { components } from '../api';

type Schemas = components['schemas'];
export type Preflight = Schemas['Preflight'];
export type Finding = Schemas['Finding'];
export type Level = Schemas['Level'];
export type Check = Schemas['Check'];

/** Findings on one page. */
export const PER_PAGE = 5;

const RANK: Record<Level, number> = { fail: 0, warn: 1, ok: 2 };

/** The worst first; of one level as the station has them. */
export function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings
    .map((finding, at) => ({ finding, at }))
    .sort((one, other) => RANK[one.finding.level] - RANK[other.finding.level] || one.at - other.at)
    .map(({ finding }) => finding);
}

export function toDo(findings: readonly Finding[]): number {
  return findings.filter((finding) => finding.level !== 'ok').length;
}

/** Whether a station has several of what was looked at, so that one needs its name. */
export function severalOf(check: Check): boolean {
  return check === 'port' || check === 'usb_endpoints';
}
