/**
 * Watches a real station in the real kiosk window: slot 1 goes from empty to PASS.
 *
 *   KIOSK_URL=http://… BOARD_CONTROL=HOST:PORT KIOSK_SHELL=path TAURI_DRIVER=path \
 *     node src-tauri/e2e/window.mjs
 *
 * Plain W3C WebDriver calls over HTTP; its own screen (Xvfb, 1280×800) and its own message bus.
 * SCREENSHOTS names the folder for images. The last line printed is one JSON object.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tellBoard } from '../../ui/kiosk/e2e/board.mjs';
import { judge, SEEN, until, WATCH } from '../../ui/kiosk/e2e/watch.mjs';

const SHOTS = process.env.SCREENSHOTS ?? fileURLToPath(new URL('../../test-results/kiosk', import.meta.url));
const [WIDTH, HEIGHT] = [1280, 800];
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

const need = (name) => {
  if (process.env[name]) return process.env[name];
  console.error(`window.mjs: ${name} is not set; see the head of this file`);
  process.exit(2);
};
const url = need('KIOSK_URL');
const control = need('BOARD_CONTROL');
const shell = need('KIOSK_SHELL');
const driver = process.env.TAURI_DRIVER ?? 'tauri-driver';
const slot = Number(process.env.SLOT ?? 1);
const deadline = Date.now() + Number(process.env.WITHIN_S ?? 240) * 1000;

/** Processes of this run, ended in reverse order. */
const started = [];
function start(program, args, env, stdio) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio });
  child.on('error', (error) => console.error(`window.mjs: ${program}: ${error.message}`));
  started.push(child);
  return child;
}

/** The first line a process writes to a stream. */
function firstLine(child, stream, what) {
  let text = '';
  return new Promise((done, fail) => {
    stream.on('data', (bytes) => {
      text += bytes;
      if (text.includes('\n')) done(text.slice(0, text.indexOf('\n')).trim());
    });
    child.on('exit', () => fail(new Error(`${what} ended before it was ready`)));
  });
}

