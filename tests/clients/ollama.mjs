// What Ollama's own client for JavaScript makes of us.
//   node ollama.mjs BUILD_DIR
// Holds: it finds models asleep without waking them; generates, streams and stops; loads, unloads and keeps alive;
// calls tools and reads thoughts; it is given vectors by both their paths; its errors carry status and text; no line it reads is anything but JSON. Exit 1 at
// any breach.
import assert from "node:assert/strict";
import path from "node:path";

import {Ollama} from "ollama";

import {eventually, refusal as refused, withHouse} from "./house.mjs";

const buildDir = path.resolve(process.argv[2]);
const warnings = [];
console.warn = (...words) => warnings.push(words.join(" "));  // "invalid json: ", of a line it could not read

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function checkNumbers(last, most) {
  assert.equal(last.done, true);
  for (const key of ["total_duration", "prompt_eval_duration", "eval_duration", "load_duration"]) {
    assert.ok(Number.isSafeInteger(last[key]) && last[key] >= 0, `${key} is ${last[key]}`);
  }
  assert.ok(last.total_duration >= last.prompt_eval_duration + last.eval_duration, "the whole is not less than its parts");
  assert.ok(last.total_duration > 1e6, "nanoseconds: no model answers within a millisecond");
  assert.ok(last.prompt_eval_count > 0);
  assert.ok(last.eval_count > 0 && last.eval_count <= most);
}

async function isAsleepAndTold(ollama, house, url) {
  for (const method of ["GET", "HEAD"]) {
    const root = await fetch(url, {method});
    assert.equal(root.status, 200);
    assert.equal(await root.text(), method === "GET" ? "Ollama is running" : "");
    assert.equal((await fetch(`${url}/api/version`, {method})).status, 200);
  }
  const {version} = await ollama.version();
  const [major, minor, patch] = version.split(".").map((part) => Number.parseInt(part, 10));
  assert.ok(major > 0 || minor > 6 || (minor === 6 && patch >= 4), version);
  const {models} = await ollama.list();
  const listed = models.find((m) => m.name === "demo:latest");
  assert.equal(listed.model, "demo:latest");
  assert.ok(listed.size > 0 && listed.digest.length === 64);
  assert.equal(listed.details.quantization_level, "Q8_0");
  assert.ok(!Number.isNaN(new Date(listed.modified_at).getTime()));
  const shown = await ollama.show({model: "demo"});
  assert.equal(shown.model_info["general.architecture"], "qwen3");
  assert.ok(shown.capabilities.includes("completion") && shown.capabilities.includes("tools"));
  assert.deepEqual((await ollama.ps()).models, []);
  assert.equal(house.state("demo"), "asleep", "looking wakes nothing");
}

async function generates(ollama, house) {
  const options = {num_predict: 8, temperature: 0, num_ctx: 2048, seed: 7, repeat_penalty: 1.1};
  const whole = await ollama.generate({model: "demo", prompt: "写一首诗", options});
  checkNumbers(whole, 8);
  assert.ok(whole.response.length > 0);
  assert.ok(whole.load_duration > 0, "it was asleep");
  const {models: [up]} = await ollama.ps();
  assert.equal(up.name, "demo:latest");
  assert.ok(up.context_length > 0);
  assert.ok(new Date(up.expires_at) > new Date());
  const parts = await collect(await ollama.generate({model: "demo:latest", prompt: "写一首诗", options, stream: true}));
  assert.equal(parts.map((part) => part.response).join(""), whole.response, "temperature 0: the same, by another name");
  checkNumbers(parts.at(-1), 8);
  assert.equal(parts.at(-1).load_duration, 0, "it was awake");
  assert.ok(parts.slice(0, -1).every((part) => part.done === false));
  const raw = await ollama.generate({model: "qwen3-demo:q8_0", prompt: "床前", raw: true, options: {num_predict: 2}});
  assert.equal(raw.done_reason, "length");
  const chat = await collect(await ollama.chat(
    {model: "demo", messages: [{role: "user", content: "写一首诗"}], options, stream: true}));
  assert.ok(chat.map((part) => part.message.content).join("").length > 0);
  assert.equal(chat[0].message.role, "assistant");
  const messages = [{role: "user", content: "诗"}];
  const season = {type: "object", properties: {season: {enum: ["春", "秋"]}, lines: {type: "integer"}},
    required: ["season", "lines"], additionalProperties: false};
  const formed = JSON.parse((await ollama.chat({model: "demo", messages, format: season})).message.content);
  assert.ok(["春", "秋"].includes(formed.season) && Number.isInteger(formed.lines));
  // Two thousand numbers: no answer that is over before it is broken off.
  const numbers = {type: "array", items: {type: "integer"}, minItems: 2000};
  const stream = await ollama.chat({model: "demo", messages, format: numbers, stream: true});
  const aborted = await refused((async () => { for await (const part of stream) if (part) stream.abort(); })());
  assert.equal(aborted.name, "AbortError");
  await eventually("the place is free", () => JSON.parse(house.verb("ps", "--format", "json")).deployments
    .find((d) => d.name === "demo").running === 0);
}

