/** Real Chromium, as installed by the system; nothing is downloaded. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** Where screenshots go: FLASHLINE_TEST_RESULTS, or test-results/ of the repository. */
export const RESULTS =
  process.env.FLASHLINE_TEST_RESULTS ?? fileURLToPath(new URL('../../../test-results', import.meta.url));

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

export async function shot(page, name, options = {}) {
  const folder = join(RESULTS, 'kiosk');
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), ...options });
}

/** The tile of a slot in a state, once it is there. */
export function tile(page, number, state) {
  return page.locator(`[data-slot="${number}"][data-state="${state}"]`);
}
