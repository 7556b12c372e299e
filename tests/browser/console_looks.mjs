// What holds of every screen, whatever is on it: axe finds nothing, it fits, the keyboard reaches all of it, nothing jumps or
// moves for whoever does not want it, and each panel says that it waits or why it has nothing. Read from the DOM.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { choose, go, kScreens, openPage, settled } from "./console_house.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const kWide = { width: 1280, height: 860 };
const kPhone = { width: 390, height: 844 };
const kWidths = [390, 768, 1280, 1920];

// What axe finds on the page as it stands.
export async function violationsOf(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}

export async function isAccessible(page) {
  for (const language of ["en", "zh"]) {
    for (const theme of ["light", "dark"]) {
      await choose(page, language, theme);
      for (const size of [kWide, kPhone]) {
        await page.setViewportSize(size);
        for (const screen of kScreens) {
          await go(page, screen);
          await settled(page);
          assert.deepEqual(await violationsOf(page), [], `${screen}, ${language}, ${theme}, ${size.width} px`);
        }
      }
    }
  }
  await page.setViewportSize(kWide);
  await choose(page, "en", "light");
}

// No page is wider than its window; every column of numbers stands on its right edge, in figures of one width.
export async function fitsEveryWidth(page) {
  for (const width of kWidths) {
    await page.setViewportSize({ width, height: 900 });
    for (const screen of kScreens) {
      await go(page, screen);
      await settled(page);
      const found = await page.evaluate(() => ({
        over: document.documentElement.scrollWidth - innerWidth,
        numbers: [...document.querySelectorAll("td.number, th.number")]
          .filter((cell) => getComputedStyle(cell).textAlign !== "right").length,
        figures: getComputedStyle(document.querySelector("main")).fontVariantNumeric,
        cut: [...document.querySelectorAll("main h1, main h2, main .facts dd, main .big, main button")]
          .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.textContent),
      }));
      assert.deepEqual(found, { over: 0, numbers: 0, figures: "tabular-nums", cut: [] }, `${screen}, ${width} px`);
    }
  }
  await page.setViewportSize(kWide);
}

// On a phone the price is one line above the screens' bar; the page's end is above it, and it opens at a tap.
export async function priceIsOneLineOnAPhone(page) {
  await page.setViewportSize(kPhone);
  await go(page, "deploy");
  await settled(page);
  const bar = page.locator(".price-bar");
  await page.waitForFunction(() => /^¥1\.80\/h · ¥[\d.,]+\/month$/.test(document.querySelector(".price-bar").textContent));
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  const measure = () => page.evaluate(() => {
    const of = (selector) => document.querySelector(selector).getBoundingClientRect();
    const buttons = [...document.querySelectorAll(".deploy > .stack button")];
    return { bar: of(".price-bar"), rail: of("nav.rail"), last: buttons.at(-1).getBoundingClientRect() };
  });
  const { bar: place, rail, last } = await measure();
  assert.ok(place.height <= 48, `${place.height} px high`);
  assert.ok(Math.abs(place.bottom - rail.top) <= 1, "it lies on the bar of screens");
  assert.ok(last.bottom <= place.top, "the last button is above it");
  assert.equal(await page.locator(".price-body").isVisible(), false);
  assert.equal(await bar.getAttribute("aria-expanded"), "false");
  await bar.click();
  assert.equal(await bar.getAttribute("aria-expanded"), "true");
  assert.match(await page.textContent("[data-price]"), /¥[\d.,]+/);
  assert.equal(await page.locator(".price-body").isVisible(), true);
  await bar.click();
  await page.setViewportSize(kWide);
  assert.equal(await bar.isVisible(), false, "at the right there is place for all of it");
  assert.equal(await page.locator("[data-price]").isVisible(), true);
}

// Everything that can be used, by Tab alone, from the top of the page; where one is, is seen and not covered.
async function walk(page, screen, size) {
  await page.evaluate(() => {
    document.activeElement?.blur();
    scrollTo(0, 0);
    const wanted = 'a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea, summary, [tabindex="0"]';
    globalThis.left = new Set([...document.querySelectorAll(wanted)].filter((one) =>
      one.checkVisibility() && (one.type !== "radio" || one.checked) && one.closest("fieldset:disabled") === null));
  });
  await page.keyboard.press("Tab");  // a browser shows the focus of whoever uses the keyboard
  await page.locator("a.skip").focus();
  const count = await page.evaluate(() => globalThis.left.size);
  for (let step = 0; step < count + 10; ++step) {
    const seen = await page.evaluate(() => {
      const one = document.activeElement;
      globalThis.left.delete(one);
      const holder = one.closest(one.matches("input") ? ".choice" : ".segments button") ?? one;  // what shows it
      const style = getComputedStyle(holder);
      const place = holder.getBoundingClientRect();
      const at = document.elementFromPoint(Math.max(0, place.left + Math.min(place.width, innerWidth) / 2),
        Math.min(place.bottom - 2, Math.max(place.top + 2, (place.top + place.bottom) / 2)));
      const isClear = at !== null && (holder.contains(at) || at.contains(holder) || place.height > innerHeight / 2);
      return { outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0, isClear,
        html: one.outerHTML.slice(0, 120), isBody: one === document.body };
    });
    if (seen.isBody) break;
    assert.ok(seen.outline, `${screen}, ${size.width} px: focus is not seen on ${seen.html}`);
    assert.ok(seen.isClear, `${screen}, ${size.width} px: covered: ${seen.html}`);
    await page.keyboard.press("Tab");
  }
  // What went away meanwhile need not be reached.
  const missed = await page.evaluate(() => [...globalThis.left].filter((one) => one.isConnected).map((one) => one.outerHTML.slice(0, 120)));
  assert.deepEqual(missed, [], `${screen}, ${size.width} px: not reached`);
}