async function livesAndSleeps(ollama, house) {
  const minutesLeft = async () => (new Date((await ollama.ps()).models[0].expires_at) - new Date()) / 60_000;
  const say = (keep_alive) => ollama.generate({model: "demo", prompt: "诗", keep_alive, options: {num_predict: 1}});
  await say("30m");
  assert.ok(await minutesLeft() <= 10, "not longer than the idle timeout, unless the deployment allows it");
  house.verb("set", "demo", "keep-alive-max=1h");
  await say("30m");
  assert.ok(Math.abs(await minutesLeft() - 30) < 1);
  await say(-1);
  assert.ok(Math.abs(await minutesLeft() - 60) < 1, "for ever is as long as allowed");
  await say(undefined);
  assert.ok(Math.abs(await minutesLeft() - 10) < 1, "the deployment's own again");
  await say(0);
  await eventually("asleep after the request", async () => (await ollama.ps()).models.length === 0);
  const loaded = await ollama.generate({model: "demo", prompt: ""});
  assert.equal(loaded.done_reason, "load");
  assert.equal(loaded.response, "");
  assert.equal((await ollama.ps()).models.length, 1);
  const unloaded = await ollama.chat({model: "demo", messages: [], keep_alive: 0});
  assert.equal(unloaded.done_reason, "unload");
  await eventually("asleep", () => house.state("demo") === "asleep");
  const again = await collect(await ollama.chat({model: "demo", stream: true}));
  assert.equal(again.at(-1).done_reason, "load");
}

async function callsToolsAndThinks(ollama) {
  const tools = [{type: "function", function: {name: "weather", description: "of a city",
    parameters: {type: "object", properties: {city: {type: "string"}}}}}];
  const messages = [{role: "user", content: "天气?"}];
  const parts = await collect(await ollama.chat({model: "tools", messages, tools, stream: true, think: true}));
  assert.equal(parts[0].message.thinking, "hm");
  const calls = parts.flatMap((part) => part.message.tool_calls ?? []);
  assert.equal(calls.length, 1);
  assert.deepEqual(calls[0].function.arguments, {city: "北京"});
  const whole = await ollama.chat({model: "tools", messages, tools, think: false});
  assert.equal(whole.message.thinking, undefined);
  assert.deepEqual(whole.message.tool_calls[0].function.arguments, {city: "北京"});
  messages.push(whole.message, {role: "tool", tool_name: "weather", content: "晴"});
  assert.equal((await ollama.chat({model: "tools", messages, tools})).message.content, "it is 晴");
  // What arrives at a server of the OpenAI dialect.
  const echo = await ollama.chat({model: "tools", messages: [...messages, {role: "user", content: "say"}], think: false});
  const sent = JSON.parse(echo.message.content);
  assert.equal(sent.messages[1].tool_calls[0].function.arguments, '{"city": "北京"}');
  assert.equal(sent.messages[2].tool_call_id, sent.messages[1].tool_calls[0].id);
}

