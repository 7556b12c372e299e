// The tables of docs/api.md, held against the program.
//   node api_page.mjs BUILD_DIR
// Holds: a field whose range is written as two numbers takes both ends and refuses by its name what lies beyond them;
// fields that are said to change nothing are taken, and none counts as ignored; the codes of errors and their statuses
// are those of src/api/error_table.cc, all of them. Exit 1 at any breach.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import path from "node:path";

import {withHouse} from "./house.mjs";

const buildDir = path.resolve(process.argv[2]);
const root = path.resolve(import.meta.dirname, "../..");
const page = readFileSync(path.join(root, "docs/api.md"), "utf8");
const MESSAGES = [{role: "user", content: "x"}];

// The cells of a section's tables, a list a row.
function rowsOf(title) {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  const lines = section.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("|---"));
  return lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}
const namesIn = (cell) => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1]);

async function checkRanges(ask) {
  let checked = 0;
  for (const [fields, range] of rowsOf("OpenAI")) {
    const names = namesIn(fields);
    const bounds = /^(above )?(-?\d+) to (\d+)$/.exec(range);
    if (!bounds || names.length !== 1) continue;
    const [name] = names;
    const [low, high] = bounds.slice(2).map(Number);
    const inside = bounds[1] ? low + 0.01 : low;
    const beyond = [bounds[1] ? low : low - 1, high + 1];
    for (const value of [inside, high]) assert.equal((await ask({[name]: value})).status, 200, `${name} ${value}`);
    for (const value of beyond) {
      const {status, body} = await ask({[name]: value});
      assert.equal(status, 400, `${name} ${value}`);
      assert.equal(body.error.param, name);
    }
    checked += 1;
  }
  assert.ok(checked >= 8, `${checked} ranges were found in the table`);
  return checked;
}

async function checkTaken(ask, url) {
  const ignored = async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    return /^dormouse_ignored_fields_total (\d+)$/m.exec(metrics)[1];
  };
  const [fields] = rowsOf("OpenAI").find((row) => row[2].startsWith("taken"));
  const names = namesIn(fields);
  assert.ok(names.length > 5);
  const before = await ignored();
  assert.equal((await ask(Object.fromEntries(names.map((name) => [name, "x"])))).status, 200);
  assert.equal(await ignored(), before);
  assert.equal((await ask({of_nobody: 1})).status, 200);
  assert.notEqual(await ignored(), before);
}

function checkErrors() {
  const source = readFileSync(path.join(root, "src/api/error_table.cc"), "utf8");
  const rows = source.matchAll(/\{(\d{3}),\s*(?:k\w+|"\w+"),\s*"(\w+)"/g);
  const ours = new Map([...rows].map(([, status, code]) => [code, status]));
  assert.ok(ours.size > 30);
  const told = new Map();
  for (const [status, codes] of rowsOf("Errors").slice(1)) {
    for (const code of namesIn(codes)) told.set(code, status.split(", "));
  }
  for (const [code, status] of ours) assert.ok(told.get(code)?.includes(status), `${code} ${status}: ${told.get(code)}`);
  for (const code of told.keys()) assert.ok(ours.has(code) || code === "param", `${code} is no code`);
  return ours.size;
}

const errors = checkErrors();
await withHouse(buildDir, async ({urls}) => {
  const ask = async (more) => {
    const body = JSON.stringify({model: "demo", messages: MESSAGES, max_tokens: 1, ...more});
    const answer = await fetch(`${urls[0]}/v1/chat/completions`, {method: "POST", body});
    return {status: answer.status, body: await answer.json()};
  };
  const ranges = await checkRanges(ask);
  await checkTaken(ask, urls[0]);
  console.log(`api_page: ${ranges} ranges and ${errors} errors are as docs/api.md has them`);
});
