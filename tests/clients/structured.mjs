// What OpenAI's own client gets when it asks for structure.
//   node structured.mjs BUILD_DIR DEMO_MODEL
// Holds: response_format json_schema and json_object give JSON of that shape, streamed and whole, with any sampling; a
// schema that cannot be kept is a 400 that names the field; an answer cut short says so. Exit 1 at any breach.
import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {once} from "node:events";
import {createServer} from "node:net";
import path from "node:path";

import OpenAI from "openai";

const worker = path.join(path.resolve(process.argv[2]), "dormouse-worker");
const model = path.resolve(process.argv[3]);
const PATIENCE_MS = 60_000;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const {port} = server.address();
  server.close();
  await once(server, "close");
  return port;
}

const schema = {
  type: "object",
  properties: {
    title: {type: "string", maxLength: 12},
    season: {enum: ["spring", "summer", "autumn", "winter"]},
    lines: {type: "array", items: {type: "string", pattern: "^[a-z]{1,8}$"}, minItems: 1, maxItems: 3},
    year: {type: "integer", minimum: 600, maximum: 1279},
  },
  required: ["title", "season", "lines", "year"],
  additionalProperties: false,
};

function check(text) {
  const poem = JSON.parse(text);
  assert.deepEqual(Object.keys(poem), ["title", "season", "lines", "year"]);
  assert.ok([...poem.title].length <= 12);
  assert.ok(schema.properties.season.enum.includes(poem.season));
  assert.ok(poem.lines.length >= 1 && poem.lines.length <= 3 && poem.lines.every((line) => /^[a-z]{1,8}$/.test(line)));
  assert.ok(Number.isInteger(poem.year) && poem.year >= 600 && poem.year <= 1279);
}

async function run(client) {
  const messages = [{role: "user", content: "Describe a poem."}];
  const ask = (format, more) => client.chat.completions.create(
    {model: "", messages, max_tokens: 400, response_format: format,
     chat_template_kwargs: {enable_thinking: false}, ...more});
  const format = {type: "json_schema", json_schema: {name: "poem", strict: true, schema}};
  for (let seed = 1; seed <= 10; seed += 1) {
    const {choices: [choice]} = await ask(format, {seed, temperature: seed / 5});
    assert.equal(choice.finish_reason, "stop");
    check(choice.message.content);
  }
  let streamed = "";
  for await (const chunk of await ask(format, {stream: true})) streamed += chunk.choices[0]?.delta?.content ?? "";
  check(streamed);
  const {choices: [cut]} = await ask(format, {max_tokens: 3});
  assert.equal(cut.finish_reason, "length");
  const {choices: [any]} = await ask({type: "json_object"}, {temperature: 2, seed: 3, max_tokens: 2000});
  if (any.finish_reason === "stop") assert.equal(typeof JSON.parse(any.message.content), "object");
  const broken = {type: "json_schema", json_schema: {name: "x", schema: {type: "object", not: {}}}};
  await assert.rejects(ask(broken), (error) =>
    error.status === 400 && error.param === "response_format" && error.message.includes("'not'"));
}

const port = await freePort();
const server = spawn(worker, ["serve", "--model", model, "--listen", `127.0.0.1:${port}`], {stdio: "ignore"});
try {
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const end = Date.now() + PATIENCE_MS;
  for (let ready = false; !ready;) {
    assert.ok(Date.now() < end && server.exitCode === null, "the worker did not come up");
    ready = await fetch(`http://127.0.0.1:${port}/health`).then((answer) => answer.ok, () => false);
    if (!ready) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await run(new OpenAI({baseURL, apiKey: "none", maxRetries: 0}));
  console.log("structured output: all of it holds");
} finally {
  server.kill();
}
