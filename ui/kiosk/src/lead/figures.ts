/**
 * The lead's figures: asking for them, and turning them into what the charts draw.
 *
 * Owns scales and texts of numbers; leaves every statistic to the daemon.
 */
import type { components } from '../api';
import { ANSWER_MS } from '../link';

type Schemas = components['schemas'];
export type OrderFigures = Schemas['OrderFigures'];
export type SlotFigures = Schemas['SlotFigures'];
export type ParetoRow = Schemas['ParetoRow'];
export type Hour = Schemas['Hour'];
export type FlashTime = Schemas['FlashTime'];
export type VisitPage = Schemas['VisitPage'];
export type VisitRow = Schemas['VisitRow'];

/** Which boards a listing shows. */
export interface BoardFilter {
  slot?: number;
  trouble?: string;
  unit?: string;
  before?: number;
}

export type Asked<T> = { step: 'asking' } | { step: 'failed' } | { step: 'not_yours' } | { step: 'here'; value: T };

/** Asks the station; but for missing rights every failure is the same to the lead: not now. */
export async function ask<T>(path: string): Promise<Asked<T>> {
  try {
    const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
    if (response.status === 403) return { step: 'not_yours' };
    return response.ok ? { step: 'here', value: (await response.json()) as T } : { step: 'failed' };
  } catch {
    return { step: 'failed' };
  }
}

/** The address of a listing, or of the same as a file. */
export function boardsPath(order: string, filter: BoardFilter, file = false): string {
  const query = new URLSearchParams({ order });
  for (const [name, value] of Object.entries(filter)) {
    if (value !== undefined) query.set(name, String(value));
  }
  return `/api/figures/visits${file ? '.csv' : ''}?${query}`;
}

/** `98.4 %`; a share that is not quite everything never rounds to it. */
export function percent(share: number | null | undefined): string {
  if (share == null) return '–';
  const rounded = Math.round(share * 1000) / 10;
  const honest = rounded === 100 && share < 1 ? 99.9 : rounded === 0 && share > 0 ? 0.1 : rounded;
  return `${honest.toFixed(1)} %`;
}

/** Milliseconds in seconds with the digits that matter. */
export function inSeconds(ms: number): string {
  return ms < 10_000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(1);
}

/** A p-value as people read it. */
export function pText(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}

/** `14:05`, or with the day when it is not today. */
export function clockText(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return at.toDateString() === new Date(nowMs).toDateString()
    ? time
    : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** Points of a chart of hours, in a box of `width` by `height`; y grows downwards. */
export interface HourPoint {
  x: number;
  y: number;
  /** Upper limit. */
  up: number;
  /** Lower limit. */
  low: number;
  outside: boolean;
  label: string;
}

export interface HourChart {
  points: HourPoint[];
  centre: number;
  /** Share at the top of the box. */
  top: number;
}

/** Hours of a chart, the last at the right. */
export const HOURS_SHOWN = 24;

export function hourChart(figures: OrderFigures, width: number, height: number): HourChart | undefined {
  const hours = figures.hours.filter((hour) => hour.tried > 0).slice(-HOURS_SHOWN);
  if (hours.length === 0) return undefined;
  const shares = hours.flatMap((hour) => [hour.failed / hour.tried, hour.upper ?? 0]);
  const top = Math.min(1, Math.max(0.02, 1.1 * Math.max(...shares)));
  const y = (share: number) => height * (1 - Math.min(share, top) / top);
  const step = width / hours.length;
  return {
    top,
    centre: y(figures.failing_share ?? 0),
    points: hours.map((hour, index) => ({
      x: step * (index + 0.5),
      y: y(hour.failed / hour.tried),
      up: y(hour.upper ?? 0),
      low: y(hour.lower ?? 0),
      outside: hour.outside,
      label: clockText(hour.from_ms, figures.made_ms),
    })),
  };
}

/** The limits of a p-chart as a line of steps, one for each hour. */
export function stepsPath(points: HourPoint[], width: number, of: (point: HourPoint) => number): string {
  const step = width / points.length;
  return points
    .map((point, index) => `${index === 0 ? 'M' : 'L'}${round(index * step)} ${round(of(point))}H${round((index + 1) * step)}`)
    .join('');
}

export interface TimeChart {
  points: { x: number; y: number; outside: boolean }[];
  mean: number;
  upper: number;
  lower: number;
  /** The takt's place, where it is in the box. */
  takt: number | undefined;
}

export function timeChart(time: FlashTime, taktMs: number | undefined, width: number, height: number): TimeChart {
  const values = time.points.map((point) => point.took_ms);
  const top = Math.max(time.upper_ms, ...values) * 1.05;
  const bottom = Math.min(time.lower_ms, ...values) * 0.95;
  const y = (ms: number) => height * (1 - (ms - bottom) / Math.max(top - bottom, 1));
  const step = width / Math.max(time.points.length, 1);
  return {
    points: time.points.map((point, index) => ({ x: step * (index + 0.5), y: y(point.took_ms), outside: point.outside })),
    mean: y(time.mean_ms),
    upper: y(time.upper_ms),
    lower: y(time.lower_ms),
    takt: taktMs !== undefined && taktMs < top ? y(taktMs) : undefined,
  };
}

/** Columns of the heat map: the most frequent causes, in the order of the Pareto chart. */
export const CAUSES_SHOWN = 7;

export function heatColumns(figures: OrderFigures): string[] {
  return figures.causes.slice(0, CAUSES_SHOWN).map((row) => row.key);
}

/** How dark a cell is, 0..=4, by its part of the darkest. */
export function heat(count: number, most: number): number {
  return count === 0 || most === 0 ? 0 : Math.max(1, Math.ceil((4 * count) / most));
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
