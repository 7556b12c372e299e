// `dormouse-worker adopt` in front of a server that is not ours (third_party_server.mjs).
//   node adopt.mjs BUILD_DIR DEMO.gguf
// Holds: it becomes ready; streams carry cumulative usage on every chunk, which ends at what the server itself counted;
// a whole answer has its usage; names are ours; a caller that leaves harms nobody; SIGTERM ends both with 0, SIGKILL of
// the worker alone takes the server with it. Exit 1 at any breach.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import http from "node:http";
import {tmpdir} from "node:os";
import path from "node:path";

const PATIENCE_MS = 120_000;
const [buildDir, demo] = process.argv.slice(2).map((argument) => path.resolve(argument));
const started = [];  // to be ended, whatever happens
const directory = mkdtempSync(path.join(tmpdir(), "adopt-"));
const socketPath = path.join(directory, "w.sock");

function request(method, target, body) {
  return new Promise((resolve, reject) => {
    const call = http.request({socketPath, method, path: target, headers: {"content-type": "application/json"}});
    call.on("error", reject);
    call.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece) => { text += piece; });
      answer.on("end", () => resolve({status: answer.statusCode, text}));
      answer.on("error", reject);
    });
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

// Until `what` answers true; nothing tells, so it is asked again.
async function eventually(name, what) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`${name}: not within ${PATIENCE_MS / 1000} s`);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function startWorker() {
  const worker = spawn(path.join(buildDir, "dormouse-worker"), [
    "adopt", "--model", demo, "--served-model-name", "ours", "--max-model-len", "512", "--max-num-seqs", "1",
    "--upstream-path", "/openai", "--listen", `unix:${socketPath}`, "--",
    process.execPath, path.join(import.meta.dirname, "third_party_server.mjs"), "{model}", "{host}", "{port}",
  ]);
  started.push(worker);
  let output = "";
  for (const stream of [worker.stdout, worker.stderr]) stream.on("data", (piece) => { output += piece; });
  const exited = new Promise((resolve) => worker.on("exit", (code, signal) => resolve({code, signal})));
  const gone = {value: null};
  exited.then((how) => { gone.value = how; });
  await eventually("ready", async () => {
    assert.equal(gone.value, null, `the worker ended early:\n${output}`);
    const health = await request("GET", "/health").catch(() => ({status: 0}));
    return health.status === 200;
  });
  const pid = Number(/theirs pid=(\d+)/.exec(output)[1]);
  assert.ok(isAlive(pid));
  return {worker, exited, pid};
}

const stream_options = {include_usage: true, continuous_usage_stats: true};
const messages = [{role: "user", content: "Write a poem about the sea."}];

async function checkStream() {
  const answer = await request("POST", "/v1/chat/completions",
    {model: "ours", messages, temperature: 0, max_tokens: 24, stream: true, stream_options});
  assert.equal(answer.status, 200, answer.text);
  const payloads = answer.text.split("\n\n").filter((f) => f.startsWith("data: ")).map((f) => f.slice(6));
  assert.equal(payloads.at(-1), "[DONE]");
  const chunks = payloads.slice(0, -1).map((p) => JSON.parse(p));
  let counted = 0;
  let text = "";
  for (const chunk of chunks.slice(0, -2)) {
    assert.equal(chunk.model, "ours");
    if (chunk.choices[0].delta.content) counted += 1;
    text += chunk.choices[0].delta.content ?? "";
    assert.equal(chunk.usage.completion_tokens, counted, "cumulative, by deltas");
  }
  const [end, last] = chunks.slice(-2);
  assert.ok(["stop", "length"].includes(end.choices[0].finish_reason));
  assert.deepEqual(last.choices, []);
  assert.deepEqual(last.usage, end.usage, "what the server itself says");
  assert.ok(last.usage.prompt_tokens > 0 && last.usage.completion_tokens > 0 && text.length > 0);
  return `${counted} deltas, the server says ${last.usage.completion_tokens} tokens`;
}

async function checkWhole() {
  const answer = await request("POST", "/v1/completions", {prompt: "the sea", max_tokens: 8, temperature: 0});
  assert.equal(answer.status, 200, answer.text);
  const body = JSON.parse(answer.text);
  assert.equal(body.model, "ours");
  assert.equal(body.usage.completion_tokens, 8);
  const models = JSON.parse((await request("GET", "/v1/models")).text);
  assert.deepEqual(models.data.map((m) => m.id), ["ours"]);
  assert.equal((await request("POST", "/v1/completions", {model: "theirs", prompt: "x"})).status, 404);
  const refused = await request("POST", "/v1/chat/completions", {model: "ours"});
  assert.equal(refused.status, 400, "its own refusal, in our words");
  assert.ok(JSON.parse(refused.text).error.code);
}

async function leaveInMidAnswer() {
  await new Promise((resolve, reject) => {
    const call = http.request({socketPath, method: "POST", path: "/v1/chat/completions"});
    call.on("response", (answer) => answer.once("data", () => { call.destroy(); resolve(); }));
    call.on("error", (error) => (call.destroyed ? resolve() : reject(error)));
    call.end(JSON.stringify({messages, max_tokens: 400, stream: true}));
  });
}

try {
  const first = await startWorker();
  const counted = await checkStream();
  await checkWhole();
  await leaveInMidAnswer();
  await checkWhole();
  first.worker.kill("SIGTERM");
  assert.deepEqual(await first.exited, {code: 0, signal: null});
  assert.ok(!isAlive(first.pid), "SIGTERM left their server behind");

  const second = await startWorker();
  second.worker.kill("SIGKILL");
  await second.exited;
  await eventually("their server's end", () => !isAlive(second.pid));
  console.log(`adopt: inference-server over node-llama-cpp served as ours (${counted})`);
} finally {
  for (const worker of started) worker.kill("SIGKILL");
  rmSync(directory, {recursive: true, force: true});
}
