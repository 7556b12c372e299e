// The documents are true: what a page shows is run as it stands, against a real `dormouse serve --demo`.
//   node transcripts.mjs BUILD_DIR
// A page is read by sections (`## ...`), each with a server, a home directory and a shell of its own, so that a
// variable set in one block is there in the next. Ports, the build's path, KID and DATA-DIR are put in; nothing else is
// changed.
// Holds: every block of commands ends with 0; every answer of curl is 2xx and has the shape of its route; a block that
// shows what comes is what came (lines to the letter; JSON by its fields, its kinds of value and what does not depend
// on the run); safe `dormouse VERB`s within sentences end with 0. What cannot be run says why, in a comment before it
// that a reader of the page does not see:
//   <!-- not run: why -->
//   <!-- first: a command that this block needs and that is told elsewhere -->
// A page of which nothing is left is a breach. Before all, wrong pages have to be found wrong. Exit 1 at any breach.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from "node:fs";
import path from "node:path";

import {withDirectory, withServer} from "./house.mjs";
import {checkShape, differences} from "./transcript_shapes.mjs";

const buildDir = path.resolve(process.argv[2]);
const root = path.resolve(import.meta.dirname, "../..");
const PAGES = ["README.md", "README.zh-CN.md", "docs/api.md", "docs/api_ollama.md", "docs/api_openai.md",
  "docs/api_structured.md", "docs/api_tools.md", "docs/keys.md", "docs/limits.md", "docs/metrics.md"];
