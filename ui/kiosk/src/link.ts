/**
 * What the page knows of the station, and how sure it is.
 *
 * A pure reducer: time and news come in, the next link comes out. It owns no socket and no clock.
 *
 * Promise: only `live` holds a view. Once the station is out of reach there is no view left to
 * draw, so a stale green cannot be shown, by type.
 */
import { API, type StationView } from './view';

/** Why nothing can be shown. */
export type LostReason = 'unreachable' | 'refused' | 'other_api';

export type Link =
  | { phase: 'connecting' }
  | { phase: 'live'; view: StationView; heardMs: number }
  | { phase: 'lost'; reason: LostReason; slots: number[] };

export type News =
  /** A view pushed on the stream; the first one of a connection may restart the count. */
  | { what: 'pushed'; view: StationView; first: boolean; nowMs: number }
  /** A view that was asked for; it may have been overtaken by a pushed one. */
  | { what: 'answered'; view: StationView; nowMs: number }
  | { what: 'broken'; reason: LostReason };

/** After this silence the page asks the station whether it is still there. */
export const SILENCE_MS = 2500;
/** And believes it gone when no answer came within this time. */
export const ANSWER_MS = 2000;

export const START: Link = { phase: 'connecting' };

export function hear(link: Link, news: News): Link {
  switch (news.what) {
    case 'broken':
      return { phase: 'lost', reason: news.reason, slots: slotNumbers(link) };
    case 'pushed':
    case 'answered': {
      const { view, nowMs } = news;
      if (view.api !== API) return { phase: 'lost', reason: 'other_api', slots: slotNumbers(link) };
      const restarted = news.what === 'pushed' && news.first;
      if (link.phase === 'live' && !restarted && view.seq < link.view.seq) {
        return { ...link, heardMs: nowMs };
      }
      return { phase: 'live', view, heardMs: nowMs };
    }
  }
}

/** Whether the station has been silent for so long that the page must ask. */
export function mustAsk(link: Link, nowMs: number): boolean {
  return link.phase === 'live' && nowMs - link.heardMs >= SILENCE_MS;
}

function slotNumbers(link: Link): number[] {
  switch (link.phase) {
    case 'connecting':
      return [];
    case 'live':
      return link.view.slots.map((slot) => slot.number);
    case 'lost':
      return link.slots;
  }
}
