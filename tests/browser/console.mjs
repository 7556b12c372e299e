// Goal: a newcomer's way through every screen of the console, and that its figures are the ledger's. Method: the real
// server with the demo model, a past that seed.mjs wrote, Debian's Chromium; figures are read from the tables behind the
// charts and held against what was seeded or what the API says.
import assert from "node:assert/strict";
import { downloads } from "./console_downloads.mjs";
import { go, House, kScreens, openBrowser, openPage } from "./console_house.mjs";
import * as houses from "./console_houses.mjs";
import * as looks from "./console_looks.mjs";
import { loadOnce } from "./first_load.mjs";
import { Hub } from "./hub.mjs";

const [dormouse, worker, browserPath] = process.argv.slice(2);
const kMostBytes = 307_200;

const whole = (text) => Number(text.replaceAll(",", ""));
const micros = (text) => Math.round(Number(text.replace(/[^\d.-]/g, "")) * 1e6);

// The cells of a table by its label, hidden or not: [[..], ..].
const cellsOf = (page, label, part = "tbody") => page.evaluate(([name, where]) =>
  [...document.querySelectorAll(`[role=group][aria-label="${name}"] ${where} tr`)]
    .map((row) => [...row.children].map((cell) => cell.textContent.trim())), [label, part]);

async function loginByLink(page, house) {
  await page.goto(house.link);
  await page.waitForSelector('[data-deployment="demo"]');
  assert.ok(!page.url().includes("login="), "the token has left the address line");
  assert.equal((await page.context().cookies()).find((one) => one.name === `dormouse_session_${new URL(house.url).port}`)?.httpOnly, true);
}

async function staysAsleep(page, house) {
  for (const screen of kScreens) await go(page, screen);
  await go(page, "overview");
  assert.equal(await page.getAttribute('[data-deployment="demo"]', "data-state"), "asleep");
  const status = await house.ask("GET", "/admin/v1/status");
  assert.equal(status.deployments[0].wakes, 0, "nobody who looks wakes anything");
}

async function usageIsTheLedgers(page, house) {
  const { told } = house;
  await go(page, "usage");
  await page.click("text=90 days");
  await page.waitForFunction((count) => document.querySelector('[aria-label="Requests per day"] tfoot')?.textContent.includes(count),
    told.requests.toLocaleString("en-GB"));
  const [total] = await cellsOf(page, "Requests per day", "tfoot");
  assert.deepEqual(total.slice(1).map(whole), [told.requests, told.failed, told.cold]);
  const days = await cellsOf(page, "Requests per day");
  assert.equal(days.reduce((sum, row) => sum + whole(row[1]), 0), told.requests);
  const heat = await page.evaluate(() => [...document.querySelectorAll('details [aria-label="Peak hours"] td')]
    .map((cell) => Number(cell.textContent.replaceAll(",", "")) || 0).reduce((sum, one) => sum + one, 0));
  assert.equal(heat, told.requests, "the hours of the week add up");
  const errors = await cellsOf(page, "Errors");
  assert.deepEqual([errors[0][0], whole(errors[0][3])], ["timeout", told.failed]);
  const keys = await cellsOf(page, "By key");
  assert.equal(whole(keys[0][4]), told.outputTokens);
  const csv = await page.evaluate(async () => (await fetch(document.querySelector("a[download]").href)).text());
  assert.ok(csv.startsWith("time,requests,"), csv.slice(0, 40));
}

async function costIsTheLedgers(page, house) {
  await house.ask("PATCH", "/admin/v1/deployments/demo", { idle_timeout: "2h" });
  await go(page, "cost");
  await page.waitForSelector("[data-total]");
  const bill = await house.ask("GET", "/admin/v1/bill");
  const shown = micros(await page.textContent("[data-total]"));
  assert.ok(Math.abs(shown - bill.totals[0].total_micros) <= 5_000, `${shown} is not ${bill.totals[0].total_micros}`);
  const [line] = await cellsOf(page, "This month");
  assert.equal(Math.abs(micros(line[3]) + micros(line[4]) + micros(line[5]) - micros(line[6])) <= 10_000, true);

  await page.waitForSelector("[data-break-even]", { timeout: 30_000 });
  assert.match(await page.textContent("[data-break-even]"), /Break-even: \d+ requests a day · you are here: \d+/);
  const stops = '[aria-label="Idle timeout"] tbody tr';
  await page.waitForFunction((rows) => document.querySelectorAll(rows).length === 11, stops, { timeout: 60_000 });
  const plan = await house.ask("GET", "/admin/v1/plan?deployment=demo&idle_timeout=60s");
  const minute = (await cellsOf(page, "Idle timeout")).find((row) => row[0] === "1 min");
  assert.ok(Math.abs(micros(minute[1]) - plan.plan.rows[plan.plan.asked].micros) < 2e6, "the stop is the replay's");

  const before = await page.textContent(".facts .big");
  await page.focus('input[aria-label="Idle timeout"]');
  await page.keyboard.press("Home");
  await page.waitForFunction((old) => document.querySelector(".facts .big").textContent !== old, before);

  assert.equal(await page.getAttribute("[data-advice]", "data-advice"), "change");
  await page.click("section:has([data-advice]) button");
  await page.click("dialog button.primary");
  await page.waitForFunction(() => document.querySelector("dialog") === null);
  const changed = await house.ask("GET", "/admin/v1/deployments/demo");
  assert.notEqual(changed.idle_timeout, "2h", "advice was applied");
}

