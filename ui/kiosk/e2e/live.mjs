/**
 * Watches a real station in real Chromium: one slot goes from empty to PASS.
 *
 *   npm run e2e:live -- ADDRESS --control HOST:PORT [--slot 1] [--expect pass] [--within 180]
 *
 * ADDRESS is what `cargo xtask demo` prints, with its nonce; `--control` is the control port of
 * the board in that slot. KIOSK_URL and BOARD_CONTROL say the same. BADGE is typed first, as a scanner
 * does, where the station asks for one. The last line printed is one
 * JSON object; the exit code says whether it happened.
 */
import { parseArgs } from 'node:util';
import { tellBoard } from './board.mjs';
import { openBrowser, openPage, shot, SHOTS, tile } from './browser.mjs';
import { judge, SEEN, until, WATCH } from './watch.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    control: { type: 'string', default: process.env.BOARD_CONTROL },
    slot: { type: 'string', default: '1' },
    expect: { type: 'string', default: 'pass' },
    within: { type: 'string', default: '180' },
    name: { type: 'string', default: 'live' },
  },
});
const address = positionals[0] ?? process.env.KIOSK_URL;
if (!address || !values.control) {
  console.error('usage: npm run e2e:live -- ADDRESS --control HOST:PORT [--slot N] [--expect pass|seen_before] [--within SECONDS]');
  process.exit(2);
}
const { control, slot, expect, name } = values;
const timeout = Number(values.within) * 1000;
const deadline = Date.now() + timeout;

const browser = await openBrowser();
try {
  const page = await openPage(browser, address);
  await page.locator('[data-link=live]').waitFor({ timeout });
  if (process.env.BADGE) {
    await page.locator('[data-badge=odd]').waitFor({ timeout });
    await shot(page, `${name}-nobody`);
    await page.keyboard.type(process.env.BADGE);
    await page.keyboard.press('Enter');
    await page.locator('[data-badge=calm]').waitFor({ timeout });
  }
  const empty = await tile(page, slot, 'empty').count();
  if (empty === 0) await tellBoard(control, 'remove');
  await tile(page, slot, 'empty').waitFor({ timeout });
  await shot(page, `${name}-empty`);
  await page.evaluate(`(${WATCH})(${Number(slot)})`);

  const started = Date.now();
  await tellBoard(control, 'insert');
  // A board that holds the firmware already is never flashed: the shot is then of what came.
  const working = tile(page, slot, expect === 'pass' ? 'flashing' : expect);
  await working.waitFor({ timeout: Math.max(1, deadline - Date.now()) }).catch(() => undefined);
  await shot(page, `${name}-working`);
  const seen = await until(`slot ${slot} to show ${expect}`, deadline, async () => {
    const states = await page.evaluate(`(${SEEN})()`);
    const over = states.some((state) => ['pass', 'seen_before', 'fail', 'closed'].includes(state));
    return over ? states : undefined;
  });
  const ms = Date.now() - started;
  await shot(page, `${name}-${seen.at(-1)}`);
  const way = judge(seen, expect);
  if (page.errors.length > 0) throw new Error(`the page reported: ${page.errors.join(' | ')}`);
  console.log(JSON.stringify({ slot: Number(slot), states: way, ms, screenshots: `${SHOTS}/${name}-*.png` }));
} finally {
  await browser.close();
}
