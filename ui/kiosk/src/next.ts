/**
 * The one next thing for the worker's hands.
 *
 * A pure function of the view. A fault of the whole station comes first, then a badge where people
 * are kept, then boards that must leave a slot, then boards that may come in. It advises; the daemon decides.
 */
import type { Act, SlotView, StationView } from './view';

export type Next =
  | { what: 'act'; act: Act; slots: number[] }
  | { what: 'take_out'; slots: number[] }
  | { what: 'place_boards'; slots: number[] }
  | { what: 'order_done' }
  /** The release does not lie whole on the station yet: no board can be made. */
  | { what: 'await_release' }
  | { what: 'wait' };

export function nextOf(view: StationView): Next {
  if (view.trouble != null) return { what: 'act', act: view.trouble.act, slots: [] };
  const scan = (act: Act): Next => ({ what: 'act', act: canScan(view) ? act : 'plug_in_scanner', slots: [] });
  if (view.people.kept && view.people.operator == null) return scan('scan_badge');

  const failed = inState(view.slots, 'fail').filter((slot) => slot.trouble != null);
  const first = failed[0]?.trouble?.act;
  if (first !== undefined) {
    const same = failed.filter((slot) => slot.trouble?.act === first);
    return { what: 'act', act: first, slots: numbers(same) };
  }

  const done = view.slots.filter((slot) => slot.state === 'pass' || slot.state === 'seen_before');
  if (done.length > 0) return { what: 'take_out', slots: numbers(done) };

  const order = view.order;
  if (order == null) return scan('scan_work_order');

  if (!order.ready && order.passed < order.quantity) return { what: 'await_release' };

  const places = order.quantity - order.passed - order.in_work;
  const empty = inState(view.slots, 'empty');
  if (places > 0 && empty.length > 0) return { what: 'place_boards', slots: numbers(empty) };

  const usable = view.slots.filter((slot) => slot.state !== 'closed');
  if (usable.length === 0) return { what: 'act', act: 'call_lead', slots: [] };
  if (order.passed >= order.quantity && empty.length === usable.length) return { what: 'order_done' };
  return { what: 'wait' };
}

/** Whether the worker must do something: then it is blue, else it stays grey. */
export function isMandatory(next: Next): boolean {
  if (next.what === 'act') return next.act !== 'wait_for_station';
  return next.what !== 'wait' && next.what !== 'await_release';
}

/** Whether a scanner is there; a station without any of its own hears one that types into the page. */
function canScan({ scanners }: StationView): boolean {
  return scanners.length === 0 || scanners.some((scanner) => scanner.trouble == null);
}

function inState(slots: SlotView[], state: SlotView['state']): SlotView[] {
  return slots.filter((slot) => slot.state === state);
}

function numbers(slots: SlotView[]): number[] {
  return slots.map((slot) => slot.number);
}