async function embeds(ollama, house) {
  const input = ["白日依山盡，黃河入海流。", "b".repeat(300)];
  const many = await ollama.embed({model: "demo", input, keep_alive: "5m"});
  assert.equal(many.model, "demo");
  assert.equal(many.embeddings.length, 2);
  for (const vector of many.embeddings) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
  assert.ok(many.prompt_eval_count > 0);
  assert.ok(Number.isSafeInteger(many.total_duration) && many.total_duration > many.load_duration);
  const one = await ollama.embed({model: "demo:latest", input: input[0]});
  assert.deepEqual(one.embeddings, [many.embeddings[0]], "neighbours do not show");
  assert.equal(one.load_duration, 0, "it was awake");
  const older = await ollama.embeddings({model: "demo", prompt: input[0]});
  assert.deepEqual(older.embedding, one.embeddings[0]);
  const short = await ollama.embed({model: "demo", input: input[0], dimensions: 16});
  assert.equal(short.embeddings[0].length, 16);
  const long = "诗 ".repeat(50_000);
  assert.equal((await ollama.embed({model: "demo", input: long})).embeddings.length, 1, "cut unless said otherwise");
  const whole = await refused(ollama.embed({model: "demo", input: long, truncate: false}));
  assert.equal(whole.status_code, 400);
  assert.match(whole.message, /context/);
  assert.deepEqual((await ollama.embed({model: "demo", input: []})).embeddings, []);
  await ollama.embed({model: "demo", input: [], keep_alive: 0});
  await eventually("asleep", () => house.state("demo") === "asleep");
  const woken = await ollama.embed({model: "demo", input: "诗"});
  assert.ok(woken.load_duration > 0 && woken.load_duration < woken.total_duration);
  const none = await refused(ollama.embed({model: "tools", input: "x"}));
  assert.equal(none.status_code, 501, "its server has no such path");
  assert.match(none.message, /embeddings/);
}

// What a stream is told while its model wakes, and when its server dies.
async function holdsAndBreaksOff(ollama, house, url) {
  const chat = (content) => ({model: "tools", messages: [{role: "user", content}], stream: true});
  await ollama.chat({model: "tools", keep_alive: 0});
  await eventually("asleep", () => house.state("tools") === "asleep");
  const body = JSON.stringify(chat("x"));
  const held = await fetch(`${url}/api/chat`, {method: "POST", body});
  assert.equal(held.headers.get("content-type"), "application/x-ndjson");
  assert.notEqual(house.state("tools"), "ready", "the headers do not wait for it");
  const text = await held.text();
  assert.ok(text.startsWith(" "), "a space holds the connection");
  assert.ok(text.trimEnd().split("\n").every((line) => JSON.parse(line).model === "tools"));
  const parts = [];
  const broken = await refused((async () => {
    for await (const part of await ollama.chat(chat("die"))) parts.push(part);
  })());
  assert.ok(parts.length > 0, "the error came in the middle");
  assert.ok(broken.message.length > 0 && broken.message !== "Did not receive done or success response in stream.",
    broken.message);
}

async function refusesInTheirWords(ollama) {
  const unknown = await refused(ollama.chat({model: "nobody", messages: [{role: "user", content: "x"}]}));
  assert.equal(unknown.status_code, 404);
  assert.equal(unknown.message, "model 'nobody' not found");
  const bad = await refused(ollama.generate({model: "demo", prompt: "x", options: {temperature: 99}}));
  assert.equal(bad.status_code, 400);
  assert.match(bad.message, /options\.temperature/);
  const image = await refused(ollama.generate({model: "demo", prompt: "x", images: ["aGk="]}));
  assert.match(image.message, /images/);
  // By status or, should the stream have begun while the model woke, by a line.
  const long = await refused((async () => collect(
    await ollama.generate({model: "demo", prompt: "诗".repeat(200_000), stream: true})))());
  assert.match(long.message, /context/);
  assert.equal((await ollama.pull({model: "demo"})).status, "success");
  const lines = await collect(await ollama.pull({model: "demo", stream: true}));
  assert.equal(lines.at(-1).status, "success");
  const missing = await refused(ollama.pull({model: "nobody"}));
  assert.match(missing.message, /dormouse deploy/);
}

await withHouse(buildDir, async (house) => {
  for (const url of house.urls) {
    await isAsleepAndTold(new Ollama({host: url}), house, url);
  }
  const ollama = new Ollama({host: house.urls[1]});
  await generates(ollama, house);
  await livesAndSleeps(ollama, house);
  await callsToolsAndThinks(ollama);
  await embeds(ollama, house);
  await refusesInTheirWords(ollama);
  await holdsAndBreaksOff(ollama, house, house.urls[1]);
});
assert.deepEqual(warnings, []);
console.log("ollama: its own client finds, generates, streams, embeds, calls tools, loads and unloads");
