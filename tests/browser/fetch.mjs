// Goal: what CORS and the Host check are for, judged by the browser itself: a page of another origin asks and reads only
// where --cors lists it, nothing of it reaches the model otherwise, and a name that was made to mean 127.0.0.1 (DNS
// rebinding) gets nothing. Method: Debian's Chromium, headless; page.example and evil.example mean 127.0.0.1 to it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [dormouse, fakeWorker, browserPath] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), "dormouse-browser-"));
const servers = [];

// Resolves to the address of the one listener once it stands.
async function serve(name, ...flags) {
  const folder = join(directory, name);
  const model = join(directory, "demo.gguf");
  writeFileSync(model, "fake:tokens=6,tokens_per_s=40");
  const child = spawn(dormouse, ["serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--worker", fakeWorker,
    "--model", model, "--name", "demo", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  const server = { child, log: "", ended: new Promise((resolve) => child.on("exit", resolve)) };
  servers.push(server);
  server.address = await new Promise((resolve, reject) => {
    child.stderr.on("data", (piece) => {
      server.log += piece;
      const found = server.log.match(/event=listening address=(\S+)/);
      if (found) resolve(found[1]);
    });
    child.on("exit", (code) => reject(new Error(`dormouse ended with ${code}:\n${server.log}`)));
  });
  server.url = `http://${server.address}`;
  return server;
}

// What the ledger has of it: nobody can be charged for what was refused.
async function requestsOf(server) {
  const answer = await fetch(`${server.url}/admin/v1/requests`);
  return (await answer.json()).rows.length;
}

// Runs in the page.
async function ask({ url, method, headers, body, credentials }) {
  try {
    const answer = await fetch(url, { method, headers, body, credentials });
    return { status: answer.status, id: answer.headers.get("x-request-id"), text: await answer.text() };
  } catch (error) {
    return { failed: String(error) };
  }
}

const chat = (url, extra = {}) => ({
  url: `${url}/v1/chat/completions`,
  method: "POST",
  headers: { authorization: "Bearer sk-none", "content-type": "application/json", "x-stainless-os": "Browser:Chrome" },
  body: JSON.stringify({ model: "demo", messages: [{ role: "user", content: "hello" }] }),
  ...extra,
});

async function main() {
  const site = http.createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>page</title>");
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  const origin = `http://page.example:${site.address().port}`;
  const browser = await chromium.launch({
    executablePath: browserPath,
    chromiumSandbox: process.getuid() !== 0,
    args: ["--host-resolver-rules=MAP *.example 127.0.0.1", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(origin);
    assert.equal(await page.evaluate("location.origin"), origin);

    const closed = await serve("closed");
    assert.ok((await page.evaluate(ask, chat(closed.url))).failed, "without --cors nothing is read");
    const plain = chat(closed.url, { headers: { "content-type": "text/plain" } });
    assert.ok((await page.evaluate(ask, plain)).failed, "nor without a preflight");
    assert.equal(await requestsOf(closed), 0, "and nothing was asked of the model");

    const other = await serve("other", "--cors", "http://other.example");
    assert.ok((await page.evaluate(ask, chat(other.url))).failed, "another page's permission is not ours");
    assert.equal(await requestsOf(other), 0);

    const open = await serve("open", "--cors", origin);
    const whole = await page.evaluate(ask, chat(open.url));
    assert.equal(whole.status, 200, JSON.stringify(whole));
    assert.match(whole.text, /w0 w1 w2/);
    assert.match(whole.id, /^[0-9a-f-]{36}$/, "x-request-id is exposed");
    const body = JSON.stringify({ model: "demo", messages: [{ role: "user", content: "x" }], stream: true });
    const stream = await page.evaluate(ask, chat(open.url, { body }));
    assert.match(stream.text, /data: \[DONE\]/);
    const missing = await page.evaluate(ask, chat(open.url, { body: body.replace("demo", "nope") }));
    assert.equal(missing.status, 404, "an error can be read as well");
    assert.match(missing.text, /model_not_found/);
    assert.equal((await page.evaluate(ask, { url: `${open.url}/v1/models`, method: "GET" })).status, 200);
    assert.equal(await requestsOf(open), 2);
    for (const path of ["/admin/v1/status", "/metrics"]) {
      assert.ok((await page.evaluate(ask, { url: open.url + path, method: "GET" })).failed, `${path} is no page's`);
    }
    assert.ok((await page.evaluate(ask, chat(open.url, { credentials: "include" }))).failed, "never with cookies");

    const any = await serve("any", "--cors", "*");
    assert.equal((await page.evaluate(ask, chat(any.url))).status, 200);
    assert.ok((await page.evaluate(ask, { url: `${any.url}/admin/v1/status`, method: "GET" })).failed);

    const port = closed.address.split(":")[1];
    const rebound = await page.goto(`http://evil.example:${port}/v1/models`);
    assert.equal(rebound.status(), 421, "a name that was made to mean us");
    assert.match(await rebound.text(), /host_not_allowed/);
    const inside = await page.evaluate(ask, { url: `http://evil.example:${port}/admin/v1/status`, method: "GET" });
    assert.equal(inside.status, 421);
    assert.equal((await page.goto(`http://127.0.0.1:${port}/v1/models`)).status(), 200);
  } finally {
    await browser.close();
    site.close();
  }
}

let failure = null;
try {
  await main();
} catch (error) {
  failure = error;
}
for (const server of servers) server.child.kill("SIGTERM");
for (const server of servers) server.child.kill("SIGTERM"); // twice: in a hurry
await Promise.all(servers.map((server) => server.ended));
if (failure) {
  console.error(failure);
  for (const server of servers) console.error(server.log);
}
rmSync(directory, { recursive: true, force: true });
if (!failure) console.log("browser: every check passed");
process.exit(failure ? 1 : 0);
