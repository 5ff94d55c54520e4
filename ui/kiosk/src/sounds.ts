/**
 * What the screen sounds like: five short sounds, each beside something that is seen.
 *
 * Owns which change of the view is heard, and of several at once which one. Pure; `synth.ts` plays.
 * A sound never stands alone: whatever is heard is also a tile, the bar or the scan's note.
 */
import { nextOf } from './next';
import type { LastScan } from './scan-note';
import type { StationView } from './view';

export type Sound = 'pass' | 'fail' | 'scan_accepted' | 'scan_refused' | 'attention';

/** Of several at once the first is heard. */
const RANK: Sound[] = ['fail', 'attention', 'pass'];

/** What a new view sounds like after the one before; nothing for the first one. */
export function soundOf(before: StationView | undefined, now: StationView): Sound | undefined {
  if (before === undefined) return undefined;
  const heard = new Set<Sound>();
  for (const slot of now.slots) {
    const was = before.slots.find((other) => other.number === slot.number);
    if (was === undefined || was.state === slot.state) continue;
    if (slot.state === 'pass' || slot.state === 'seen_before') heard.add('pass');
    if (slot.state === 'fail' || slot.state === 'closed') heard.add('fail');
  }
  if (now.trouble != null && before.trouble?.code !== now.trouble.code) heard.add('attention');
  const next = nextOf(now);
  const calls = next.what === 'act' && (next.act === 'call_lead' || next.act === 'plug_in_scanner');
  const called = nextOf(before);
  if (calls && !(called.what === 'act' && called.act === next.act)) heard.add('attention');
  return RANK.find((sound) => heard.has(sound));
}

/** What a scan's fate sounds like. A scan that came twice was heard already. */
export function soundOfScan(last: LastScan): Sound | undefined {
  switch (last.step) {
    case 'answered':
      if (last.answer.word === 'doubled') return undefined;
      return last.answer.accepted ? 'scan_accepted' : 'scan_refused';
    case 'half':
    case 'unanswered':
      return 'scan_refused';
    case 'none':
    case 'sent':
      return undefined;
  }
}
