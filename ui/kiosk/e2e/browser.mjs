/** Real Chromium, as installed by the system; nothing is downloaded. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** Where screenshots go: SCREENSHOTS, or test-results/kiosk/ of the repository. */
export const SHOTS = process.env.SCREENSHOTS ?? fileURLToPath(new URL('../../../test-results/kiosk', import.meta.url));

export const SIZES = [
  { width: 1280, height: 800 },
  { width: 1366, height: 768 },
  { width: 1920, height: 1080 },
];

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.FLASHLINE_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--force-color-profile=srgb',
    ],
  });
}

/** A page of its own; every error it reports is collected. */
export async function openPage(browser, url, size = SIZES[0]) {
  const context = await browser.newContext({ viewport: size, hasTouch: true, locale: 'en-GB' });
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(url);
  return Object.assign(page, { errors });
}

/** Saves what is on the screen under a name. */
export async function shot(page, name, options = {}) {
  await mkdir(SHOTS, { recursive: true });
  // Colours move for a moment after a change.
  await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => undefined))));
  await page.screenshot({ path: join(SHOTS, `${name}.png`), ...options });
}

/** The tile of a slot in a state, once it is there. */
export function tile(page, number, state) {
  return page.locator(`[data-slot="${number}"][data-state="${state}"]`);
}