const COMMAND = /^(?:(?:build\/release\/)?dormouse(?:-worker)? |curl |\.\/\w+\.sh|git |mkdir |cat |[A-Z]+=\$\()/;
const SAFE_VERB = /^(?:build\/release\/)?dormouse (?:(?:ps|usage|bill|doctor|images)(?: |$)|\w+ --help$)/;
const SECTION_MS = 120_000;

// [{title, blocks: [{line, text, shown, first: [], leftOut}], verbs: []}]; throws what is wrong with the page itself.
function readPage(text) {
  const sections = [];
  const open = (title) => { sections.push({title, blocks: [], verbs: []}); };
  open("");
  const lines = text.split("\n");
  let notes = [];
  let last = null;  // the block of commands that what is shown next belongs to
  for (let i = 0; i < lines.length; i += 1) {
    const section = sections.at(-1);
    const note = /^<!-- (not run|first): (.+) -->$/.exec(lines[i]);
    const fence = /^```(\w*)$/.exec(lines[i]);
    if (note) {
      notes.push({kind: note[1], text: note[2]});
    } else if (fence) {
      const end = lines.indexOf("```", i + 1);
      assert.ok(end > 0, `line ${i + 1}: the block has no end`);
      const block = {line: i + 1, text: lines.slice(i + 1, end).join("\n"), shown: null,
        first: notes.filter((n) => n.kind === "first").map((n) => n.text),
        leftOut: notes.find((n) => n.kind === "not run")?.text ?? null};
      const isCommands = fence[1] === "" && COMMAND.test(lines[i + 1]);
      assert.ok(isCommands || notes.length === 0, `line ${i + 1}: a note before what is no block of commands`);
      if (isCommands) section.blocks.push(block);
      else if (fence[1] === "" && last) last.shown = block.text;
      last = isCommands ? block : null;
      notes = [];
      i = end;
    } else if (lines[i].trim() !== "") {
      assert.ok(notes.length === 0, `line ${i + 1}: a note before what is no block`);
      const isUnfenced = lines[i].startsWith("    ") && COMMAND.test(lines[i].trim());
      assert.ok(!isUnfenced, `line ${i + 1}: commands want a fence`);
      if (lines[i].startsWith("## ")) open(lines[i].slice(3));
      const words = [...lines[i].matchAll(/`([^`]+)`/g)].map((match) => match[1]);
      sections.at(-1).verbs.push(...words.filter((word) => SAFE_VERB.test(word)));
      last = null;
    }
  }
  return sections;
}

// curl as the reader types it; what came is kept beside, with the status and the route.
const CURL = `#!/bin/bash
body=$(mktemp "$TRANSCRIPT/body.XXXXXX")
/usr/bin/curl -sS --fail-with-body --max-time 60 -o "$body" \\
  -w "$BLOCK\\t%{http_code}\\t%{method}\\t%{content_type}\\t%{url_effective}\\t$body\\n" "$@" >>"$TRANSCRIPT/calls"
status=$?
cat "$body"
exit $status
`;
// A key is shown once: here it is kept for the commands after it, as the reader would.
const PRELUDE = `set -euo pipefail
dormouse() {
  case "$1 \${2-}" in
    "keys create" | "keys rotate")
      KEY=$(command dormouse "$@")
      KID=\${KEY#*_}
      KID=\${KID%%_*}
      printf '%s\\n' "$KEY" ;;
    *) command dormouse "$@" ;;
  esac
}
`;

function scriptOf(section, put) {
  let out = PRELUDE;
  section.blocks.forEach((block, i) => {
    if (block.leftOut) return;
    out += `export BLOCK=${i}\n`;
    for (const first of block.first) out += `${put(first)} >/dev/null\n`;
    out += `{\n${put(block.text)}\n} >"$TRANSCRIPT/out.${i}"\n`;
  });
  return `${out}export BLOCK=verbs\n${section.verbs.map((verb) => `${put(verb)} >/dev/null\n`).join("")}`;
}

function furnish(directory) {
  const bin = path.join(directory, "bin");
  mkdirSync(bin);
  writeFileSync(path.join(bin, "curl"), CURL);
  chmodSync(path.join(bin, "curl"), 0o755);
  for (const name of ["examples", "models"]) symlinkSync(path.join(root, name), path.join(directory, name));
  writeFileSync(path.join(directory, "requests.csv"), "t_s,service_s\n0,1.5\n60,2\n90,1\n4000,3\n");
  const body = {model: "demo", messages: [{role: "user", content: "月"}], max_tokens: 8};
  writeFileSync(path.join(directory, "requests.jsonl"), ["a", "b"].map((custom_id) =>
    JSON.stringify({custom_id, method: "POST", url: "/v1/chat/completions", body})).join("\n"));
  return bin;
}

function run(script, options) {
  return new Promise((resolve) => {
    const shell = spawn("/bin/bash", ["-c", script], {...options, detached: true, stdio: ["ignore", "pipe", "pipe"]});
    let output = "";
    for (const stream of [shell.stdout, shell.stderr]) stream.on("data", (piece) => { output += piece; });
    const timer = setTimeout(() => {
      output += `not over after ${SECTION_MS / 1000} s`;
      process.kill(-shell.pid, "SIGKILL");  // and what it runs
    }, SECTION_MS);
    shell.on("close", (status) => { clearTimeout(timer); resolve({status, output}); });
  });
}

// What was wrong with a section, one text each.
function judge(section, directory, {status, output}) {
  const breaches = [];
  const callsPath = path.join(directory, "calls");
  const calls = existsSync(callsPath) ? readFileSync(callsPath, "utf8").trimEnd().split("\n") : [];
  const at = (block) => `line ${section.blocks[block].line}`;
  for (const call of calls) {
    const [block, code, method, type, url, body] = call.split("\t");
    const breach = checkShape({status: Number(code), method, type, path: new URL(url).pathname,
      body: readFileSync(body, "utf8")});
    if (breach) breaches.push(`${at(block)}: ${method} ${url}: ${breach}`);
  }
  if (status !== 0) return [...breaches, `the commands of "${section.title}" ended with ${status}: ${output}`];
  section.blocks.forEach((block, i) => {
    if (block.leftOut || block.shown === null) return;
    const came = readFileSync(path.join(directory, `out.${i}`), "utf8");
    const wrong = differences(block.shown, came);
    if (wrong) breaches.push(`${at(i)}: ${wrong}`);
  });
  return breaches;
}

function runSection(section, language) {
  return withDirectory("transcript", (directory) => {
    const data = path.join(directory, ".local/share/dormouse");
    const bin = furnish(directory);
    const env = {...process.env, HOME: directory, LANG: language, TRANSCRIPT: directory,
      PATH: `${bin}:${buildDir}:${process.env.PATH}`};
    for (const name of ["XDG_DATA_HOME", "LC_ALL", "LC_MESSAGES"]) delete env[name];
    const words = ["--demo", "--listen", "127.0.0.1:0", "--ollama-listen", "127.0.0.1:0"];
    return withServer({buildDir, directory, words, data, env}, async ({urls}) => {
      const [listen, ollama] = urls.map((url) => url.slice("http://".length));
      const put = (text) => text.replaceAll("build/release/", "").replaceAll("127.0.0.1:8080", listen)
        .replaceAll("127.0.0.1:11434", ollama).replaceAll("DATA-DIR", data).replaceAll(/\bKID\b/g, '"$KID"');
      return judge(section, directory, await run(scriptOf(section, put), {cwd: directory, env}));
    });
  });
}

async function checkPage(text, language = "C.UTF-8") {
  const out = {run: 0, leftOut: 0, verbs: 0, breaches: []};
  for (const section of readPage(text)) {
    const left = section.blocks.filter((block) => block.leftOut).length;
    out.run += section.blocks.length - left;
    out.leftOut += left;
    out.verbs += section.verbs.length;
    if (section.blocks.length - left + section.verbs.length === 0) continue;
    out.breaches.push(...await runSection(section, language));
  }
  if (out.run === 0) out.breaches.push("not one block of this page is run");
  return out;
}

async function findsWhatIsWrong() {
  const fenced = (...blocks) => blocks.map((block) => `\`\`\`\n${block}\n\`\`\`\n`).join("\n");
  const ask = "curl http://127.0.0.1:8080/generate -d '{\"prompt\":\"x\",\"max_tokens\":1}'";
  const unheard = await checkPage(fenced("curl http://127.0.0.1:8080/v1/nothing"));
  assert.match(unheard.breaches.join("\n"), /404/);
  const untrue = await checkPage(fenced(ask, '{"text":"a","speed":1}'));
  assert.match(untrue.breaches.join("\n"), /speed/);
  const invented = await checkPage(fenced("dormouse --version", "version 0.0.0"));
  assert.match(invented.breaches.join("\n"), /0\.0\.0/);
  const failing = await checkPage(fenced("dormouse sleep nobody"));
  assert.match(failing.breaches.join("\n"), /ended with 1/);
  const nothing = await checkPage(`<!-- not run: why not -->\n${fenced(ask)}`);
  assert.deepEqual(nothing, {run: 0, leftOut: 1, verbs: 0, breaches: ["not one block of this page is run"]});
  assert.deepEqual((await checkPage(fenced(ask))).breaches, []);
}

await findsWhatIsWrong();
const results = await Promise.all(PAGES.map((page) => {
  const language = page.includes("zh-CN") ? "zh_CN.UTF-8" : "C.UTF-8";
  return checkPage(readFileSync(path.join(root, page), "utf8"), language);
}));
PAGES.forEach((page, i) => {
  const {run: ran, leftOut, verbs} = results[i];
  console.log(`transcripts: ${page}: ${ran} blocks and ${verbs} verbs in sentences run, ${leftOut} blocks left out`);
});
const breaches = results.flatMap((result, i) => result.breaches.map((breach) => `${PAGES[i]}, ${breach}`));
assert.deepEqual(breaches, []);
