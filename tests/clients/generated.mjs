// Requests made of /openapi.json, right ones and wrong ones, to every route of a running gateway and a real worker.
//   node generated.mjs BUILD_DIR DEMO_MODEL [REQUESTS [SEED]]
// Holds: every answer is one that the document names for its route, with a body of the schema it gives; what the schema
// forbids is refused; no 5xx but those of the table that say "not now" or "not here"; every route answers a right
// request rightly; afterwards the gateway and its worker are the same processes, and the gateway has not grown. The
// seed is printed; with it the same requests are sent again. VERBOSE=1 prints every answer. Exit 1 at any breach.
import assert from "node:assert/strict";
import {spawn, spawnSync} from "node:child_process";
import {copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import http from "node:http";
import {tmpdir} from "node:os";
import path from "node:path";

import fc from "fast-check";

import {judgeOf, operationsOf} from "./generated_answers.mjs";
import {caseOf, LINES, requestOf} from "./generated_cases.mjs";
import {eventually, PATIENCE_MS} from "./house.mjs";

const REQUESTS = Number(process.argv[4] ?? 20_000);
const SEED = Number(process.argv[5] ?? Date.now() % 1_000_000_000);
const IN_FLIGHT = 16;
const MOST_FAULTS = 20;  // sorts of them; then it ends
// Of the gateway, which keeps files, keys and deployments that the test makes: 4 MiB were measured in 20,000 requests.
const MOST_GROWTH_KIB = 64 * 1024;
const KEPT = {name: 12, kid: 40, file: 40, batch: 12};  // older ones the test deletes, or forgets

const directory = mkdtempSync(path.join(tmpdir(), "generated-"));
const data = path.join(directory, "data");
const program = path.join(path.resolve(process.argv[2]), "dormouse");
const model = path.join(directory, "nap.gguf");
const damaged = path.join(directory, "damaged.gguf");
const agent = new http.Agent({keepAlive: true, maxSockets: IN_FLIGHT});

// null: it failed.
function verb(...words) {
  const done = spawnSync(program, [...words, "--data-dir", data], {cwd: directory, encoding: "utf8"});
  return done.status === 0 ? done.stdout.trim() : null;
}

// {status, headers, text}
function ask(base, {method, target, headers, bytes}, endless = false) {
  return new Promise((resolve, reject) => {
    const request = http.request(base + target, {method, agent, headers, timeout: PATIENCE_MS}, (response) => {
      const pieces = [];
      response.on("data", (piece) => {
        pieces.push(piece);
        if (endless && Buffer.concat(pieces).includes("\n\n")) response.destroy();  // it has no end of its own
      });
      if (endless) response.on("close", () => resolve({status: response.statusCode, headers: response.headers,
        text: Buffer.concat(pieces).toString()}));
      response.on("end", () => resolve({status: response.statusCode, headers: response.headers,
        text: Buffer.concat(pieces).toString()}));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${PATIENCE_MS / 1000} s`)));
    request.on("error", reject);
    request.end(bytes);
  });
}

function memoryKib(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}

// The things that requests of this run made, for later ones to use.
class Pools {
  name = ["damaged"];
  kid = [];
  file = [];
  batch = [];
  model = ["demo", "demo:latest"];
  reference = ["qwen3-demo:q8_0", "qwen3-demo"];  // that is here: nothing is downloaded
  requests = [];  // files that a batch can be made of

  // null, or [the operation that removes it, a thing that is too many].
  note({operation: {operationId}}, request, text) {
    const gone = {removeDeployment: "name", revokeKey: "kid", deleteFile: "file"}[operationId];
    if (gone) this.#remove(gone, decodeURIComponent(request.target.split("?")[0].split("/").at(-1)));
    const made = {deploy: "name", createKey: "kid", uploadFile: "file", createBatch: "batch"}[operationId];
    if (!made) return null;
    const answer = JSON.parse(text);
    const id = answer.id ?? answer.kid ?? answer.name;
    this[made].push(id);
    if (made === "file" && request.bytes.includes(LINES)) this.requests.push(id);
    if (this[made].length <= KEPT[made]) return null;
    const [oldest] = this[made];
    this.#remove(made, oldest);
    return made === "batch" ? null : [{name: "removeDeployment", kid: "revokeKey", file: "deleteFile"}[made], oldest];
  }

  #remove(pool, id) {
    for (const name of [pool, "requests"]) this[name] = this[name].filter((one) => one !== id);
  }
}

class Run {
  faults = new Map();  // the first of each sort
  statuses = new Map();
  rightly = new Map();
  sent = 0;
  #pools = new Pools();

  constructor(bases, keys, document) {
    Object.assign(this, {bases, keys, operations: operationsOf(document), judge: judgeOf(document)});
    for (const {operationId} of this.operations) this.rightly.set(operationId, 0);
  }

  baseOf(operation) {
    return operation["x-scope"] === "inference" ? this.bases.public : this.bases.admin;
  }

  async send(c) {
    const {operation} = c;
    if (operation.operationId === "createBatch" && c.kind === "right" && this.#pools.requests.length > 0) {
      c.value = {...c.value, input_file_id: this.#pools.requests.at(-1)};
    }
    const request = requestOf(c, this.#pools, this.keys);
    let answer = {status: 0, headers: {}, text: ""};
    let fault;
    try {
      answer = await ask(this.baseOf(operation), request, operation["x-endless"]);
      fault = this.judge(c, request, answer);
    } catch (error) {
      fault = String(error.stack);
    }
    this.sent += 1;
    const {status, text} = answer;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (process.env.VERBOSE) console.log(`${operation.operationId} ${c.kind}: ${status} ${text.slice(0, 200)}`);
    if (fault) this.#note(`${operation.operationId}, ${c.kind}: ${fault}`, request, answer);
    if (status !== 200 || request.method === "HEAD") return;
    if (c.kind === "right") this.rightly.set(operation.operationId, this.rightly.get(operation.operationId) + 1);
    const tooMany = this.#pools.note(c, request, text);
    if (tooMany) await this.#removeOne(...tooMany);
  }

  #note(fault, {method, target, headers, bytes}, {status, text}) {
    const sort = fault.replace(/"[^"]*"/g, '""');
    const {authorization, ...shown} = headers;
    if (!this.faults.has(sort)) {
      this.faults.set(sort, `${fault}\n  ${method} ${target} ${JSON.stringify(shown)}\n` +
        `  ${String(bytes).slice(0, 600)}\n  -> ${status} ${text.slice(0, 600)}`);
    }
  }

  #removeOne(operationId, id) {
    const operation = this.operations.find((o) => o.operationId === operationId);
    const key = operation["x-scope"] === "inference" ? this.keys.inference : this.keys.admin;
    return ask(this.baseOf(operation), {method: "DELETE", headers: {authorization: `Bearer ${key}`},
      target: operation.route.replace(/\{\w+\}/, encodeURIComponent(id))});
  }

  summary() {
    return [...this.statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} x ${status}`).join(", ");
  }
}

// The public door's is the administration's without the administration, and is not sent twice to who has it.
async function checkDoors(bases, document) {
  const {headers: {etag}, text} = await ask(bases.public, {method: "GET", target: "/openapi.json"});
  const isPublic = (o) => o.security.length === 0 || o["x-scope"] === "inference";
  const ids = (list) => list.map((o) => o.operationId);
  assert.deepEqual(ids(operationsOf(JSON.parse(text))), ids(operationsOf(document).filter(isPublic)));
  assert.ok(!text.includes("/admin/"), "the public door speaks of the administration");
  const again = await ask(bases.public, {method: "GET", target: "/openapi.json", headers: {"if-none-match": etag}});
  assert.equal(again.status, 304);
  assert.equal(again.text, "");
}

async function main(bases, keys) {
  const admin = {authorization: `Bearer ${keys.admin}`};
  const read = async (target) => JSON.parse((await ask(bases.admin, {method: "GET", target, headers: admin})).text);
  const document = await read("/openapi.json");
  await checkDoors(bases, document);
  for (const [name, image] of [["nap", model], ["damaged", damaged]]) {
    const made = await ask(bases.admin, {method: "POST", target: "/admin/v1/deployments", headers: admin,
      bytes: JSON.stringify({name, image})});
    assert.equal(made.status, 200, made.text);
  }
  const woken = await ask(bases.admin, {method: "POST", target: "/admin/v1/deployments/demo/wake", headers: admin});
  assert.equal(woken.status, 200, woken.text);
  const processes = async () => {
    const status = await read("/admin/v1/status");
    return {gateway: status.pid, worker: status.deployments.find((d) => d.name === "demo").instances[0]?.pid};
  };
  const before = await processes();

  const run = new Run(bases, keys, document);
  const each = Math.ceil(REQUESTS / run.operations.length);
  const {schemas} = document.components;
  const lists = run.operations.map((operation, i) =>
    fc.sample(caseOf(operation, schemas, damaged), {numRuns: each, seed: SEED + i}));
  const queue = Array.from({length: each}, (_, i) => lists.map((list) => list[i])).flat();
  const warm = queue.length * 3 / 4;
  let memory = 0;
  await Promise.all(Array.from({length: IN_FLIGHT}, async () => {
    while (queue.length > 0 && run.faults.size < MOST_FAULTS) {
      if (memory === 0 && queue.length <= warm) memory = memoryKib(before.gateway);
      await run.send(queue.shift());
    }
  }));

  const grown = memoryKib(before.gateway) - memory;
  console.log(`generated: ${run.sent} requests to ${run.operations.length} operations, seed ${SEED}: ${run.summary()}; ` +
    `the gateway grew by ${grown} KiB in the last three quarters`);
  assert.equal(run.faults.size, 0, `with seed ${SEED}:\n${[...run.faults.values()].join("\n")}`);
  const never = run.operations.filter((o) => o.responses[200] && run.rightly.get(o.operationId) === 0);
  assert.deepEqual(never.map((o) => o.operationId), [], "each of these never took a right request");
  assert.deepEqual(await processes(), before, "a process is another than before");
  assert.ok(grown <= MOST_GROWTH_KIB, `the gateway grew by ${grown} KiB`);
}

mkdirSync(data);
copyFileSync(path.resolve(process.argv[3]), model);
writeFileSync(damaged, "no model");
// With a price there are costs, bills and plans.
writeFileSync(path.join(data, "dormouse.toml"),
  '[[instance]]\nname = "local"\nhour = "3.6"\nmonth = "600"\ncurrency = "CNY"\n');
let output = "";
const server = spawn(program, ["serve", "--demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
  "--data-dir", data], {cwd: directory, stdio: ["ignore", "pipe", "pipe"]});
for (const stream of [server.stdout, server.stderr]) {
  stream.on("data", (piece) => { output = (output + piece).slice(-20_000); });
}
try {
  // Both addresses are on the banner, and `ps` tells that requests are taken.
  const bases = await eventually("the server", () => {
    assert.equal(server.exitCode, null, `it ended early:\n${output}`);
    const address = (word) => new RegExp(`\\b${word}\\s+(http://\\S+)`).exec(output)?.[1];
    const [open, admin] = [address("API"), address("ADMIN")];
    return open && admin && verb("ps") !== null ? {public: open, admin} : null;
  });
  const keys = {};
  for (const scope of ["inference", "admin"]) {
    keys[scope] = verb("keys", "create", "--name", scope, "--scope", scope, "--expires", "never");
  }
  await main(bases, keys);
} catch (error) {
  console.error(output);
  throw error;
} finally {
  agent.destroy();
  server.kill("SIGTERM");
  server.kill("SIGTERM");
  if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
  rmSync(directory, {recursive: true, force: true});
}
