/**
 * The screen's nouns, taken from the daemon's OpenAPI document and nowhere else.
 *
 * Owns nothing but names: `api.d.ts` is generated (`npm run types`) and never edited.
 */
import type { components } from './api';

type Schemas = components['schemas'];

export type StationView = Schemas['StationView'];
export type SlotView = Schemas['SlotView'];
export type SlotState = SlotView['state'];
export type OrderView = NonNullable<StationView['order']>;
export type HubView = StationView['hub'];
export type Trouble = NonNullable<SlotView['trouble']>;
export type TroubleCode = Trouble['code'];
export type Act = Trouble['act'];
export type Blame = Trouble['blame'];
export type ScanAnswer = Schemas['ScanAnswer'];
export type ScanKind = Schemas['ScanKind'];
export type ScanSeen = Schemas['ScanSeen'];
export type ScannerView = Schemas['ScannerView'];
export type PeopleView = StationView['people'];
export type OperatorView = NonNullable<PeopleView['operator']>;
export type OperatorRole = OperatorView['role'];
export type LeadAct = NonNullable<SlotView['lead_act']>;
export type Wish = Schemas['Wish'];
export type ActAnswer = Schemas['ActAnswer'];
export type OpenAnswer = Schemas['OpenAnswer'];
export type ApprovalAnswer = Schemas['ApprovalAnswer'];
export type LookAnswer = Schemas['LookAnswer'];

/** The screen API version this page was written for. */
export const API = 1;
