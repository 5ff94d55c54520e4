/**
 * The built page in real Chromium against a station that is only a protocol.
 *
 * Run `npm run build` first. Waits are for conditions, never for seconds; screenshots go to
 * test-results/kiosk/.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { openBrowser, openPage, shot, SIZES, tile } from './browser.mjs';
import { openFakeStation } from './fake-station.mjs';
import { fixture, operator, slot, STATES, station } from './views.mjs';

let browser;
let fake;
let page;

before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());
beforeEach(async () => {
  fake = await openFakeStation(fixture(4));
});
afterEach(async () => {
  await page?.context().close();
  page = undefined;
  await fake.close();
});

async function open(view, size, path = '/') {
  if (view) fake.show(view);
  page = await openPage(browser, fake.url + path, size);
  return page;
}

/** Types like a keyboard-wedge scanner; null stands for a scan without its Enter. */
async function scan(text, end = 'Enter') {
  await page.keyboard.type(text);
  if (end) await page.keyboard.press(end);
}

/** The page does not scroll, and every piece of text lies inside the box it belongs to. */
async function assertNothingScrolls(name) {
  const found = await page.evaluate(() => {
    const { scrollWidth, scrollHeight, clientWidth, clientHeight } = document.documentElement;
    const inside = (inner, outer) =>
      inner.left >= outer.left - 1 && inner.top >= outer.top - 1 && inner.right <= outer.right + 1 && inner.bottom <= outer.bottom + 1;
    const screen = new DOMRect(0, 0, clientWidth, clientHeight);
    const outside = [...document.querySelectorAll('header, main, footer, .tile, .silence')]
      .filter((e) => !inside(e.getBoundingClientRect(), screen))
      .map((e) => e.className || e.tagName);
    for (const text of document.querySelectorAll('.screen span:not(:has(*)), .screen h1')) {
      if (text.getClientRects().length === 0 || getComputedStyle(text).textOverflow === 'ellipsis') continue;
      const box = text.closest('.text, .plate, .badge, .next, .scan, .key, .silence, .hub, .order, header');
      // Across: where the letters are. Down: the lines, because letters may lean out of a tight line.
      const letters = document.createRange();
      letters.selectNodeContents(text);
      const [across, down] = [letters.getBoundingClientRect(), text.getBoundingClientRect()];
      const all = new DOMRect(across.left, down.top, across.width, down.height);
      if (!inside(all, box.getBoundingClientRect())) outside.push(`${text.className.split(' ')[0]} "${text.textContent}"`);
    }
    const texts = [...document.querySelectorAll('.screen span:not(:has(*)), .screen h1')]
      .filter((e) => e.getClientRects().length > 0 && e.textContent.trim() !== '')
      .map((e) => [e.textContent, e.getBoundingClientRect()]);
    for (const [i, [one, a]] of texts.entries()) {
      for (const [other, b] of texts.slice(i + 1)) {
        const over = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
        if (over) outside.push(`"${one}" over "${other}"`);
      }
    }
    return { scrolls: scrollWidth > clientWidth || scrollHeight > clientHeight, outside };
  });
  assert.deepEqual(found, { scrolls: false, outside: [] }, name);
}

async function assertTargets(name) {
  const small = await page.evaluate(() => {
    const mm = Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--mm'));
    const boxes = [...document.querySelectorAll('button')].map((e) => [e, e.getBoundingClientRect()]);
    const wrong = [];
    for (const [e, box] of boxes) {
      const least = e.classList.contains('next') ? [40 * mm, 25 * mm] : [20 * mm, 20 * mm];
      if (box.width < least[0] - 0.5 || box.height < least[1] - 0.5) wrong.push(`${e.className} ${box.width}×${box.height}`);
      for (const [other, there] of boxes) {
        if (other === e) continue;
        const gap = Math.max(there.left - box.right, box.left - there.right, there.top - box.bottom, box.top - there.bottom);
        const near = e.closest('dialog') === other.closest('dialog') && gap < 6 * mm - 0.5;
        if (near) wrong.push(`${e.className} and ${other.className} are ${gap} px apart`);
      }
    }
    return wrong;
  });
  assert.deepEqual(small, [], name);
}