async function playgroundStreams(page, house) {
  await go(page, "playground");
  await page.fill(".ask textarea", "写一首关于月亮的诗");
  await page.press(".ask textarea", "Enter");
  await page.waitForSelector("[data-receipt]", { timeout: 30_000 });
  const text = await page.textContent('[data-role="assistant"] .text');
  assert.ok(text.length > 4, text);
  const receipt = await page.textContent("[data-receipt]");
  const { rows: [row] } = await house.ask("GET", "/admin/v1/requests?limit=1");
  assert.ok(receipt.includes(`${row.output_tokens} tokens`), receipt);
  assert.ok(row.wake_wait_us > 0 && receipt.includes("woke in"), "the first one woke it");
  assert.match(receipt, /cost ¥0\.0\d+/);
  await page.click("text=Python");
  assert.match(await page.textContent('pre[aria-label="Show as code"]'), /client\.chat\.completions\.create/);
  assert.ok((await page.textContent('pre[aria-label="Show as code"]')).includes("写一首关于月亮的诗"));
}

async function deploys(page, house) {
  await go(page, "deploy");
  const typed = page.getByLabel("Image or file");
  await page.waitForSelector('input[name="image"], p:has-text("no gallery")');
  if (await typed.count() > 0) await typed.fill("qwen3-demo");
  await page.waitForSelector("[data-price]", { timeout: 30_000 });
  const price = await page.textContent("[data-price]");
  await page.getByLabel("Requests per day").fill("20");
  await page.waitForFunction((old) => document.querySelector("[data-price]").textContent !== old, price);
  await page.getByLabel("Name", { exact: false }).first().fill("verse");
  await page.getByLabel("60 requests a minute").check();
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await page.waitForSelector("text=verse: It is there.");
  assert.ok((await page.textContent('pre[aria-label="Ask it"]')).includes(`${house.url}/generate`));
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.waitForSelector("[data-answer] .text", { timeout: 30_000 });
  await page.waitForFunction(() => document.querySelector('[role="log"]').textContent.includes("event=ready"));
  const made = await house.ask("GET", "/admin/v1/deployments/verse");
  assert.deepEqual([made.requests_per_minute, made.exposure, made.state], [60, "private", "ready"]);

  await go(page, "overview");
  await page.click('[data-deployment="verse"] button:has-text("Sleep")');
  await page.waitForSelector('[data-deployment="verse"][data-state="asleep"]', { timeout: 30_000 });
  await page.click('[aria-label="More actions: verse"]');
  await page.click("text=Remove…");
  const confirm = page.locator("dialog button.danger");
  assert.equal(await confirm.isDisabled(), true, "its name has to be typed");
  await page.fill("dialog input", "verse");
  await confirm.click();
  await page.waitForFunction(() => document.querySelector('[data-deployment="verse"]') === null);
}

async function languageSwitches(page) {
  await go(page, "cost");
  await page.click("header.top button[lang=zh-CN]");
  assert.equal(await page.textContent("h1"), "成本");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  await page.reload();
  await page.waitForSelector("h1");
  assert.equal(await page.textContent("h1"), "成本", "and is remembered");
  await page.click("header.top button[lang=en]");
  assert.equal(await page.textContent("h1"), "Cost");
}

async function makeKey(page, name, scope) {
  await page.click(".screen-head button.primary");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.selectOption("dialog select >> nth=0", scope);
  await page.click("dialog button.primary");
  await page.waitForSelector("text=This is the only time");
  const key = await page.textContent("dialog pre");
  await page.click("text=I have copied it");
  await page.waitForSelector(`[data-key="${name}"]`);
  assert.ok(!(await page.content()).includes(key), "it is shown once");
  return key;
}

