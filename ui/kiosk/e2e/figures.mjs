/** Made-up figures for the browser tests, in the daemon's own words. */
const HOUR = 3_600_000;
const FROM = Date.UTC(2026, 10, 30, 6);
const CAUSES = [['F-10', 25], ['F-11', 13], ['F-18', 12], ['F-13', 9], ['F-19', 6], ['F-14', 4], ['F-15', 3]];

function pareto(rows) {
  const all = rows.reduce((sum, [, count]) => sum + count, 0);
  let above = 0;
  return rows.map(([key, count]) => {
    above += count;
    return { key, count, share: count / all, cumulative: above / all };
  });
}

export function leadFigures(slots) {
  return {
    order: '4711', made_ms: FROM + 9 * HOUR, takt_s: 12,
    counts: {
      units: 1204, first_pass: 1163, first_pass_yield: 1163 / 1204, recovered: 27, still_failed: 14, unnamed: 6,
      visits: 1262, failed_visits: 72, visit_yield: 1190 / 1262, seen_before: 3, reseats: 38,
    },
    causes: pareto(CAUSES),
    steps: pareto([['identify', 29], ['program', 22], ['self_test', 12], ['verify', 9]]),
    slots: Array.from({ length: slots }, (_, index) => ({
      slot: index + 1, visits: index === 5 ? 12 : 80, failed: index === 2 ? 15 : 3, reseats: index === 2 ? 12 : 1,
      causes: [{ code: 'F-10', count: index === 2 ? 12 : 1 }, { code: 'F-13', count: index % 3 }, { code: 'F-18', count: index % 2 }],
      p_value: index === 5 ? null : index === 2 ? 0.00004 : 0.6, suspect: index === 2,
    })),
    hours: Array.from({ length: 9 }, (_, index) => ({
      from_ms: FROM + index * HOUR, passed: 130 + index, tried: 134, failed: index === 6 ? 14 : 3 + (index % 3),
      lower: 0, upper: 0.081, outside: index === 6,
    })),
    failing_share: 41 / 1204,
    flash_time: {
      mean_ms: 4402, sigma_ms: 61, lower_ms: 4219, upper_ms: 4585, cpk_upper: 41.5,
      points: Array.from({ length: 200 }, (_, index) => ({
        at_ms: FROM + index * 27_000, slot: 1 + (index % slots), took_ms: index === 120 ? 5200 : 4342 + ((index * 37) % 120), outside: index === 120,
      })),
    },
    burn_down: { quantity: 1500, passed: 1190, per_hour: 134.2, full_in_s: 8317 },
  };
}

export function leadVisits(count) {
  const visits = Array.from({ length: count }, (_, index) => {
    const ending = ['pass', 'pass', 'fail', 'seen_before'][index % 4];
    const fail = ending === 'fail';
    return {
      number: count - index, at_ms: FROM + 9 * HOUR - index * 40_000, slot: 1 + (index % 4), visit: `v${count - index}`,
      unit: index % 7 === 6 ? null : `00112233445566${String(index).padStart(2, '0')}`,
      attempt: index % 7 === 6 ? 'unnamed' : fail ? 'first' : 'recovering', ending,
      trouble: fail ? 'F-13' : null, step: fail ? 'verify' : null, code: null, took_ms: 4300 + index,
    };
  });
  return { visits, next: null };
}
