/** Made-up figures for the tests and the gallery. */
import type { OrderFigures } from './figures';

export function sampleFigures(slots: number): OrderFigures {
  const hour = 3_600_000;
  const from = Date.UTC(2026, 10, 30, 6);
  return {
    order: '4711',
    made_ms: from + 9 * hour,
    takt_s: 12,
    counts: {
      units: 1204, first_pass: 1163, first_pass_yield: 1163 / 1204, recovered: 27, still_failed: 14, unnamed: 6,
      visits: 1262, failed_visits: 72, visit_yield: 1190 / 1262, seen_before: 3, reseats: 38,
    },
    causes: [
      ['F-10', 25], ['F-11', 13], ['F-18', 12], ['F-13', 9], ['F-19', 6], ['F-14', 4], ['F-15', 3],
    ].map(([key, count], index, all) => ({
      key: String(key),
      count: Number(count),
      share: Number(count) / 72,
      cumulative: all.slice(0, index + 1).reduce((sum, [, part]) => sum + Number(part), 0) / 72,
    })),
    steps: [
      { key: 'identify', count: 29, share: 29 / 72, cumulative: 29 / 72 },
      { key: 'program', count: 22, share: 22 / 72, cumulative: 51 / 72 },
      { key: 'self_test', count: 12, share: 12 / 72, cumulative: 63 / 72 },
      { key: 'verify', count: 9, share: 9 / 72, cumulative: 1 },
    ],
    slots: Array.from({ length: slots }, (_, index) => ({
      slot: index + 1,
      visits: index === 5 ? 12 : 80,
      failed: index === 2 ? 15 : 3,
      reseats: index === 2 ? 12 : 1,
      causes: [
        { code: 'F-10', count: index === 2 ? 12 : 1 },
        { code: 'F-13', count: index % 3 },
        { code: 'F-18', count: index % 2 },
      ],
      p_value: index === 5 ? null : index === 2 ? 0.00004 : 0.6,
      suspect: index === 2,
    })),
    hours: Array.from({ length: 9 }, (_, index) => ({
      from_ms: from + index * hour,
      passed: 130 + index,
      tried: 134,
      failed: index === 6 ? 14 : 3 + (index % 3),
      lower: 0,
      upper: 0.081,
      outside: index === 6,
    })),
    failing_share: 41 / 1204,
    flash_time: {
      mean_ms: 4402, sigma_ms: 61, lower_ms: 4219, upper_ms: 4585, cpk_upper: 41.5,
      points: Array.from({ length: 200 }, (_, index) => ({
        at_ms: from + index * 27_000,
        slot: 1 + (index % Math.max(slots, 1)),
        took_ms: index === 120 ? 5200 : 4402 + ((index * 37) % 120) - 60,
        outside: index === 120,
      })),
    },
    burn_down: { quantity: 1500, passed: 1190, per_hour: 134.2, full_in_s: 8317 },
  };
}
