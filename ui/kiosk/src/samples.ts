/**
 * Made-up views for the gallery and the unit tests: every state and every trouble once.
 *
 * The typed tables make a new state or trouble a type error until it has its sample.
 */
import type { Act, Blame, HubView, OperatorView, PeopleView, SlotState, SlotView, StationView, Trouble, TroubleCode } from './view';

/** A likely blame and act for each trouble; the daemon decides the real ones. */
const LIKELY: Record<TroubleCode, [Blame, Act]> = {
  'F-10': ['cable', 'plug_in_again'],
  'F-11': ['cable', 'plug_in_again'],
  'F-12': ['operator', 'plug_in_again'],
  'F-13': ['board', 'put_in_red_bin'],
  'F-14': ['board', 'call_lead'],
  'F-15': ['operator', 'remove_board'],
  'F-16': ['board', 'put_in_red_bin'],
  'F-17': ['board', 'call_lead'],
  'F-18': ['board', 'put_in_red_bin'],
  'F-19': ['board', 'put_in_red_bin'],
  'F-20': ['board', 'put_in_red_bin'],
  'F-21': ['probe', 'try_other_cable'],
  'F-22': ['slot', 'plug_in_again'],
  'F-23': ['probe', 'call_lead'],
  'F-24': ['release', 'call_lead'],
  'F-25': ['probe', 'try_other_cable'],
  'F-31': ['release', 'call_lead'],
  'F-32': ['release', 'wait_for_station'],
  'F-33': ['release', 'call_lead'],
  'F-34': ['station', 'call_lead'],
  'F-35': ['operator', 'scan_work_order'],
  'F-36': ['release', 'call_lead'],
  'F-37': ['release', 'wait_for_station'],
  'F-38': ['station', 'call_lead'],
  'F-39': ['release', 'call_lead'],
  'F-40': ['release', 'call_lead'],
  'F-41': ['station', 'call_lead'],
  'F-42': ['station', 'call_lead'],
  'F-43': ['station', 'call_lead'],
  'F-44': ['station', 'call_lead'],
  'F-45': ['station', 'call_lead'],
  'F-46': ['station', 'call_lead'],
  'F-47': ['station', 'call_lead'],
  'F-48': ['station', 'call_lead'],
  'F-49': ['station', 'call_lead'],
  'F-51': ['network', 'call_lead'],
  'F-52': ['network', 'wait_for_station'],
  'F-53': ['operator', 'call_lead'],
  'F-54': ['operator', 'call_lead'],
  'F-55': ['operator', 'call_lead'],
  'F-60': ['board', 'put_in_red_bin'],
  'F-61': ['operator', 'scan_work_order'],
  'F-62': ['board', 'call_lead'],
  'F-63': ['network', 'call_lead'],
  'F-64': ['operator', 'scan_badge'],
  'F-65': ['operator', 'call_lead'],
  'F-66': ['operator', 'call_lead'],
  'F-67': ['operator', 'call_lead'],
  'F-68': ['operator', 'call_lead'],
  'F-69': ['network', 'call_lead'],
  'F-70': ['network', 'call_lead'],
  'F-80': ['station', 'plug_in_scanner'],
  'F-81': ['operator', 'scan_again'],
  'F-82': ['operator', 'scan_again'],
  'F-83': ['operator', 'scan_again'],
  'F-84': ['operator', 'scan_bin'],
  'F-90': ['network', 'call_lead'],
  'F-91': ['network', 'call_lead'],
  'F-92': ['board', 'call_lead'],
  'F-99': ['station', 'call_lead'],
};

const STATES: Record<SlotState, Partial<SlotView>> = {
  empty: {},
  contact: {},
  reading: {},
  flashing: { percent: 63, remaining_s: 7, uid_tail: '3F2A' },
  verifying: { percent: 88, remaining_s: 2, uid_tail: '3F2A' },
  activating: { uid_tail: '3F2A' },
  testing: { remaining_s: 3, uid_tail: '3F2A' },
  recording: { uid_tail: '3F2A' },
  pass: { uid_tail: '3F2A', code: '7K3M-Q8ZD-0XWN-4T1H-9' },
  seen_before: { uid_tail: '3F2A', code: '7K3M-Q8ZD-0XWN-4T1H-9' },
  fail: {},
  closed: {},
};

