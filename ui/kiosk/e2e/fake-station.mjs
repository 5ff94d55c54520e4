/**
 * A station that exists only at the protocol: serves the built page and speaks /api over loopback.
 *
 * It lives outside the product, carries the daemon's own content security policy, and has levers
 * for what a network and a daemon can do wrong.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "font-src 'self'; media-src 'self' data:; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export async function openFakeStation(view) {
  const station = new FakeStation(view);
  await station.listen();
  return station;
}

class FakeStation {
  /** Texts of all scans, in the order they arrived. */
  scans = [];
  /** Numbers of all slots that were to look again, in order. */
  looks = [];
  /** What happens when a slot is to look; says whether it found a board. */
  look = () => false;
  /** What was posted beside scans and looks: `[path, body]`, in order. */
  acts = [];
  /** What such a post is answered; gets path and body. */
  act = () => ({ accepted: true, word: 'approved', wait_s: null, code: null });
  /** What a lead's page is answered, by path. */
  figures = {};
  /** What the next scans are answered. */
  answer = { accepted: true, word: 'order_selected', kind: 'order', code: null, slot: null };
  /** `up`: answers · `down`: closes every connection · `hangs`: takes requests, never answers · `refuses`: 401. */
  mood = 'up';
  #view;
  #streams = new Set();
  #server = createServer((request, response) => void this.#serve(request, response));
  #port = 0;

  constructor(view) {
    this.#view = view;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get streams() {
    return this.#streams.size;
  }

  async listen() {
    await new Promise((done) => this.#server.listen(this.#port, '127.0.0.1', done));
    this.#port = this.#server.address().port;
  }

  /** Shows a new view to everybody who listens. */
  show(view) {
    this.#view = { ...view, seq: this.#view.seq + 1 };
    for (const stream of this.#streams) this.#push(stream);
  }

  /** Closes every open stream, as a restarted daemon or a pulled cable does. */
  cut() {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  /** Changes the mood; connections are cut only where the mood says so. */
  become(mood) {
    this.mood = mood;
    if (mood === 'down' || mood === 'refuses') this.cut();
  }

  async close() {
    this.cut();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  #push(stream) {
    if (this.mood !== 'hangs') stream.write(`event: view\ndata: ${JSON.stringify(this.#view)}\n\n`);
  }

  async #serve(request, response) {
    const path = new URL(request.url, this.url).pathname;
    response.setHeader('content-security-policy', CSP);
    response.setHeader('x-content-type-options', 'nosniff');
    if (!path.startsWith('/api/')) return this.#file(path, response);
    if (this.mood === 'down') return request.destroy();
    if (this.mood === 'hangs') return undefined;
    if (this.mood === 'refuses') return response.writeHead(401).end();

    if (path === '/api/view') {
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify(this.#view));
    }
    if (path === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
      return this.#push(response);
    }
    if (path === '/api/scan' && request.method === 'POST') {
      let body = '';
      for await (const part of request) body += part;
      this.scans.push(JSON.parse(body).text);
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify(this.answer));
    }
    if (/^\/api\/(operator\/(pin|out)|order\/close|approvals|slots\/\d+\/open)$/.test(path) && request.method === 'POST') {
      let body = '';
      for await (const part of request) body += part;
      const sent = body === '' ? undefined : JSON.parse(body);
      this.acts.push([path, sent]);
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify(await this.act(path, sent)));
    }
    if (path in this.figures) {
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify(this.figures[path]));
    }
    const look = /^\/api\/slots\/(\d+)\/look$/.exec(path);
    if (look && request.method === 'POST') {
      const slot = Number(look[1]);
      this.looks.push(slot);
      const found = await this.look(slot);
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ found }));
    }
    return response.writeHead(404).end();
  }

  async #file(path, response) {
    const name = extname(path) === '' ? 'index.html' : normalize(path);
    try {
      const bytes = await readFile(join(DIST, name));
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }
}