function freePort() {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

let base;
async function call(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${value?.error}: ${value?.message}`);
  return value;
}
const run = (script, ...args) => call('POST', '/execute/sync', { script, args });
/** Runs a function given as text; what it returns comes back. */
const apply = (text, ...args) => run(`return (${text}).apply(null, arguments)`, ...args);
async function find(css) {
  return call('POST', '/element', { using: 'css selector', value: css }).then((found) => found[ELEMENT]).catch(() => undefined);
}
const waitFor = (css) => until(`"${css}" in the window`, deadline, () => find(css));
/**
 * Saves what the window shows. WebKit takes the picture with the next frame it draws, and a calm
 * page draws none: a dot in the corner changes until the picture is there.
 */
async function shot(name) {
  await apply(`() => {
    const dot = document.body.appendChild(document.createElement('i'));
    dot.style.cssText = 'position:fixed;right:0;bottom:0;width:1px;height:1px';
    let on = false;
    const timer = setInterval(() => (dot.style.background = (on = !on) ? '#ccd1d5' : '#ccd1d6'), 30);
    window.flashlineCalm = () => (clearInterval(timer), dot.remove());
  }`);
  const image = await call('GET', '/screenshot');
  await run('window.flashlineCalm()');
  await mkdir(SHOTS, { recursive: true });
  await writeFile(join(SHOTS, `window-${name}.png`), Buffer.from(image, 'base64'));
}
async function touch(element) {
  const finger = { type: 'pointer', id: 'finger', parameters: { pointerType: 'touch' } };
  const actions = [
    { type: 'pointerMove', origin: { [ELEMENT]: element }, x: 0, y: 0 },
    { type: 'pointerDown', button: 0 },
    { type: 'pointerUp', button: 0 },
  ];
  await call('POST', '/actions', { actions: [{ ...finger, actions }] });
}

const home = await mkdtemp(join(tmpdir(), 'flashline-window-'));
try {
  const screen = start('Xvfb', ['-displayfd', '3', '-screen', '0', `${WIDTH}x${HEIGHT}x24`, '-nolisten', 'tcp'], {}, ['ignore', 'ignore', 'ignore', 'pipe']);
  const display = `:${await firstLine(screen, screen.stdio[3], 'Xvfb')}`;
  const bus = start('dbus-daemon', ['--session', '--nofork', '--print-address=1'], {}, ['ignore', 'pipe', 'ignore']);
  const busAddress = await firstLine(bus, bus.stdout, 'dbus-daemon');

  const [port, nativePort] = [await freePort(), await freePort()];
  start(driver, ['--port', String(port), '--native-port', String(nativePort)], {
    DISPLAY: display,
    DBUS_SESSION_BUS_ADDRESS: busAddress,
    GDK_BACKEND: 'x11',
    HOME: home,
    XDG_RUNTIME_DIR: home,
    NO_AT_BRIDGE: '1',
    WEBKIT_DISABLE_DMABUF_RENDERER: '1',
    // WebKit's sandbox needs user namespaces, which a root shell in a container does not have.
    ...(process.getuid?.() === 0 ? { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' } : {}),
  }, ['ignore', 'inherit', 'inherit']);
  base = `http://127.0.0.1:${port}`;
  await until('tauri-driver', deadline, () => call('GET', '/status').then(() => true, () => undefined));
  const { sessionId, capabilities } = await call('POST', '/session', {
    capabilities: { alwaysMatch: { 'tauri:options': { application: shell, args: [url] } } },
  });
  base += `/session/${sessionId}`;

  await waitFor('[data-link=live]');
  await run(`document.querySelector('.language').dataset.seen = 'yes'`);
  if ((await find(`[data-slot="${slot}"][data-state=empty]`)) === undefined) await tellBoard(control, 'remove');
  await waitFor(`[data-slot="${slot}"][data-state=empty]`);
  await shot('empty');

  const size = await run('return [innerWidth, innerHeight]');
  assert.deepEqual(size, [WIDTH, HEIGHT], 'the window covers the screen');
  assert.equal(await run(`return document.fonts.check('16px "Noto Sans CJK SC"', '烧录')`), true, 'Chinese has its font');
  const blocked = await apply(`() => {
    const keys = [{ key: 'F5' }, { key: 'r', ctrlKey: true }, { key: 'ArrowLeft', altKey: true }, { key: 'F12' }]
      .map((key) => new KeyboardEvent('keydown', { ...key, bubbles: true, cancelable: true }));
    const menu = new MouseEvent('contextmenu', { bubbles: true, cancelable: true });
    return [...keys, menu].map((event) => !document.body.dispatchEvent(event));
  }`);
  assert.deepEqual(blocked, [true, true, true, true, true], 'menu and shortcuts are closed');
  assert.equal(await run('return window.open("https://example.org") === null'), true, 'no second window opens');
  assert.equal(await run('return typeof window.__TAURI__'), 'undefined', 'the page has no native powers');
  const command = await call('POST', '/execute/async', {
    script: `const done = arguments[arguments.length - 1];
      const tauri = window.__TAURI_INTERNALS__;
      if (!tauri) return done('no bridge');
      tauri.invoke('plugin:window|close', { label: 'main' }).then(() => done('closed'), () => done('denied'));`,
    args: [],
  });
  assert.ok(['denied', 'no bridge'].includes(command), `a native command was ${command}`);
  await run('location.href = "https://example.org/"');
  assert.equal(await run('return document.querySelector(".language").dataset.seen'), 'yes', 'the page cannot be left');

  await touch(await waitFor('.language'));
  await touch(await waitFor('dialog [data-language="zh-Hans"]'));
  await waitFor('html[lang="zh-Hans"]');
  await shot('empty-zh');
  await touch(await waitFor('.language'));
  await touch(await waitFor('dialog [data-language="en"]'));
  await waitFor('html[lang="en"]');

  await apply(WATCH, slot);
  const begun = Date.now();
  await tellBoard(control, 'insert');
  const expect = process.env.EXPECT ?? 'pass';
  // A board that holds the firmware already is never flashed: the shot is then of what came.
  await waitFor(`[data-slot="${slot}"][data-state=${expect === 'pass' ? 'flashing' : expect}]`);
  await shot('working');
  const seen = await until(`slot ${slot} to finish`, deadline, async () => {
    const states = await apply(SEEN);
    return states.some((state) => ['pass', 'seen_before', 'fail', 'closed'].includes(state)) ? states : undefined;
  });
  const ms = Date.now() - begun;
  await shot(seen.at(-1));
  const states = judge(seen, expect);
  await call('DELETE', '');
  console.log(JSON.stringify({ slot, states, ms, engine: `${capabilities.browserName} ${capabilities.browserVersion}`, screenshots: join(SHOTS, 'window-*.png') }));
} finally {
  for (const child of started.reverse()) child.kill('SIGTERM');
  await rm(home, { recursive: true, force: true });
}
