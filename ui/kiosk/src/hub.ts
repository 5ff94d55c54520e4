/** The hub's state as two lines of words and a tone. Offline is normal operation, not an alarm. */
import type { HubView } from './view';
import { spanOf, type Words } from './words/words';

export type HubTone = 'calm' | 'odd' | 'bad';

export interface HubText {
  title: string;
  detail: string;
  tone: HubTone;
  online: boolean;
}

/** Below this the lease needs somebody's attention. */
export const LEASE_SHORT_S = 2 * 3600;

export function hubText(hub: HubView, words: Words): HubText {
  const { unsynced, lease_ends_in_s: lease } = hub;
  switch (hub.state) {
    case 'online':
      return {
        title: words.hub.online,
        detail: unsynced === 0 ? words.hub.allThere : words.hub.sending(unsynced),
        tone: leaseTone(lease),
        online: true,
      };
    case 'offline':
    case 'connecting': {
      const parts = [words.hub.safeHere(unsynced)];
      if (lease === 0) parts.push(words.hub.leaseOver);
      else if (lease != null) parts.push(words.hub.leaseFor(spanOf(lease, words)));
      return {
        title: hub.state === 'offline' ? words.hub.offline : words.hub.connecting,
        detail: parts.join(words.clauseSeparator),
        tone: leaseTone(lease),
        online: false,
      };
    }
    case 'not_enrolled':
      return { title: words.hub.notEnrolled, detail: words.hub.callIt, tone: 'odd', online: false };
  }
}

function leaseTone(lease: number | null | undefined): HubTone {
  if (lease == null) return 'calm';
  if (lease === 0) return 'bad';
  return lease < LEASE_SHORT_S ? 'odd' : 'calm';
}
