/**
 * The page's one connection to the station daemon.
 *
 * Owns the event stream, the watchdog behind it, the order in which scans are sent, touches on slots
 * and what people do. Leaves every decision about what may be shown to `link.ts`, and every decision about boards to the
 * daemon.
 */
import { ANSWER_MS, hear, mustAsk, START, type Link, type LostReason, type News } from './link';
import type { ActAnswer, ApprovalAnswer, LookAnswer, OpenAnswer, ScanAnswer, StationView, Wish } from './view';

const RETRY_MS = 1000;
const WATCH_MS = 500;

export class Station {
  link = $state.raw<Link>(START);
  /** Milliseconds on the page's own clock, moved twice a second. */
  nowMs = $state(performance.now());

  #stream: EventSource | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #build: string | undefined;
  #scans: Promise<unknown> = Promise.resolve();

  open(): void {
    this.#connect();
    this.#watch = setInterval(() => {
      this.nowMs = performance.now();
      if (mustAsk(this.link, this.nowMs)) void this.#ask();
    }, WATCH_MS);
  }

  close(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#stream?.close();
  }

  /** Sends one scan; scans arrive at the daemon in the order they were made. */
  scan(text: string): Promise<ScanAnswer> {
    const answer = this.#scans.then(() => sendScan(text));
    this.#scans = answer.catch(() => undefined);
    return answer;
  }

  /** Has a slot look again; whether a board makes contact. */
  async look(slot: number): Promise<boolean> {
    const response = await fetch(`/api/slots/${slot}/look`, {
      method: 'POST',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (!response.ok) throw new Error(`the station answered the touch with ${response.status}`);
    return ((await response.json()) as LookAnswer).found;
  }

  /** Enters the PIN of who is in. */
  pin(pin: string): Promise<ActAnswer> {
    return post<ActAnswer>('/api/operator/pin', { pin });
  }

  /** Signs out who is in. */
  signOut(): Promise<ActAnswer> {
    return post<ActAnswer>('/api/operator/out');
  }

  /** Closes the station's share of the order in hand: a lead's act. */
  closeOrder(): Promise<ActAnswer> {
    return post<ActAnswer>('/api/order/close');
  }

  /** Asks for a lead's approval. */
  approve(wish: Wish): Promise<ApprovalAnswer> {
    return post<ApprovalAnswer>('/api/approvals', wish);
  }

  /** Opens a closed slot: a lead's act. */
  openSlot(slot: number): Promise<OpenAnswer> {
    return post<OpenAnswer>(`/api/slots/${slot}/open`);
  }

  #connect(): void {
    const stream = new EventSource('/api/events');
    this.#stream = stream;
    let first = true;
    stream.addEventListener('open', () => void this.#ask());
    stream.addEventListener('view', (event: MessageEvent<string>) => {
      this.#tell({ what: 'pushed', view: JSON.parse(event.data), first, nowMs: performance.now() });
      first = false;
    });
    stream.addEventListener('error', () => void this.#lose());
  }

  /** Asks for the whole view: right after connecting, and when the stream has gone quiet. */
  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const stream = this.#stream;
    const answer = await askView();
    this.#asking = false;
    if (stream !== this.#stream) return;
    if ('view' in answer) {
      this.#tell({ what: 'answered', view: answer.view, nowMs: performance.now() });
    } else {
      this.#drop(answer.lost);
    }
  }

  /** The stream broke: show it at once, then find out why (a stream does not say). */
  async #lose(): Promise<void> {
    this.#drop('unreachable');
    const answer = await askView();
    if (this.link.phase === 'lost' && 'lost' in answer) {
      this.#tell({ what: 'broken', reason: answer.lost });
    }
  }

  #drop(reason: LostReason): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#tell({ what: 'broken', reason });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), RETRY_MS);
  }

  #tell(news: News): void {
    this.link = hear(this.link, news);
    if (this.link.phase !== 'live') return;
    // A new daemon brings a new page with it.
    const { build } = this.link.view;
    if (this.#build !== undefined && this.#build !== build) location.reload();
    this.#build = build;
  }
}

async function askView(): Promise<{ view: StationView } | { lost: LostReason }> {
  try {
    const response = await fetch('/api/view', {
      cache: 'no-store',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (response.status === 401 || response.status === 403) return { lost: 'refused' };
    if (!response.ok) return { lost: 'unreachable' };
    return { view: (await response.json()) as StationView };
  } catch {
    return { lost: 'unreachable' };
  }
}

async function post<T>(path: string, body?: object): Promise<T> {
  const response = await fetch(path, {
    method: 'POST',
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok) throw new Error(`the station answered ${path} with ${response.status}`);
  return (await response.json()) as T;
}

async function sendScan(text: string): Promise<ScanAnswer> {
  const response = await fetch('/api/scan', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!response.ok) throw new Error(`the station answered the scan with ${response.status}`);
  return (await response.json()) as ScanAnswer;
}
