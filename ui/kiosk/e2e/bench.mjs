/**
 * Measures the page in real Chromium: node e2e/bench.mjs ADDRESS SECONDS
 *
 * Opens ADDRESS (an entry of a running station), prints one line of JSON when the tiles are drawn,
 * and a second one SECONDS later with the processor time that page and browser took meanwhile.
 */
import { openBrowser } from './browser.mjs';

const [address, seconds] = process.argv.slice(2);
const browser = await openBrowser();
try {
  const page = await (await browser.newContext({ viewport: { width: 1920, height: 1080 } })).newPage();
  const begun = performance.now();
  await page.goto(address);
  await page.locator('.screen[data-link=live] .tile').first().waitFor();
  console.log(JSON.stringify({ ready_ms: performance.now() - begun }));

  const system = await browser.newBrowserCDPSession();
  const cpu = async () => {
    const { processInfo } = await system.send('SystemInfo.getProcessInfo');
    return processInfo.filter((info) => info.type === 'renderer').reduce((sum, info) => sum + info.cpuTime, 0);
  };
  const before = await cpu();
  const from = performance.now();
  await page.waitForFunction((until) => performance.now() > until, (await page.evaluate(() => performance.now())) + 1000 * Number(seconds), { timeout: 0, polling: 500 });
  console.log(JSON.stringify({ page_cpu_s: (await cpu()) - before, wall_s: (performance.now() - from) / 1000 }));
} finally {
  await browser.close();
}
