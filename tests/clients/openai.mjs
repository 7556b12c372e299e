// OpenAI's own client against the whole server: embeddings, responses and batches, with nothing faked.
//   node openai.mjs BUILD_DIR DEMO_MODEL
// Holds: vectors are the same as floats, as the base64 the client asks for by itself and among others; a response is
// the same whole and streamed, its helper accumulates it, held to a form like chat, and what cannot be is refused by
// name; a batch outlives a kill. Exit 1 at any breach.
import assert from "node:assert/strict";
import {spawn, spawnSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";

import OpenAI, {toFile} from "openai";

import {refusal} from "./house.mjs";
import {checkWeather, weather} from "./weather.mjs";

const buildDir = path.resolve(process.argv[2]);
const demo = path.resolve(process.argv[3]);
const program = path.join(buildDir, "dormouse");
const directory = mkdtempSync(path.join(tmpdir(), "openai-"));
const data = path.join(directory, "data");
const PATIENCE_MS = 60_000;

async function address(server) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end && server.exitCode === null) {
    const done = spawnSync(program, ["ps", "--format", "json", "--data-dir", data], {cwd: directory, encoding: "utf8"});
    const listen = done.status === 0 ? JSON.parse(done.stdout).listen : [];
    if (listen.length > 0) return listen[0];
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail("the server did not come up");
}

async function embeddings(client) {
  const text = "白日依山盡，黃河入海流。";
  const one = await client.embeddings.create({model: "demo", input: text});  // asleep until now; base64 on the wire
  const vector = one.data[0].embedding;
  assert.equal(one.model, "demo");
  assert.ok(one.usage.prompt_tokens > 0);
  assert.equal(one.usage.total_tokens, one.usage.prompt_tokens);
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
  const many = await client.embeddings.create(
    {model: "demo", input: ["a", text, "b".repeat(300)], encoding_format: "float"});
  assert.deepEqual(many.data.map((item) => item.index), [0, 1, 2]);
  assert.deepEqual(many.data[1].embedding.map(Math.fround), Array.from(vector), "neighbours do not show");
  assert.notDeepEqual(many.data[0].embedding, many.data[2].embedding);
  const short = (await client.embeddings.create({model: "demo", input: text, dimensions: 16})).data[0].embedding;
  assert.equal(short.length, 16);
  assert.ok(Math.abs(Math.hypot(...short) - 1) < 1e-5);
  const long = await refusal(client.embeddings.create({model: "demo", input: ["x", "字 ".repeat(200_000)]}));
  assert.ok(long instanceof OpenAI.BadRequestError);
  assert.equal(long.code, "context_length_exceeded");
  assert.equal(long.param, "input[1]");
  assert.match(long.message, /more than [\d,]+ tokens/);
  const empty = await refusal(client.embeddings.create({model: "demo", input: []}));
  assert.equal(empty.param, "input");
  return vector.length;
}

