// A real server with the demo model and a seeded past, and a browser before its console.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { seed } from "./seed.mjs";

// This machine gets a price, or there is nothing to reckon.
const kConfig = `time_zone = "UTC"
[[instance]]
name = "local"
title_en = "this machine"
title_zh = "本机"
hour = "1.80"
month = "300"
currency = "CNY"
[[image]]
name = "hub-demo"
tag = "q8_0"
file = "hub-demo.gguf"
title_en = "The demo model from a hub"
title_zh = "来自下载站的示例模型"
huggingface = "Acme/Demo-GGUF"
`;

// The same machine by a price list in dollars.
const kDollars = `[[instance]]
name = "abroad"
title_en = "this machine, billed in dollars"
title_zh = "本机（以美元计价）"
hour = "0.35"
currency = "USD"
`;

export class House {
  // `isEmpty`: without the demo deployment. `hubUrl`: Hugging Face's mirror.
  constructor(dormouse, worker, { isEmpty = false, hubUrl = "" } = {}) {
    this.dormouse = dormouse;
    this.worker = worker;
    this.first = isEmpty ? [] : ["--demo"];
    this.environment = hubUrl === "" ? process.env : { ...process.env, HF_ENDPOINT: hubUrl };
    this.directory = mkdtempSync(join(tmpdir(), "dormouse-console-"));
    this.listen = "127.0.0.1:0";
    mkdirSync(join(this.directory, "data"));
    writeFileSync(join(this.directory, "data", "dormouse.toml"), kConfig + kDollars);
  }

  // Resolves when it listens; `this.link` is then the one-time link it printed.
  async start() {
    const child = spawn(this.dormouse, ["serve", ...this.first, "--listen", this.listen, "--data-dir",
      join(this.directory, "data"), "--worker", this.worker], { stdio: ["ignore", "pipe", "pipe"], env: this.environment });
    this.child = child;
    this.log = "";
    this.ended = new Promise((resolve) => child.on("exit", resolve));
    await new Promise((resolve, reject) => {
      const read = (piece) => {
        this.log += piece;
        const link = this.log.match(/http:\S+\/console\/#login=[\w.~-]+/);
        if (link === null) return;
        this.link = link[0];
        this.url = new URL(this.link).origin;
        this.listen = new URL(this.link).host;
        resolve();
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.on("exit", (code) => reject(new Error(`dormouse ended with ${code}:\n${this.log}`)));
    });
  }

  async stop() {
    this.child.kill("SIGTERM");
    await this.ended;
  }

  // The server makes its ledger, and a past is written into it while nobody has it open.
  async startWithPast(past = {}) {
    await this.start();
    await this.stop();
    this.told = seed(join(this.directory, "data", "ledger.db"), "demo", past);
    await this.start();
  }

  // Over run/admin.sock, which needs no key.
  ask(method, path, body) {
    const socketPath = join(this.directory, "data", "run", "admin.sock");
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath, method, path }, (answer) => {
        let text = "";
        answer.on("data", (piece) => { text += piece; });
        answer.on("end", () => {
          if (answer.statusCode >= 400) reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
          else resolve(text === "" ? undefined : JSON.parse(text));
        });
      });
      request.on("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async remove() {
    if (this.child?.exitCode === null) await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function openBrowser(browserPath) {
  return chromium.launch({
    executablePath: browserPath, chromiumSandbox: process.getuid() !== 0, args: ["--disable-dev-shm-usage"],
  });
}

// A page whose complaints are kept: the console is silent, or something is wrong.
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) complaints.push(message.text());
  });
  return { page, context, complaints };
}

export const kScreens = ["overview", "deploy", "playground", "usage", "cost", "keys", "logs", "settings"];

export async function go(page, screen) {
  await page.evaluate((hash) => { location.hash = hash; }, `#/${screen}`);
  await page.waitForFunction((name) => document.querySelector(`nav a[aria-current]`)?.hash === `#/${name}`,
    screen.split("/")[0]);
}

// Until no panel says that it is loading.
export const settled = (page) =>
  page.waitForFunction(() => document.querySelector('main .waiting[role="status"]') === null, null, { timeout: 60_000 });

export async function choose(page, language, theme) {
  await page.evaluate(([tongue, look]) => {
    localStorage.setItem("dormouse.language", tongue);
    localStorage.setItem("dormouse.theme", look);
  }, [language, theme]);
  await page.reload();
  await page.waitForSelector("main h1");
}
