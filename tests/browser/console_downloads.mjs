// An image comes from a hub through the page: it fails and is tried again, goes on after a reload and a Cancel where it
// was, and what came is deployed. The hub (hub.mjs) gives as much as it is told to.
import assert from "node:assert/strict";
import { go } from "./console_house.mjs";
import { violationsOf } from "./console_looks.mjs";

export async function downloads(page, house, _browser, hub) {
  await go(page, "deploy");
  await page.getByLabel("Search").fill("hub-demo");
  const card = page.locator(".choice", { has: page.locator('input[value="hub-demo:q8_0"]') });
  const box = page.locator('[data-image="hub-demo:q8_0"]');
  const bar = page.getByRole("progressbar", { name: "Download of hub-demo:q8_0" });
  await page.waitForFunction(() => document.querySelectorAll(".choice").length === 1);
  assert.match(await box.textContent(), /free/);
  const height = async () => (await card.boundingBox()).height;
  const before = await height();

  hub.isDown = true;
  await box.getByRole("button", { name: "Download" }).click();
  await box.getByRole("alert").waitFor();
  assert.match(await box.textContent(), /No source answers.*Try again/);
  hub.isDown = false;
  hub.limit = 2_500_000;
  await box.getByRole("button", { name: "Try again" }).click();
  await bar.waitFor();
  await page.waitForFunction(() => Number(document.querySelector('[role="progressbar"]').ariaValueNow) >= 40);
  assert.equal(await height(), before, "nothing jumps");
  assert.match(await bar.getAttribute("aria-valuetext"), /Loading \d+ % · 2\.\d MB \/ 5\.4 MB/);
  await card.locator("label").click();
  assert.equal(await page.getByRole("button", { name: "Deploy", exact: true }).isDisabled(), true, "it is not here");

  // It is the server's: a page that comes later sees it, too.
  await page.reload();
  await page.getByLabel("Search").fill("hub-demo");
  await bar.waitFor();
  assert.deepEqual(await violationsOf(page), []);
  await box.getByRole("button", { name: "Cancel" }).click();
  await box.getByRole("button", { name: /^Go on, 2\.\d MB are here$/ }).waitFor();
  assert.match(await box.textContent(), /Stopped; what came is kept/);
  assert.equal(await height(), before, "nothing jumps");

  hub.limit = Infinity;
  await box.getByRole("button", { name: "Go on" }).click();
  await page.waitForFunction(() => document.querySelector('input[value="hub-demo:q8_0"]').checked, { timeout: 60_000 });
  assert.equal(await card.locator(".awake").textContent(), "here");
  assert.equal(await box.count(), 0, "there is nothing left to download");
  assert.equal(hub.begins[0], 0);
  assert.ok(hub.begins.length > 1 && hub.begins.slice(1).every((begin) => begin > 0), `it began again: ${hub.begins}`);
  await page.getByLabel("Name", { exact: false }).first().fill("fetched");
  await page.getByRole("button", { name: "Deploy", exact: true }).click();
  await page.waitForSelector("text=fetched: It is there.");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.waitForSelector("[data-answer] .text", { timeout: 30_000 });
  await house.ask("DELETE", "/admin/v1/deployments/fetched");
}