async function keysOpenAndShut(page, house) {
  await go(page, "keys");
  const admin = await makeKey(page, "ops", "admin");
  const key = await makeKey(page, "app", "inference");
  const models = () => fetch(`${house.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal((await models()).status, 200);
  await page.click('[data-key="app"] button.danger');
  await page.fill("dialog input", "app");
  await page.click("dialog button.danger");
  await page.waitForSelector('[data-key="app"].soft');
  assert.equal((await models()).status, 401, "revoked at once");

  await go(page, "settings");
  await page.click("text=Sign out");
  await page.waitForSelector("input[type=password]");
  await page.fill("input[type=password]", `${admin}x`);
  await page.click("button[type=submit]");
  await page.waitForSelector('[role="alert"]');
  await page.fill("input[type=password]", admin);
  await page.click("button[type=submit]");
  await page.waitForSelector("nav.rail");
}

// What the page makes itself says what its table says.
async function chartsComeAsCsv(page) {
  await go(page, "cost");
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="Idle timeout"] tbody tr').length === 11, null,
    { timeout: 60_000 });
  const filesOf = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('a[download][href^="data:"]')]
    .map((one) => [one.download, decodeURIComponent(one.href.slice(one.href.indexOf(",") + 1)).trim().split("\r\n")])));
  const files = await filesOf();
  const stops = files["demo-idle-timeout.csv"];
  assert.equal(stops[0], "idle_timeout_s,bill,currency,cold_share,p99_s");
  const shown = await cellsOf(page, "Idle timeout");
  assert.deepEqual(stops.slice(1).map((line) => Number(line.split(",")[1]).toFixed(2)),
    shown.map((row) => (micros(row[1]) / 1e6).toFixed(2)));
  const curves = await cellsOf(page, "Hourly, monthly, mixed");
  assert.equal(files["demo-curves.csv"].length - 1, curves.length);

  await go(page, "overview");
  await page.click('[aria-label="More actions: demo"]');
  await page.click("text=24 hours as a table");
  await page.waitForSelector('dialog a[download="demo-24h.csv"]');
  const day = (await filesOf())["demo-24h.csv"];
  assert.equal(day[0], "deployment,from,to,what,requests");
  assert.equal(day.length - 1, (await cellsOf(page, "Last 24 hours")).length);
  await page.click("dialog button >> text=Close");
}

async function firstLoadIsLight(_page, house, browser) {
  const { bytes, files, ms } = await loadOnce(browser, `${house.url}/console/`);
  assert.ok(files >= 3 && bytes > 10_000, `${bytes} bytes in ${files} files: that is not the console`);
  assert.ok(bytes <= kMostBytes, `${bytes} bytes at first, ${kMostBytes} allowed`);
  console.log(`   first load: ${bytes} bytes in ${files} files, interactive after ${Math.round(ms)} ms`);
}

async function saysItIsLost(page, house) {
  await go(page, "overview");
  await house.stop();
  await page.waitForSelector("text=Connection lost");
  await house.start();
  // Sessions end with the server; a key was made, so it asks who this is.
  await page.waitForSelector("input[type=password]", { timeout: 30_000 });
}

async function main() {
  const hub = new Hub(new URL("../../models/qwen3-demo-q8_0.gguf", import.meta.url));
  await hub.start();
  const house = new House(dormouse, worker, { hubUrl: hub.url });
  const browser = await openBrowser(browserPath);
  let watched;
  try {
    await house.startWithPast();
    watched = await houses.watchAsleep(browser, house);
    const { page, complaints } = await openPage(browser);
    const steps = [loginByLink, firstLoadIsLight, staysAsleep, usageIsTheLedgers, costIsTheLedgers, chartsComeAsCsv,
      playgroundStreams, deploys, downloads, languageSwitches, looks.priceIsOneLineOnAPhone, looks.worksByKeyboard,
      looks.fitsEveryWidth, looks.isAccessible, looks.nothingJumps, looks.movesNothingUnasked,
      looks.panelsSayWhatTheyWaitFor, looks.timesHaveTheirZone, houses.standsACrowd,
      houses.standsEmpty, houses.comesBackByItself, keysOpenAndShut, houses.twoServersOnOneHost, saysItIsLost];
    for (const step of steps) {
      try {
        await step(page, house, browser, hub);
      } catch (cause) {
        if (process.env.DORMOUSE_SHOT) await page.screenshot({ path: process.env.DORMOUSE_SHOT, fullPage: true });
        throw new Error(`${step.name}: ${cause.message}`, { cause });
      }
      console.log(`ok ${step.name}`);
    }
    assert.deepEqual(complaints, []);
    await watched.finish();
    console.log("ok staysAsleepForTwoMinutes");
  } finally {
    await browser.close();
    await watched?.house.remove();
    await house.remove();
    hub.stop();
  }
}

await main();
