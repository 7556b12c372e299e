// What a browser that was never here fetches before it shows the console, and how long that takes on loopback. The size is
// held to its limit by console.mjs; the time is only told: DORMOUSE_SCRIPT=first_load.mjs tests/browser/console.sh.
import { House, openBrowser, openPage } from "./console_house.mjs";

const kLoads = 10;

// Bytes as they crossed the wire; milliseconds from the navigation's begin to the first frame after a deployment's card,
// with its buttons, was drawn.
export async function loadOnce(browser, address) {
  const { page, context } = await openPage(browser);
  await page.addInitScript(() => {
    const look = new MutationObserver(() => {
      if (document.querySelector("[data-deployment] button") === null) return;
      look.disconnect();
      requestAnimationFrame(() => setTimeout(() => { globalThis.shownAfterMs = performance.now(); }));
    });
    look.observe(document, { childList: true, subtree: true });
  });
  await page.goto(address);
  await page.waitForFunction(() => globalThis.shownAfterMs !== undefined);
  const out = await page.evaluate(() => {
    const files = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .filter((one) => new URL(one.name).pathname.startsWith("/console/"));
    return {
      ms: globalThis.shownAfterMs, files: files.length,
      bytes: files.reduce((sum, one) => sum + one.encodedBodySize, 0),
    };
  });
  await context.close();
  return out;
}

async function main() {
  const [dormouse, worker, browserPath] = process.argv.slice(2);
  const house = new House(dormouse, worker);
  const browser = await openBrowser(browserPath);
  try {
    await house.startWithPast();
    const loads = [];
    for (let i = 0; i < kLoads; ++i) loads.push(await loadOnce(browser, `${house.url}/console/`));
    const times = loads.map((one) => one.ms).sort((a, b) => a - b);
    const { bytes, files } = loads[0];
    console.log(`first load: ${bytes} bytes in ${files} files; interactive after ${Math.round(times[kLoads / 2])} ms `
      + `(median of ${kLoads}, ${Math.round(times[0])} to ${Math.round(times.at(-1))} ms)`);
  } finally {
    await browser.close();
    await house.remove();
  }
}

if (process.argv[1]?.endsWith("first_load.mjs")) await main();
