// Takes the pictures in docs/images: DORMOUSE_SCRIPT=screenshots.mjs tests/browser/console.sh. A seeded month, the demo
// model, both languages and themes. Needs a font with Chinese (fonts-noto-cjk).
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { House, openBrowser, openPage } from "./console_house.mjs";

const [dormouse, worker, browserPath] = process.argv.slice(2);
const folder = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const kWide = { width: 1200, height: 760 };
const kTwoCards = { width: 1200, height: 820 };
const kPhone = { width: 390, height: 780 };

// What is on the screen before the picture is taken.
const kPictures = [
  { name: "overview-en", screen: "overview", language: "en", theme: "light", size: kTwoCards },
  { name: "overview-zh", screen: "overview", language: "zh", theme: "light", size: kTwoCards },
  { name: "cost-en", screen: "cost", language: "en", theme: "dark", size: kWide, wait: "[data-break-even]" },
  { name: "cost-zh", screen: "cost", language: "zh", theme: "dark", size: kWide, wait: "[data-break-even]" },
  { name: "deploy-zh", screen: "deploy", language: "zh", theme: "light", size: kWide, wait: "[data-price]" },
  { name: "deploy-en", screen: "deploy", language: "en", theme: "light", size: kWide, wait: "[data-price]" },
  { name: "usage-phone-zh", screen: "usage", language: "zh", theme: "dark", size: kPhone, wait: ".chart canvas" },
];

async function take(browser, house, picture) {
  const { page, context } = await openPage(browser, { viewport: picture.size, reducedMotion: "reduce" });
  await page.addInitScript(([language, theme]) => {
    localStorage.setItem("dormouse.language", language);
    localStorage.setItem("dormouse.theme", theme);
  }, [picture.language, picture.theme]);
  await page.goto(`${house.url}/console/#/${picture.screen}`);
  await page.waitForSelector(picture.wait ?? '[data-deployment="demo"] .strip', { timeout: 60_000 });
  await page.waitForFunction(() => document.querySelector('main .waiting[role="status"]') === null);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: `${folder}${picture.name}.png` });
  await context.close();
}

async function main() {
  mkdirSync(folder, { recursive: true });
  const house = new House(dormouse, worker);
  const browser = await openBrowser(browserPath);
  try {
    await house.startWithPast({ withToday: true });
    // Beside the one that is awake, one that sleeps.
    await house.ask("POST", "/admin/v1/deployments", { image: "qwen3-demo", name: "nightly", instance_type: "t4" });
    for (const model of ["nightly", "demo"]) {
      const body = JSON.stringify({ model, prompt: "写一首关于月亮的诗", max_tokens: 64 });
      await (await fetch(`${house.url}/generate`, { method: "POST", body })).text();
    }
    await house.ask("POST", "/admin/v1/deployments/nightly/sleep");
    for (const picture of kPictures) await take(browser, house, picture);
  } finally {
    await browser.close();
    await house.remove();
  }
}

await main();