async function responses(client) {
  const wish = {model: "demo", input: "写一首关于月亮的诗", max_output_tokens: 24, temperature: 0};
  const whole = await client.responses.create(wish);
  assert.match(whole.id, /^resp_/);
  assert.equal(whole.object, "response");
  assert.ok(whole.output_text.length > 0);
  assert.ok(["completed", "incomplete"].includes(whole.status));
  assert.equal(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens);
  const types = [];
  let text = "";
  let last;
  for await (const event of await client.responses.create({...wish, stream: true})) {
    assert.equal(event.sequence_number, types.length);
    types.push(event.type);
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.deepEqual(types.slice(0, 2), ["response.created", "response.in_progress"]);
  assert.equal(last.type, `response.${whole.status}`);
  assert.equal(text, whole.output_text, "temperature 0: streamed and whole are the same");
  const helper = client.responses.stream(wish);
  const final = await helper.finalResponse();
  const said = final.output.filter((item) => item.type === "message").map((item) => item.content[0].text).join("");
  assert.equal(said, text);
  const turns = await client.responses.create({
    ...wish, instructions: "Be brief.", store: true,
    input: [{role: "user", content: "hi"}, ...whole.output, {role: "user", content: [{type: "input_text", text: "go on"}]}]});
  assert.ok(turns.usage.input_tokens > whole.usage.input_tokens);
  assert.equal(turns.instructions, "Be brief.");
  const stored = await refusal(client.responses.create({...wish, previous_response_id: whole.id}));
  assert.ok(stored instanceof OpenAI.BadRequestError);
  assert.equal(stored.param, "previous_response_id");
  const unknown = await refusal(client.responses.create({...wish, model: "no-such-model"}));
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  const streamed = await refusal(client.responses.create({...wish, stream: true, max_output_tokens: -1}));
  assert.equal(streamed.param, "max_output_tokens");
  const aborted = await client.responses.create({...wish, max_output_tokens: 4000, stream: true});
  for await (const event of aborted) {
    if (event.type === "response.output_text.delta") break;  // closes the connection
  }
}

// The same tool and schema as in chat, in this API's flat form; and a tool's answer goes back as an item.
async function responsesHeldToAForm(client) {
  const wish = {model: "demo", input: "北京天气怎么样？", temperature: 0};
  const tool = {type: "function", strict: true, ...weather.function};
  const called = await client.responses.create({...wish, tools: [tool], tool_choice: {type: "function", name: "weather"}});
  const call = called.output.find((item) => item.type === "function_call");
  assert.ok(call, JSON.stringify(called.output));
  checkWeather(JSON.parse(call.arguments));
  const answered = await client.responses.create({
    ...wish, tools: [tool], max_output_tokens: 16,
    input: [{role: "user", content: wish.input}, ...called.output,
      {type: "function_call_output", call_id: call.call_id, output: '{"degrees":21}'}]});
  assert.ok(answered.usage.input_tokens > called.usage.input_tokens);
  const schema = weather.function.parameters;
  const formed = await client.responses.create({
    ...wish, text: {format: {type: "json_schema", name: "weather", strict: true, schema}}});
  checkWeather(JSON.parse(formed.output_text));
}

async function until(what, done) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (await done()) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.fail(`${what}: not in ${PATIENCE_MS} ms`);
}

// A batch that is killed in the middle and goes on.
async function batches(client, restart) {
  const ids = Array.from({length: 150}, (_, i) => `r${i}`);
  const lines = ids.map((id) => JSON.stringify({
    custom_id: id, method: "POST", url: "/v1/chat/completions",
    body: {model: "demo", max_tokens: 16, temperature: 0, messages: [{role: "user", content: `月 ${id}`}]}}));
  const file = await client.files.create({purpose: "batch", file: await toFile(Buffer.from(lines.join("\n")), "in.jsonl")});
  assert.equal(file.filename, "in.jsonl");
  let batch = await client.batches.create(
    {input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h"});
  const look = async () => { batch = await client.batches.retrieve(batch.id); return batch; };
  await until("a result", async () => (await look()).request_counts.completed > 0);
  const again = await restart();
  client.baseURL = again;
  assert.ok((await look()).request_counts.completed > 0, "what was written counts after a kill");
  assert.equal(batch.status, "in_progress", "it was killed in the middle");
  await client.embeddings.create({model: "demo", input: "wakes it"});
  await until("the end", async () => (await look()).status === "completed");
  const text = await (await client.files.content(batch.output_file_id)).text();
  const results = text.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(results.map((line) => line.custom_id).sort(), [...ids].sort(), "each has one line");
  assert.ok(results.every((line) => line.response.body.choices[0].message.content.length > 0));
  assert.ok((await client.batches.list()).data.some((one) => one.id === batch.id));
  assert.equal((await client.files.delete(file.id)).deleted, true);
}

function start() {
  return spawn(program, ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--model", demo, "--name", "demo"],
               {cwd: directory, stdio: "ignore"});
}

let server = start();
async function killed_and_started() {
  server.kill("SIGKILL");
  await new Promise((resolve) => server.once("exit", resolve));
  server = start();
  return `http://${await address(server)}/v1`;
}

try {
  const client = new OpenAI({baseURL: `http://${await address(server)}/v1`, apiKey: "none-is-wanted-yet", maxRetries: 0});
  const dimensions = await embeddings(client);
  console.log(`openai: embeddings of ${dimensions} dimensions, floats and base64 the same`);
  await responses(client);
  console.log("openai: responses whole, streamed and accumulated the same");
  await responsesHeldToAForm(client);
  console.log("openai: responses with a forced tool, its answer, and a schema");
  await batches(client, killed_and_started);
  console.log("openai: a batch of 150, killed in the middle, has 150 results");
} finally {
  server.kill("SIGTERM");
  server.kill("SIGTERM");
  if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
  rmSync(directory, {recursive: true, force: true});
}