export const ALL_STATES = Object.keys(STATES) as SlotState[];
export const ALL_TROUBLES = Object.keys(LIKELY) as TroubleCode[];

export function sampleTrouble(code: TroubleCode, slot: number | null): Trouble {
  const [blame, act] = LIKELY[code];
  return { code, blame, act, slot, chip: null, incident: 'A7-0412' };
}

export function sampleSlot(number: number, state: SlotState, sinceMs = 60_000): SlotView {
  const code: TroubleCode | undefined = state === 'fail' ? 'F-10' : state === 'closed' ? 'F-18' : undefined;
  return {
    number,
    state,
    percent: null,
    remaining_s: null,
    uid_tail: null,
    code: null,
    visit: null,
    trouble: code === undefined ? null : sampleTrouble(code, number),
    can_look: state === 'empty',
    lead_act: state === 'closed' ? { kind: 'open_slot' } : null,
    since_ms: sinceMs,
    ...STATES[state],
  };
}

export const SAMPLE_HUBS: HubView[] = [
  { state: 'online', unsynced: 0, oldest_unsynced_s: null, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 200_000 },
  { state: 'online', unsynced: 12, oldest_unsynced_s: 4, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 200_000 },
  { state: 'offline', unsynced: 214, oldest_unsynced_s: 5400, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 15_000 },
  { state: 'offline', unsynced: 640, oldest_unsynced_s: 90_000, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 2400 },
  { state: 'offline', unsynced: 655, oldest_unsynced_s: 93_000, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 0 },
  { state: 'connecting', unsynced: 3, oldest_unsynced_s: 20, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 15_000 },
  { state: 'not_enrolled', unsynced: 0, oldest_unsynced_s: null, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: null },
];

const OPERATOR: OperatorView = {
  number: 12,
  role: 'lead',
  rights: 'worker',
  has_pin: true,
  pin_digits_min: 6,
  wait_s: null,
  locked: false,
  hub_away: false,
};

/** Nobody is asked; nobody is in; a worker; a lead by badge, proven, waiting, locked, too long offline. */
export const SAMPLE_PEOPLE: PeopleView[] = [
  { kept: false, operator: null },
  { kept: true, operator: null },
  { kept: true, operator: { ...OPERATOR, number: 4021, role: 'worker', pin_digits_min: 4 } },
  { kept: true, operator: OPERATOR },
  { kept: true, operator: { ...OPERATOR, rights: 'lead' } },
  { kept: true, operator: { ...OPERATOR, wait_s: 28 } },
  { kept: true, operator: { ...OPERATOR, wait_s: 43_000, locked: true } },
  { kept: true, operator: { ...OPERATOR, hub_away: true } },
];

export function sampleView(slots: SlotView[]): StationView {
  return {
    api: 1,
    build: '0.1.0',
    seq: 1,
    station: { name: 'station-7', tenant: 'Lumen', line: 'Line 3' },
    order: {
      number: '4711',
      product: 'demo-lamp',
      release: '1.4.2',
      hardware_revision: 'B2',
      ready: true,
      quantity: 500,
      passed: 312,
      in_work: 4,
      codes_short: 0,
      takt_s: 12,
      last_pass_s: 8,
      passed_hour: 274,
    },
    hub: { state: 'offline', unsynced: 214, oldest_unsynced_s: 5400, unsynced_bytes: 0, chunks_missing: 0, missing_bytes: 0, lease_ends_in_s: 15_000 },
    slots,
    approvals: [],
    people: SAMPLE_PEOPLE[0]!,
    scanners: [],
    scan: null,
    sound_level: 60,
    rejects: [],
    trouble: null,
  };
}
