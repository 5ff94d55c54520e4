/** The lead's page in real Chromium, over figures that are only a protocol. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { openBrowser, openPage, shot, SIZES } from './browser.mjs';
import { openFakeStation } from './fake-station.mjs';
import { assertFits } from './fits.mjs';
import { leadFigures, leadVisits } from './figures.mjs';
import { fixture } from './views.mjs';

let browser;
let fake;
let page;

before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());
beforeEach(async () => {
  fake = await openFakeStation(fixture(16));
});
afterEach(async () => {
  await page?.context().close();
  page = undefined;
  await fake.close();
});

async function open(figures, size = SIZES[0]) {
  fake.figures = { '/api/figures': figures, '/api/figures/visits': leadVisits(40) };
  page = await openPage(browser, `${fake.url}/#/lead`, size);
  await page.locator('[role=tab]').first().waitFor();
  return page;
}

test('at every size, every view of a sixteen-slot line fits, and every key is a finger wide', async () => {
  for (const size of SIZES) {
    await open(leadFigures(16), size);
    for (const [index, tab] of ['overview', 'slots', 'time', 'boards'].entries()) {
      await page.locator('[role=tab]').nth(index).click();
      await page.locator(`main[data-tab=${tab}]`).waitFor();
      if (tab === 'boards') await page.locator('[data-visit]').first().waitFor();
      const name = `lead-${tab}-${size.width}x${size.height}`;
      await shot(page, name);
      await assertFits(page, name);
    }
    await page.context().close();
  }
});

test('a slot with failing pins is named in words, and a touch leads to its boards', async () => {
  await open(leadFigures(4));
  await page.locator('[role=tab]').nth(1).click();
  const suspect = page.locator('tr[data-slot="3"]');
  assert.match(await suspect.innerText(), /Check pins/);
  assert.doesNotMatch(await page.locator('tr[data-slot="1"]').innerText(), /Check pins/);
  const asked = page.waitForRequest((request) => request.url().includes('/api/figures/visits') && request.url().includes('slot=3'));
  await page.locator('.keys button').click();
  await asked;
  await page.locator('[data-visit]').first().waitFor();
});

test('a cause leads to its boards, a board to all of its visits, and back to all boards', async () => {
  await open(leadFigures(4));
  const asks = (part) => page.waitForRequest((request) => request.url().includes(part));
  const cause = asks('trouble=F-10');
  await page.locator('[data-key="F-10"]').click();
  await cause;
  const unit = asks('unit=');
  await page.locator('[data-visit] button:enabled').first().click();
  await unit;
  await page.getByRole('button', { name: 'All boards' }).click();
  const file = await page.getByText('Save as CSV').getAttribute('href');
  assert.equal(file, '/api/figures/visits.csv?order=4711');
});

test('figures that cannot be read are said to be so, and the line is one touch away', async () => {
  fake.figures = {};
  page = await openPage(browser, `${fake.url}/#/lead`);
  await page.getByText('The figures cannot be read').waitFor();
  await page.getByRole('button', { name: /Back to the line/ }).click();
  await page.locator('.screen[data-link=live]').waitFor();
  assert.equal(await page.locator('.page').count(), 0);
});
