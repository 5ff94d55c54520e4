/** Made-up stations for the browser tests, in the daemon's own words. */
export const STATES = [
  'empty', 'contact', 'reading', 'flashing', 'verifying', 'activating',
  'testing', 'recording', 'pass', 'seen_before', 'fail', 'closed',
];

export function slot(number, state, more = {}) {
  const trouble =
    state === 'fail' || state === 'closed'
      ? { code: state === 'fail' ? 'F-10' : 'F-18', blame: 'cable', act: state === 'fail' ? 'plug_in_again' : 'call_lead', slot: number, incident: 'A7-0412' }
      : null;
  const running = { flashing: [63, 7], verifying: [88, 2], testing: [null, 3] }[state] ?? [null, null];
  const known = !['empty', 'contact', 'reading'].includes(state);
  return {
    number,
    state,
    percent: running[0],
    remaining_s: running[1],
    uid_tail: known ? '3F2A' : null,
    code: state === 'pass' || state === 'seen_before' ? '7K3M-Q8ZD-0XWN-4T1H-9' : null,
    visit: known ? 'v-0007' : null,
    trouble,
    can_look: state === 'empty',
    lead_act: state === 'closed' ? { kind: 'open_slot' } : null,
    since_ms: 60_000,
    ...more,
  };
}

export function station(slots, more = {}) {
  return {
    api: 1,
    build: '0.1.0',
    seq: 1,
    station: { name: 'station-7', tenant: 'Lumen', line: 'Line 3' },
    language_hint: 'en',
    order: {
      number: '4711', product: 'demo-lamp', release: '1.4.2', hardware_revision: 'B2', ready: true,
      quantity: 500, passed: 312, in_work: 4, takt_s: 12, last_pass_s: 8, passed_hour: 274,
    },
    hub: { state: 'offline', unsynced: 214, oldest_unsynced_s: 5400, lease_ends_in_s: 15_000 },
    slots,
    approvals: [],
    people: { kept: false, operator: null },
    scanners: [],
    scan: null,
    sound_level: 0,
    rejects: [],
    trouble: null,
    ...more,
  };
}

/** An operator who badged in, in the daemon's words. */
export function operator(more = {}) {
  return { number: 12, role: 'lead', rights: 'worker', has_pin: true, pin_digits_min: 6, wait_s: null, locked: false, hub_away: false, ...more };
}

/** `count` slots that go through the states in turn. */
export function fixture(count, more = {}) {
  return station(Array.from({ length: count }, (_, i) => slot(i + 1, STATES[(i * 5 + 3) % STATES.length])), more);
}
