/**
 * Watches one slot of the page: the states it shows, in order, as the worker sees them.
 *
 * Plain page script, so that the same watch runs in Chromium and in the Tauri window.
 */
export const WATCH = `(slot) => {
  const seen = (window.flashlineSeen = []);
  const note = () => {
    const tile = document.querySelector('[data-slot="' + slot + '"]');
    const state = tile === null ? 'none' : tile.dataset.state;
    if (seen.at(-1) !== state) seen.push(state);
  };
  note();
  new MutationObserver(note).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ['data-state'],
  });
}`;
export const SEEN = '() => window.flashlineSeen';

/** Polls `look` until it returns something else than undefined, or fails with `what`. */
export async function until(what, deadlineMs, look) {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadlineMs) throw new Error(`waited too long for ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/**
 * Throws unless the slot went from empty to `end` through work, and was never shown as failed.
 */
export function judge(seen, end) {
  const from = seen.lastIndexOf('empty', seen.indexOf(end));
  const way = seen.slice(from, seen.indexOf(end) + 1);
  if (from < 0 || !seen.includes(end)) throw new Error(`never went from empty to ${end}: ${seen.join(' ')}`);
  if (way.includes('fail') || way.includes('unknown')) throw new Error(`on the way to ${end}: ${way.join(' ')}`);
  if (end === 'pass' && way.length < 3) throw new Error(`passed without any work: ${way.join(' ')}`);
  return way;
}
