// Houses of other kinds than the newcomer's: two on one host, a crowded one, an empty one, one that goes and comes back.
import assert from "node:assert/strict";
import { choose, go, House, kScreens, openPage, settled } from "./console_house.mjs";
import { fitsEveryWidth } from "./console_looks.mjs";

const kCrowd = 30;
const kWatchedMs = 120_000;

// One cookie jar, two ports.
export async function twoServersOnOneHost(page, { dormouse, worker }) {
  const other = new House(dormouse, worker);
  try {
    await other.start();
    await other.ask("POST", "/admin/v1/keys", { name: "theirs", scope: "admin" });
    const second = await page.context().newPage();
    await second.goto(other.link);
    await second.waitForSelector("nav.rail");
    await page.reload();
    await page.waitForSelector("nav.rail");
    await second.evaluate(() => { location.hash = "#/settings"; });
    await second.click("text=Sign out");
    await second.waitForSelector("input[type=password]");
    await page.reload();
    await page.waitForSelector("nav.rail");
    await second.close();
  } finally {
    await other.remove();
  }
}

// Long names, two currencies, more than fits a screen.
export async function standsACrowd(page, house) {
  const names = Array.from({ length: kCrowd }, (_, at) =>
    at === 0 ? "a".repeat(63) : `customer-service-assistant-beijing-${String(at).padStart(2, "0")}`);
  for (const [at, name] of names.entries()) {
    await house.ask("POST", "/admin/v1/deployments",
      { image: "qwen3-demo", name, instance_type: at % 2 === 0 ? "local" : "abroad" });
  }
  await go(page, "overview");
  await page.waitForFunction((count) => document.querySelectorAll("[data-deployment]").length === count, kCrowd + 1);
  const { deployments } = await house.ask("GET", "/admin/v1/status");
  assert.deepEqual([...new Set(deployments.map((one) => one.cost?.currency))].sort(), ["CNY", "USD"]);
  assert.match(await page.textContent("header.top strong"), /^¥[\d.,]+ \+ \$[\d.,]+$/, "never added");
  await page.getByLabel("Find a deployment").fill("beijing-07");
  await page.waitForFunction(() => document.querySelectorAll("[data-deployment]").length === 1);
  await page.getByLabel("Find a deployment").fill("nobody");
  await page.waitForSelector("text=No deployment has that in its name.");
  await page.getByLabel("Find a deployment").fill("");
  await fitsEveryWidth(page);
  for (const name of names) await house.ask("DELETE", `/admin/v1/deployments/${name}`);
  await page.waitForFunction(() => document.querySelectorAll("[data-deployment]").length <= 1);
}

// Before anything was deployed, every screen says what to do about it.
export async function standsEmpty(_page, { dormouse, worker }, browser) {
  const house = new House(dormouse, worker, { isEmpty: true });
  try {
    await house.start();
    const { page, context, complaints } = await openPage(browser);
    await page.goto(house.link);
    await page.waitForSelector("text=Three steps to a first deployment");
    const says = { playground: "Nothing is deployed yet.", usage: "No requests in this time.",
      cost: "Nothing was paid this month.", keys: "No keys.", logs: "No requests.", settings: "Nothing is deployed yet." };
    for (const [screen, text] of Object.entries(says)) {
      await go(page, screen);
      await settled(page);
      assert.ok((await page.textContent("main")).includes(text), `${screen} says so`);
      assert.equal(await page.evaluate(() => [...document.querySelectorAll("main section.panel")]
        .every((one) => one.textContent.length > one.querySelector("h2").textContent.length)), true, screen);
    }
    await fitsEveryWidth(page);
    await choose(page, "zh", "light");
    await go(page, "overview");
    await page.waitForSelector("text=三步完成第一个部署");
    assert.deepEqual(complaints, []);
    await context.close();
  } finally {
    await house.remove();
  }
}

// A house without keys is open: nobody is asked anything when it is back, and what failed meanwhile is asked again.
export async function comesBackByItself(page, house) {
  await go(page, "overview");
  await house.stop();
  await page.waitForSelector("text=Connection lost: what you see is of");
  await go(page, "usage");
  await page.waitForFunction(() => document.querySelectorAll('main [role="alert"]').length === 5);
  assert.ok((await page.textContent('main [role="alert"]')).includes("The server does not answer."));
  await house.start();
  await page.click("text=Try now");
  await page.waitForFunction(() => document.querySelector(".lost") === null);
  await page.waitForFunction(() => document.querySelector('main [role="alert"]') === null);
  // Sessions ended with the server; a new link is good in the page that is open, too.
  assert.equal((await page.evaluate(async () => (await (await fetch("/admin/v1/session")).json()).is_open)), true);
  await page.goto(house.link);
  await page.waitForFunction(async () => !(await (await fetch("/admin/v1/session")).json()).is_open);
}

// A page that looks at a sleeping deployment of its own server for two minutes, beside everything else.
export async function watchAsleep(browser, { dormouse, worker }) {
  const house = new House(dormouse, worker);
  await house.start();
  const { page } = await openPage(browser);
  await page.goto(house.link);
  await page.waitForSelector('[data-deployment="demo"][data-state="asleep"]');
  const until = Date.now() + kWatchedMs;
  return {
    house,
    async finish() {
      for (const screen of kScreens) await go(page, screen);
      await page.waitForTimeout(Math.max(0, until - Date.now()));
      await go(page, "overview");
      await page.waitForSelector('[data-deployment="demo"][data-state="asleep"]');
      const { deployments } = await house.ask("GET", "/admin/v1/status");
      assert.equal(deployments[0].wakes, 0, "nobody who looks wakes anything");
    },
  };
}