export async function worksByKeyboard(page) {
  for (const size of [kWide, kPhone]) {
    await page.setViewportSize(size);
    for (const screen of kScreens) {
      await go(page, screen);
      await settled(page);
      await walk(page, screen, size);
    }
  }
  await page.setViewportSize(kWide);
  await go(page, "overview");
  const more = page.locator('[aria-label="More actions: demo"]');
  await more.focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Try it");
  await page.keyboard.press("Escape");
  await page.waitForSelector('[aria-label="More actions: demo"][aria-expanded="false"]');
  assert.equal(await more.evaluate((one) => one === document.activeElement), true, "back where it was opened");
}

// What arrives takes the place that was kept for it. 0.1 is what browsers' makers call good.
export async function nothingJumps(_page, house, browser) {
  for (const viewport of [kWide, kPhone]) {
    for (const screen of kScreens) {
      const { page, context } = await openPage(browser, { viewport });
      await page.addInitScript(() => {
        globalThis.shifted = [];
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            globalThis.shifted.push({ value: entry.value, at: entry.sources.map((one) =>
              `${one.node?.nodeName}.${one.node?.className} ${one.previousRect.y} -> ${one.currentRect.y}`) });
          }
        }).observe({ type: "layout-shift", buffered: true });
      });
      await page.goto(`${house.url}/console/#/${screen}`);
      await page.waitForSelector("main h1");
      await settled(page);
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
      const shifts = await page.evaluate(() => globalThis.shifted);
      const sum = shifts.reduce((total, one) => total + one.value, 0);
      assert.ok(sum < 0.1, `${screen}, ${viewport.width} px: ${sum} ${JSON.stringify(shifts)}`);
      await context.close();
    }
  }
}

export async function movesNothingUnasked(_page, house, browser) {
  const { page, context } = await openPage(browser, { reducedMotion: "reduce" });
  await page.goto(`${house.url}/console/`);
  for (const screen of kScreens) {
    await go(page, screen);
    await settled(page);
    const moving = await page.evaluate(() => [...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return style.animationName !== "none" || style.transitionDuration.split(", ").some((span) => span !== "0s")
        || style.scrollBehavior === "smooth";
    }).map((one) => one.outerHTML.slice(0, 80)));
    assert.deepEqual(moving, [], screen);
  }
  await context.close();
}

const bodies = (page) => page.evaluate(() => [...document.querySelectorAll("main section.panel")].map((panel) => ({
  title: panel.querySelector("h2").textContent, text: panel.textContent,
  waits: panel.querySelector('[role="status"]') !== null, failed: panel.querySelector('[role="alert"]') !== null,
  again: [...panel.querySelectorAll("button")].some((one) => one.textContent === "Try again"),
})));

// Panels of a report, by screen: those show no figure before it came.
const kReports = { usage: 5, cost: 3, keys: 1, logs: 2 };

export async function panelsSayWhatTheyWaitFor(_page, house, browser) {
  const { page, context } = await openPage(browser);
  await page.goto(`${house.url}/console/`);
  await page.waitForSelector('[data-deployment="demo"]');
  const isReport = /\/admin\/v1\/(usage|errors|bill|plan|advice|keys|requests|deployments\/demo\/logs)/;
  for (const [screen, count] of Object.entries(kReports)) {
    let release = () => {};
    const held = new Promise((resume) => { release = resume; });
    await page.route(isReport, async (route) => {
      await held;
      await route.fulfill({ status: 503, contentType: "application/json",
        body: JSON.stringify({ error: { message: "The ledger is busy.", code: "overloaded" } }) });
    });
    await go(page, screen);
    await page.waitForFunction((most) => document.querySelectorAll('main .waiting[role="status"]').length >= most, count);
    assert.equal((await bodies(page)).filter((one) => one.waits).length, count, `${screen} waits`);
    release();
    await page.waitForFunction((most) => document.querySelectorAll('main [role="alert"]').length >= most, count);
    const failed = await bodies(page);
    assert.equal(failed.filter((one) => one.failed && one.again && one.text.includes("The ledger is busy.")).length, count,
      `${screen} says why: ${JSON.stringify(failed)}`);
    await page.unroute(isReport);
    await page.evaluate(() => {
      for (const again of document.querySelectorAll('main [role="alert"] button')) again.click();
    });
    await page.waitForFunction(() => document.querySelector('main [role="alert"]') === null);
    await settled(page);
  }
  await context.close();
}

// Local to whoever looks, with the zone for whoever hovers.
export async function timesHaveTheirZone(_page, house, browser) {
  const { page, context } = await openPage(browser, { timezoneId: "Asia/Shanghai" });
  await page.goto(`${house.url}/console/#/logs`);
  await page.waitForSelector("main tbody time");
  const shown = await page.evaluate(() => {
    const one = document.querySelector("main tbody time");
    return { text: one.textContent, title: one.title, moment: one.dateTime };
  });
  const local = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit",
    second: "2-digit" }).format(Date.parse(shown.moment));
  assert.ok(shown.text.includes(local), `${shown.text} is not ${local}`);
  assert.match(shown.title, /GMT\+8|CST|China/);
  await context.close();
}
