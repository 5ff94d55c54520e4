/** What every page beside the line has to keep: it fits, its keys are fingers wide, and axe finds nothing. */
import assert from 'node:assert/strict';
import AxeBuilder from '@axe-core/playwright';

/** Nothing scrolls, nothing is cut off without saying so, every key is wide enough and apart. */
export async function assertFits(page, name) {
  const wrong = await page.evaluate(() => {
    const mm = Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--mm'));
    const { scrollWidth, scrollHeight, clientWidth, clientHeight } = document.documentElement;
    const found = [];
    if (scrollWidth > clientWidth || scrollHeight > clientHeight) found.push('the page scrolls');
    for (const part of document.querySelectorAll('.page main, .page section, .page ul, .page table')) {
      const box = part.getBoundingClientRect();
      if (box.bottom > clientHeight + 1 || box.right > clientWidth + 1) found.push(`${part.tagName} leaves the screen`);
      if (part.scrollHeight > part.clientHeight + 2) found.push(`${part.tagName}.${part.className} is cut off below`);
    }
    const [rows, below] = ['.page table', '.page .keys'].map((name) => document.querySelector(name)?.getBoundingClientRect());
    if (rows && below && rows.bottom > below.top + 1) found.push(`the rows end ${rows.bottom - below.top} px below the keys' begin`);
    const keys = [...document.querySelectorAll('.page button, .page footer a')].map((e) => [e, e.getBoundingClientRect()]);
    for (const [key, box] of keys) {
      if (box.width < 20 * mm - 0.5 || box.height < 20 * mm - 0.5) found.push(`"${key.textContent.trim().slice(0, 20)}" is ${box.width}×${box.height}`);
      for (const [other, there] of keys) {
        if (other === key) continue;
        const gap = Math.max(there.left - box.right, box.left - there.right, there.top - box.bottom, box.top - there.bottom);
        if (gap < 6 * mm - 0.5) found.push(`"${key.textContent.trim().slice(0, 20)}" is ${gap} px from its neighbour`);
      }
    }
    return found;
  });
  assert.deepEqual(wrong, [], name);
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .include('.page')
    .analyze();
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes[0].html}`), [], name);
  assert.deepEqual(page.errors, [], name);
}