async function assertAccessible(name) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`);
  assert.deepEqual(found, [], name);
}

test('every state is shown by its own word and picture, and says nothing by colour alone', async () => {
  await open(station([slot(1, 'empty')]));
  const seen = new Set();
  for (const state of STATES) {
    fake.show(station([slot(1, state)]));
    const here = tile(page, 1, state);
    await here.waitFor();
    const word = await here.locator('.word').innerText();
    const picture = await here.locator('.icon svg').innerHTML();
    assert.ok(word.trim() !== '' && !seen.has(word) && !seen.has(picture), `${state}: ${word}`);
    seen.add(word).add(picture);
  }
  assert.deepEqual(page.errors, []);
});

test('at every size and language, fixtures of 1 to 16 slots fit without scrolling', async () => {
  for (const size of SIZES) {
    await open(fixture(1), size);
    for (const count of [1, 2, 4, 8, 16]) {
      for (const language of ['en', 'zh', 'ja']) {
        const name = `${count}-slots-${size.width}x${size.height}-${language}`;
        fake.show(fixture(count, { language_hint: language }));
        await page.locator(`html[lang^=${language}] [data-slot="${count}"]`).waitFor();
        assert.equal(await page.locator('[data-slot]').count(), count);
        await assertNothingScrolls(name);
        await assertTargets(name);
        await shot(page, name);
      }
    }
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});

test('the longest words of every trouble fit their tiles', async () => {
  const codes = [
    ...[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 31, 32, 33],
    ...[34, 35, 36, 37, 38, 39, 41, 42, 43, 44, 51, 52, 53, 54, 60, 61, 62, 63, 64, 65, 66, 67, 68, 99],
  ];
  const acts = ['scan_badge', 'plug_in_again', 'try_other_cable', 'put_in_red_bin', 'call_lead', 'wait_for_station', 'remove_board', 'scan_work_order', 'scan_again', 'scan_bin', 'plug_in_scanner'];
  await open(fixture(1));
  for (const [per, state] of [[4, 'fail'], [8, 'fail'], [16, 'fail'], [8, 'closed']]) {
    for (let start = 0; start < codes.length; start += per) {
      const slots = codes.slice(start, start + per).map((code, i) =>
        slot(i + 1, state, { trouble: { code: `F-${code}`, blame: 'board', act: acts[(start + i) % acts.length], slot: i + 1, incident: 'A7-0412' } }),
      );
      for (const language of ['en', 'zh', 'ja']) {
        fake.show(station(slots, { language_hint: language }));
        await page.locator(`html[lang^=${language}] [data-slot="1"] .detail:has-text("F-${codes[start]}")`).waitFor();
        await assertNothingScrolls(`${per} ${state} from F-${codes[start]} in ${language}`);
      }
    }
  }
});

test('a small dense panel keeps its keys at twenty millimetres', async () => {
  await open(fixture(4), SIZES[0], '/?mm=5.87');
  await tile(page, 4, fixture(4).slots[3].state).waitFor();
  await assertNothingScrolls('10 inch');
  await assertTargets('10 inch');
  await shot(page, 'ten-inch-panel');
});

test('a view that arrives is a view that is shown', async () => {
  await open(station([slot(1, 'empty')]));
  for (const state of ['contact', 'reading', 'flashing', 'verifying', 'activating', 'testing', 'recording', 'pass']) {
    fake.show(station([slot(1, state)]));
    await tile(page, 1, state).waitFor();
  }
  await page.locator('[data-next="remove_board"][data-tone="must"] [data-slots="1"]').waitFor();
  for (const percent of [1, 50, 99]) {
    fake.show(station([slot(1, 'flashing', { percent, remaining_s: 100 - percent })]));
    await page.locator(`[role=progressbar][aria-valuenow="${percent}"]`).first().waitFor();
    await page.getByText(`${percent} % · ${100 - percent} s left`).waitFor();
  }
});

test('a station out of reach never leaves a green tile, and comes back by itself', async () => {
  await open(station([slot(1, 'pass'), slot(2, 'flashing'), slot(3, 'fail'), slot(4, 'seen_before')]));
  await tile(page, 1, 'pass').waitFor();
  fake.become('down');
  await page.locator('[data-link=lost]').waitFor();
  assert.equal(await page.locator('[data-tone=good], [data-tone=bad], [data-tone=odd], [data-tone=working]').count(), 0);
  assert.equal(await page.locator('[data-state=unknown]').count(), 4);
  assert.equal(await page.locator('[data-hub]').count(), 0);
  await assertNothingScrolls('lost');
  await assertAccessible('lost');
  await shot(page, 'lost-en');
  fake.show(station([slot(1, 'empty'), slot(2, 'pass'), slot(3, 'fail'), slot(4, 'empty')]));
  fake.become('up');
  await tile(page, 2, 'pass').waitFor();
  await tile(page, 1, 'empty').waitFor();
  assert.equal(await page.locator('[data-link=live]').count(), 1);
});

test('a stream cut and restored at once shows the newer view', async () => {
  await open(station([slot(1, 'flashing')]));
  await tile(page, 1, 'flashing').waitFor();
  fake.cut();
  fake.show(station([slot(1, 'pass')]));
  await tile(page, 1, 'pass').waitFor();
});

test('a station that holds the line open and says nothing is not believed', async () => {
  await open(station([slot(1, 'pass')]));
  await tile(page, 1, 'pass').waitFor();
  fake.become('hangs');
  await page.locator('[data-link=lost]').waitFor();
  assert.equal(await page.locator('[data-tone=good]').count(), 0);
  fake.become('up');
  fake.cut();
  await tile(page, 1, 'pass').waitFor();
});

test('an idle station is not taken for a dead one', async () => {
  await open(station([slot(1, 'pass')]));
  await tile(page, 1, 'pass').waitFor();
  // Two rounds of the watchdog: each asks because nothing was pushed.
  for (let round = 0; round < 2; round += 1) await page.waitForResponse('**/api/view');
  assert.equal(await page.locator('[data-link=live]').count(), 1);
});

test('a screen without its cookie says to restart, not to wait', async () => {
  fake.become('refuses');
  await open();
  await page.locator('main').getByText('This screen is not signed in to the station').waitFor();
  await shot(page, 'refused-en');
});

test('a station of another API version is not drawn', async () => {
  await open(station([slot(1, 'pass')], { api: 2 }));
  await page.locator('main').getByText('different versions').waitFor();
  assert.equal(await page.locator('[data-tone=good]').count(), 0);
});

test('a new build of the station brings its new page', async () => {
  await open(station([slot(1, 'empty')]));
  await tile(page, 1, 'empty').waitFor();
  const reloaded = page.waitForEvent('load');
  fake.show(station([slot(1, 'pass')], { build: '0.2.0' }));
  await reloaded;
  await tile(page, 1, 'pass').waitFor();
});

test('scans are typed from anywhere and arrive whole and in order', async () => {
  await open(station([slot(1, 'empty')], { order: null }));
  await page.locator('[data-next=scan_work_order][data-tone=must]').waitFor();
  await shot(page, 'scan-the-work-order');
  await scan('WO:4711');
  await scan('SN:LMP-000123');
  await page.locator('[data-scan=good]').getByText('SN:LMP-000123').waitFor();
  assert.deepEqual(fake.scans, ['WO:4711', 'SN:LMP-000123']);
  await shot(page, 'scan-accepted');
});

test('a refused scan has a named answer and half a scan is not even sent', async () => {
  await open(station([slot(1, 'empty')]));
  await tile(page, 1, 'empty').waitFor();
  for (const [text, end, word, kind, code, words] of [
    ['WO:9999', 'Enter', 'unknown_order', 'order', null, 'No such work order here'],
    ['4006381333931', 'Enter', 'not_a_scan', null, 'F-82', 'Not a Flashline label'],
    ['WO:', 'Enter', 'damaged', null, 'F-81', 'Damaged scan – scan again'],
    [`SN:${'x'.repeat(300)}`, 'Enter', 'too_long', null, 'F-81', 'Too long for a scan'],
    ['WO:47', null, 'order_selected', null, null, 'Half a scan – scan again'],
  ]) {
    fake.answer = { accepted: false, word, kind, code, slot: null };
    await scan(text, end);
    await page.locator('[data-scan=odd]').getByText(words).waitFor();
    if (code !== null) await page.locator('[data-scan=odd]').getByText(code).waitFor();
    await assertNothingScrolls(words);
  }
  assert.deepEqual(fake.scans.map((text) => text.slice(0, 6)), ['WO:999', '400638', 'WO:', 'SN:xxx']);
  assert.equal(fake.scans[3].length, 257, 'enough for the station to see that it is too long');
});

test("a scanner's Enter and Space never press a key that has the focus", async () => {
  await open(station([slot(1, 'fail')]));
  await tile(page, 1, 'fail').waitFor();
  await page.locator('.language').focus();
  await scan('SN:A B C');
  await page.locator('[data-scan=good]').waitFor();
  assert.deepEqual(fake.scans, ['SN:A B C']);
  assert.equal(await page.locator('dialog').count(), 0);
});

test('a scan while a card lies open is taken too', async () => {
  await open(station([slot(1, 'fail')]));
  await tile(page, 1, 'fail').tap();
  await page.locator('dialog [data-card=plug_in_again]').waitFor();
  await scan('BIN:RED');
  await page.locator('[data-scan=good]').waitFor();
  assert.deepEqual(fake.scans, ['BIN:RED']);
});

test("what the station's own scanner read is shown, and that it is unplugged", async () => {
  const seen = (number, text, answer, since_ms = 0) => ({ scan: { number, scanner: 1, text, answer, since_ms } });
  const there = [{ number: 1, trouble: null }];
  const gone = [{ number: 1, trouble: { code: 'F-80', blame: 'station', act: 'plug_in_scanner', slot: null, chip: null, incident: 'F-80' } }];
  await open(station([slot(1, 'empty')], { scanners: there, ...seen(7, '4711', { accepted: true, word: 'order_selected', kind: 'order', code: null, slot: null }, 60_000) }));
  await page.locator('[data-scan=rest]').getByText('Ready to scan').waitFor();
  fake.show(station([slot(1, 'empty')], { scanners: there, ...seen(8, '4711', { accepted: true, word: 'order_selected', kind: 'order', code: null, slot: null }) }));
  await page.locator('[data-scan=good]').getByText('Work order chosen').waitFor();
  fake.show(station([slot(1, 'empty')], { scanners: there, ...seen(9, null, { accepted: false, word: 'damaged', kind: null, code: 'F-81', slot: null }) }));
  await page.locator('[data-scan=odd]').getByText('Damaged scan').waitFor();
  for (const size of SIZES) {
    for (const language of ['en', 'zh']) {
      await open(station([slot(1, 'empty')], { scanners: gone, language_hint: language, order: null }), size);
      await page.locator('[data-next=plug_in_scanner][data-tone=must]').waitFor();
      await page.locator('[data-scan=odd]').getByText('F-80').waitFor();
      await assertNothingScrolls(`scanner gone ${language} ${size.width}`);
      await shot(page, `scanner-gone-${language}-${size.width}`);
    }
  }
  await assertAccessible('scanner gone');
});

test('a scan without an answer asks to scan again', async () => {
  await open(station([slot(1, 'empty')]));
  await tile(page, 1, 'empty').waitFor();
  fake.become('hangs');
  await scan('WO:4711');
  await page.locator('[data-scan=odd]').getByText('No answer – scan again').waitFor();
});

test('a touch on a failed slot opens its card, which closes when the trouble is gone', async () => {
  await open(fixture(16));
  const failed = fixture(16).slots.find((s) => s.state === 'fail').number;
  await tile(page, failed, 'fail').tap();
  await page.locator('dialog').getByText('No contact with the board.').waitFor();
  await page.locator('dialog').getByText('Code F-10').waitFor();
  await assertTargets('card');
  await assertAccessible('card');
  await shot(page, 'card-en');
  await page.locator('dialog .close').tap();
  await page.locator('dialog').waitFor({ state: 'detached' });
  await tile(page, failed, 'fail').tap();
  await page.locator('dialog').waitFor();
  fake.show(station([slot(failed, 'empty')]));
  await page.locator('dialog').waitFor({ state: 'detached' });
});

test('a touch on an empty slot says a board is in it, until one answers or the next touch', async () => {
  const others = [slot(1, 'pass'), slot(3, 'flashing'), slot(4, 'empty')];
  const empty = station([others[0], slot(2, 'empty'), ...others.slice(1)]);
  const claimed = station([others[0], slot(2, 'fail', { can_look: true, visit: null, uid_tail: null }), ...others.slice(1)]);
  // The answer leaves before its view does.
  fake.look = () => {
    setTimeout(() => fake.show(claimed), 150);
    return false;
  };
  await open(empty);
  const key = page.getByRole('button', { name: /^2\s*EMPTY\s*Board in here\? Touch$/ });
  await key.waitFor();
  assert.equal(await page.locator('[data-state=flashing] button, [data-state=pass] button').count(), 0);
  await assertTargets('empty');
  await assertAccessible('empty');
  await shot(page, 'board-in-here');

  await key.tap();
  await page.locator('dialog').getByText('Check that it has power.').waitFor();
  await page.locator('dialog').getByText('Lift the board, wipe it, seat it again.').waitFor();
  await page.locator('dialog').getByText('Code F-10').waitFor();
  await shot(page, 'board-without-power');
  await page.locator('dialog .close').tap();
  await page.locator('dialog').waitFor({ state: 'detached' });
  await page.locator('[data-next=plug_in_again] [data-slots="2"]').waitFor();
  await assertAccessible('claimed');
  await shot(page, 'board-without-power-tile');

  // Touched again: taken back, and no card is left to jump out later.
  fake.look = () => {
    fake.show(empty);
    return false;
  };
  await tile(page, 2, 'fail').locator('button').tap();
  await tile(page, 2, 'empty').waitFor();
  assert.deepEqual(fake.looks, [2, 2]);

  // Its power comes on: the card goes by itself.
  fake.look = () => {
    fake.show(claimed);
    return false;
  };
  await key.tap();
  await page.locator('dialog').waitFor();
  fake.show(station([others[0], slot(2, 'reading'), ...others.slice(1)]));
  await page.locator('dialog').waitFor({ state: 'detached' });
  fake.show(station([others[0], slot(2, 'fail'), ...others.slice(1)]));
  await tile(page, 2, 'fail').waitFor();
  assert.equal(await page.locator('dialog').count(), 0);
  assert.deepEqual(page.errors, []);
});

test('fixtures of empty slots fit in every language, and every slot is a key', async () => {
  await open(fixture(1));
  for (const count of [1, 2, 4, 8, 16]) {
    for (const language of ['en', 'zh', 'ja']) {
      fake.show(station(Array.from({ length: count }, (_, i) => slot(i + 1, 'empty')), { language_hint: language }));
      await page.locator(`html[lang^=${language}] [data-slot="${count}"][data-state=empty] button`).waitFor();
      assert.equal(await page.locator('[data-slot] button').count(), count);
      await assertNothingScrolls(`${count} empty in ${language}`);
      await assertTargets(`${count} empty in ${language}`);
      await shot(page, `empty-${count}-${language}`);
    }
  }
});

test('a scan while an empty slot has the focus touches nothing', async () => {
  await open(station([slot(1, 'empty')]));
  await tile(page, 1, 'empty').locator('button').focus();
  await scan('SN:A B');
  await page.locator('[data-scan=good]').waitFor();
  assert.deepEqual([fake.scans, fake.looks], [['SN:A B'], []]);
});

test('the language is one touch away and holds while views arrive', async () => {
  await open(fixture(4));
  await page.locator('.language').tap();
  await page.locator('dialog').waitFor();
  await assertTargets('languages');
  await assertAccessible('languages');
  await shot(page, 'languages');
  await page.locator('[data-language=zh-Hans]').tap();
  await page.locator('html[lang=zh-Hans]').waitFor({ state: 'attached' });
  fake.show(station([slot(1, 'pass'), slot(2, 'fail')]));
  await tile(page, 1, 'pass').getByText('合格', { exact: true }).waitFor();
  await tile(page, 2, 'fail').getByText('没有接触到电路板。').waitFor();
  assert.ok(await page.evaluate(() => document.fonts.check('16px "Noto Sans CJK SC"', '烧录')));
});

test('no screen has an accessibility violation', async () => {
  const screens = [
    ['sixteen', fixture(16)],
    ['sixteen-zh', fixture(16, { language_hint: 'zh' })],
    ['four', station([slot(1, 'fail'), slot(2, 'pass', { since_ms: 3_600_000 }), slot(3, 'seen_before'), slot(4, 'closed')])],
    ['no-order', station([slot(1, 'empty')], { order: null })],
    ['fault', station([slot(1, 'empty')], { trouble: { code: 'F-34', blame: 'station', act: 'call_lead', slot: null, incident: 'A7-1' }, hub: { state: 'offline', unsynced: 9, oldest_unsynced_s: 9, lease_ends_in_s: 0 } })],
    ['short-lease', station([slot(1, 'empty')], { hub: { state: 'offline', unsynced: 9, oldest_unsynced_s: 9, lease_ends_in_s: 600 } })],
    ['online', station([slot(1, 'flashing')], { hub: { state: 'online', unsynced: 0, oldest_unsynced_s: null, lease_ends_in_s: 90_000 } })],
  ];
  await open(fixture(16));
  for (const [name, view] of screens) {
    fake.show(view);
    const first = view.slots[0];
    await tile(page, first.number, first.state).waitFor();
    await page.locator(`[data-slot]`).nth(view.slots.length - 1).waitFor();
    // Colours move for a moment after a change; contrast is judged when they rest.
    await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => undefined))));
    await assertAccessible(name);
    await assertNothingScrolls(name);
    await shot(page, `screen-${name}`);
  }
  assert.deepEqual(page.errors, []);
});

const people = (more) => ({ people: { kept: true, operator: more === null ? null : operator(more) } });

test('a badge is asked for before boards, and the header says who is in, at every size and language', async () => {
  const cases = [null, { role: 'worker', number: 4_294_967_295 }, {}, { rights: 'lead' }, { wait_s: 28 }, { wait_s: 43_000, locked: true }, { hub_away: true }, { role: 'it', rights: 'it' }];
  for (const size of SIZES) {
    await open(fixture(4), size);
    for (const [i, who] of cases.entries()) {
      for (const language of ['en', 'zh', 'ja']) {
        const name = `badge-${i}-${size.width}x${size.height}-${language}`;
        fake.show(station(fixture(4).slots, { ...people(who), language_hint: language }));
        await page.locator(`html[lang^=${language}] [data-badge=${who === null || who.wait_s ? 'odd' : 'calm'}]`).waitFor();
        await assertNothingScrolls(name);
        await assertTargets(name);
        if (size === SIZES[0]) await shot(page, name);
      }
    }
    await assertAccessible(`badge ${size.width}`);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
  await open(station([slot(1, 'empty')], people(null)));
  await page.locator('[data-next=scan_badge][data-tone=must]').waitFor();
  await page.locator('[data-badge]').tap();
  await page.locator('dialog [data-card=scan_badge]').waitFor();
  await shot(page, 'badge-nobody-card');
});

test('a lead who badges in is asked for the PIN, which is shown as dots and sent once', async () => {
  await open(station([slot(1, 'empty')], people(null)));
  await page.locator('[data-badge=odd]').waitFor();
  fake.answer = { accepted: true, word: 'badged_in', kind: 'operator', code: null, slot: null };
  await scan('OP:4711-secret');
  fake.show(station([slot(1, 'empty')], people({})));
  await page.locator('dialog [data-operator="12"] .pad').waitFor();
  await page.locator('[data-scan=good]').getByText('Badged in').waitFor();
  assert.ok(!(await page.locator('body').innerText()).includes('4711-secret'));
  await assertTargets('pad');
  await assertAccessible('pad');
  await shot(page, 'pin-pad-en');

  const press = async (keys) => {
    for (const key of keys) await page.locator(`dialog [data-key="${key}"]`).tap();
  };
  await press('27182');
  await page.locator('dialog [data-digits="5"]').waitFor();
  assert.ok(await page.locator('dialog [data-key=enter]').isDisabled(), 'a lead has six digits');
  await press(['8', '9', 'erase']);
  await page.locator('dialog [data-digits="6"]').waitFor();
  assert.ok(!(await page.locator('dialog .dots').innerHTML()).includes('2'), 'digits on the screen');
  await shot(page, 'pin-pad-filled');
  fake.act = () => ({ accepted: false, word: 'pin_wrong', wait_s: 15, code: 'F-66' });
  await press(['enter']);
  await page.locator('dialog [data-said=odd]').getByText('PIN is wrong').waitFor();
  await page.locator('dialog [data-digits="0"]').waitFor();
  await shot(page, 'pin-wrong');
  fake.show(station([slot(1, 'empty')], people({ wait_s: 15 })));
  await page.locator('dialog [data-said=wait]').getByText('Wait 15 s').waitFor();
  assert.ok(await page.locator('dialog [data-key="1"]').isDisabled(), 'a pad that may not be used');
  await shot(page, 'pin-waits');
  fake.show(station([slot(1, 'empty')], people({ wait_s: 43_200, locked: true })));
  await page.locator('dialog [data-said=wait]').getByText('Locked for 12 h 0 m').waitFor();
  await assertAccessible('locked');
  await shot(page, 'pin-locked');
  fake.show(station([slot(1, 'empty')], people({})));
  fake.act = () => ({ accepted: true, word: 'pin_right', wait_s: null, code: null });
  await press(['2', '7', '1', '8', '2', '8', 'enter']);
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(fake.acts, [['/api/operator/pin', { pin: '271828' }], ['/api/operator/pin', { pin: '271828' }]]);
  assert.deepEqual(page.errors, []);
});

test('the pad fits a small dense panel with keys of twenty millimetres, in every language', async () => {
  await open(station([slot(1, 'empty')], people({})), SIZES[0], '/?mm=5.87');
  await page.locator('[data-badge]').tap();
  for (const language of ['en', 'zh', 'ja']) {
    for (const [name, who] of [['pad', {}], ['locked', { wait_s: 43_000, locked: true }], ['lead', { rights: 'lead' }], ['away', { hub_away: true }]]) {
      fake.show(station([slot(1, 'empty')], { ...people(who), language_hint: language }));
      await page.locator(`html[lang^=${language}] dialog [data-operator]`).waitFor();
      await page.locator('dialog .pad').waitFor({ state: name === 'pad' || name === 'locked' ? 'visible' : 'detached' });
      await assertTargets(`${name} in ${language}`);
      const fits = await page.evaluate(() => {
        const { scrollHeight, clientHeight, scrollWidth, clientWidth } = document.querySelector('dialog');
        return scrollHeight <= clientHeight && scrollWidth <= clientWidth;
      });
      assert.ok(fits, `${name} in ${language} scrolls`);
      await shot(page, `ten-inch-${name}-${language}`);
    }
  }
});

test('badge-out and closing the order are one touch, and another badge takes the sheet away', async () => {
  await open(station([slot(1, 'empty')], people({ rights: 'lead' })));
  await page.locator('[data-badge]').tap();
  await page.locator('dialog [data-act=close-order]').waitFor();
  await assertTargets('lead');
  await shot(page, 'operator-lead');
  fake.act = () => ({ accepted: false, word: 'not_recorded', wait_s: null, code: 'F-41' });
  await page.locator('dialog [data-act=close-order]').tap();
  await page.locator('dialog').getByText('Could not be recorded').waitFor();
  fake.act = () => ({ accepted: true, word: 'signed_out', wait_s: null, code: null });
  await page.locator('dialog [data-act=out]').tap();
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(fake.acts.map(([path]) => path), ['/api/order/close', '/api/operator/out']);
  await page.locator('[data-badge]').tap();
  await page.locator('dialog [data-operator="12"]').waitFor();
  fake.show(station([slot(1, 'empty')], people(null)));
  await page.locator('dialog').waitFor({ state: 'detached' });
});

test("a lead's approval is one blue key on the card, and says who has to come where no lead is in", async () => {
  const chip = { kind: 'approve_chip', chip: 'STM32F103CB', way: 'uart' };
  const trouble = (code, number) => ({ code, blame: 'release', act: 'call_lead', slot: number, chip: null, incident: 'A7-0412' });
  const slots = [
    slot(1, 'fail', { trouble: trouble('F-40', 1), lead_act: chip }),
    slot(2, 'fail', { trouble: trouble('F-14', 2), lead_act: { kind: 'approve_erase' } }),
    slot(3, 'closed'),
    slot(4, 'fail'),
  ];
  await open(station(slots, people({})));
  await tile(page, 1, 'fail').tap();
  await page.locator('dialog').getByText('Lead: scan badge, enter PIN').waitFor();
  assert.equal(await page.locator('dialog [data-lead]').count(), 0);
  await assertTargets('no lead');
  await shot(page, 'card-lead-needed');
  await page.locator('dialog .dismiss').tap();
  await page.locator('dialog').waitFor({ state: 'detached' });

  fake.show(station(slots, people({ rights: 'lead' })));
  await page.locator('[data-badge=calm]').getByText('Lead').waitFor();
  for (const [number, state, word] of [[1, 'fail', 'Approve STM32F103CB'], [2, 'fail', 'Approve erase'], [3, 'closed', 'Open slot']]) {
    await tile(page, number, state).tap();
    await page.locator('dialog [data-lead]').getByText(word).waitFor();
    await assertTargets(word);
    await assertAccessible(word);
    await shot(page, `card-lead-${number}`);
    fake.act = () => ({ accepted: false, open: false, word: 'hub_away' });
    await page.locator('dialog [data-lead]').tap();
    await page.locator('dialog').getByText('Too long without the hub').waitFor();
    fake.act = (path) => ({ accepted: true, open: true, word: path.endsWith('open') ? 'opened' : 'approved' });
    await page.locator('dialog [data-lead]').tap();
    await page.locator('dialog').waitFor({ state: 'detached' });
  }
  const sent = [
    ['/api/approvals', { kind: 'unproven', chip: 'STM32F103CB', way: 'uart' }],
    ['/api/approvals', { kind: 'unlock', slot: 2 }],
    ['/api/slots/3/open', undefined],
  ];
  assert.deepEqual(fake.acts, sent.flatMap((act) => [act, act]));
  await tile(page, 4, 'fail').tap();
  await page.locator('dialog .close').waitFor();
  assert.equal(await page.locator('dialog [data-lead]').count(), 0, 'a trouble no lead can wave through');
  assert.deepEqual(page.errors, []);
});

test('the gallery shows everything in every language', async () => {
  await open(undefined, { width: 1320, height: 1000 }, '/gallery');
  await page.locator('[data-gallery=ja]').waitFor();
  for (const language of ['en', 'zh-Hans', 'ja']) {
    const section = page.locator(`[data-gallery="${language}"]`);
    assert.ok((await section.locator('[data-slot]').count()) >= 3 * 14 + 47);
    await shot(page, `gallery-${language}`, { fullPage: true, clip: await section.boundingBox() });
  }
  await assertAccessible('gallery');
  assert.deepEqual(page.errors, []);
});
