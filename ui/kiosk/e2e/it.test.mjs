/** IT's page in real Chromium, over findings that are only a protocol. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { openBrowser, openPage, shot, SIZES } from './browser.mjs';
import { openFakeStation } from './fake-station.mjs';
import { assertFits } from './fits.mjs';
import { fixture } from './views.mjs';

const PORTS = ['1366:0101@1-4.1', 'usb:1-2.3', 'tty:/dev/serial/by-path/pci-0000:00:14.0-usb-0:4.2:1.0-port0@115200'];

function finding(check, about, level, sentence) {
  return { check, about, level, sentence };
}

/** A station with sixteen slots; `wrong` findings need somebody. */
function preflight(wrong) {
  const findings = [
    finding('usb_endpoints', 'usb1', 'ok', 'The controller usb1 serves 12 endpoints of 31.'),
    ...Array.from({ length: 16 }, (_, at) => finding('port', `slot ${at + 1}`, 'ok', `The station may read and write ${PORTS[at % 3]}.`)),
    finding('disk', 'disk', 'ok', "The station's disk has 91234 MiB of room."),
    finding('swap', 'swap', 'ok', 'No swap area is on a disk.'),
    finding('tpm', 'tpm', 'ok', 'A TPM is there.'),
    finding('clock', 'clock', 'ok', 'The clock agrees with what the hub last said.'),
    finding('hub', 'hub', 'ok', 'The hub answers.'),
  ];
  if (wrong) {
    Object.assign(findings[3], { level: 'fail', sentence: `The station may not read and write /dev/bus/usb/001/017 (${PORTS[2]}).` });
    Object.assign(findings[18], { level: 'fail', sentence: 'Swap is on (/dev/sda2): plain firmware could reach the disk.' });
    Object.assign(findings[19], { level: 'warn', sentence: 'No TPM is there: whoever copies the disk has the keys of the station.' });
    Object.assign(findings[21], { level: 'warn', sentence: 'The hub does not answer; the station works on its lease.' });
  }
  return { level: wrong ? 'fail' : 'ok', findings };
}

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

async function open(size = SIZES[0], language = 'en') {
  fake.show({ ...fixture(16), language_hint: language });
  page = await openPage(browser, `${fake.url}/#/it`, size);
  await page.locator('.again').waitFor();
  return page;
}

test('at every size and in every language, what needs somebody comes first, fits, and is named without colour', async () => {
  fake.figures = { '/api/preflight': preflight(true) };
  for (const size of SIZES) {
    for (const language of ['en', 'zh', 'ja']) {
      await open(size, language);
      if (language !== 'en') await page.locator(`html[lang^=${language}]`).waitFor();
      const name = `it-${size.width}x${size.height}-${language}`;
      await shot(page, name);
      await assertFits(page, name);
      assert.deepEqual(await page.locator('li').evaluateAll((rows) => rows.map((row) => row.className.split(' ')[0])), ['fail', 'fail', 'warn', 'warn', 'ok'], name);
      await page.context().close();
      page = undefined;
    }
  }
});

test('all findings can be turned to by touch, and a look again begins with the first', async () => {
  fake.figures = { '/api/preflight': preflight(true) };
  await open();
  const seen = new Set();
  for (let turn = 0; turn < 5; turn += 1) {
    for (const what of await page.locator('li .what').allInnerTexts()) seen.add(what);
    if (turn < 4) await page.getByRole('button', { name: 'Next' }).click();
  }
  assert.equal(seen.size, 22);
  fake.figures = { '/api/preflight': preflight(false) };
  await page.getByRole('button', { name: 'Look again' }).click();
  await page.locator('[data-preflight=ok]').waitFor();
  assert.match(await page.locator('.all').innerText(), /all 22 are in order/);
});

test('a station that does not answer is said to be so, and the line is one touch away', async () => {
  fake.figures = {};
  await open();
  await page.getByText('The station does not answer').waitFor();
  await page.getByRole('button', { name: /Back to the line/ }).click();
  await page.locator('.screen[data-link=live]').waitFor();
  assert.equal(await page.locator('.page').count(), 0);
});

test('a page that does not load leaves the line in its place', async () => {
  page = await openPage(browser, fake.url);
  await page.locator('.screen[data-link=live]').waitFor();
  await page.route('**/assets/ItPage-*', (route) => route.abort());
  await page.evaluate(() => (location.hash = '#/it'));
  await page.waitForURL((url) => url.hash === '');
  await page.locator('.screen[data-link=live]').waitFor();
});
