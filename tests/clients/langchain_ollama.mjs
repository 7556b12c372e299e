// What LangChain's ChatOllama and OllamaEmbeddings make of us.
//   node langchain_ollama.mjs BUILD_DIR
// Holds: an answer of a model asleep, a stream, a tool called and answered, vectors of texts, a failure that names its
// reason. Exit 1 at any breach.
import assert from "node:assert/strict";
import path from "node:path";

import {HumanMessage, ToolMessage} from "@langchain/core/messages";
import {ChatOllama, OllamaEmbeddings} from "@langchain/ollama";

import {withHouse} from "./house.mjs";

const buildDir = path.resolve(process.argv[2]);
const warnings = [];
console.warn = (...words) => warnings.push(words.join(" "));  // "invalid json: ", of a line it could not read

const weather = {type: "function", function: {name: "weather", description: "of a city",
  parameters: {type: "object", properties: {city: {type: "string"}}, required: ["city"]}}};

await withHouse(buildDir, async (house) => {
  const [, baseUrl] = house.urls;
  const model = new ChatOllama({baseUrl, model: "demo", temperature: 0, numPredict: 8, keepAlive: "5m", maxRetries: 0});
  const whole = await model.invoke("写一首诗");
  assert.ok(whole.content.length > 0);
  assert.ok(whole.usage_metadata.output_tokens > 0 && whole.usage_metadata.output_tokens <= 8);
  assert.ok(whole.response_metadata.load_duration > 0, "it was asleep");
  let text = "";
  for await (const chunk of await model.stream("写一首诗")) text += chunk.content;
  assert.equal(text, whole.content);

  const caller = new ChatOllama({baseUrl, model: "tools", think: false, maxRetries: 0}).bindTools([weather]);
  const question = new HumanMessage("天气?");
  const asked = await caller.invoke([question]);
  assert.deepEqual(asked.tool_calls.map(({name, args}) => ({name, args})), [{name: "weather", args: {city: "北京"}}]);
  const result = new ToolMessage({content: "晴", tool_call_id: asked.tool_calls[0].id, name: "weather"});
  assert.equal((await caller.invoke([question, asked, result])).content, "it is 晴");

  // With `think` this client puts the thoughts before the text.
  const thoughtful = await new ChatOllama({baseUrl, model: "tools", think: true, maxRetries: 0}).invoke([question]);
  assert.ok(thoughtful.content.startsWith("hm{"), thoughtful.content);
  const season = {type: "object", properties: {season: {enum: ["春", "秋"]}}, required: ["season"],
    additionalProperties: false};
  const formed = await new ChatOllama({baseUrl, model: "demo", format: season, maxRetries: 0}).invoke("诗");
  assert.ok(["春", "秋"].includes(JSON.parse(formed.content).season));
  const controller = new AbortController();
  const numbers = {type: "array", items: {type: "integer"}, minItems: 2000};  // not over before it is broken off
  const long = new ChatOllama({baseUrl, model: "demo", format: numbers, maxRetries: 0});
  await assert.rejects(async () => {
    for await (const chunk of await long.stream("诗", {signal: controller.signal})) if (chunk) controller.abort();
  }, /[Aa]bort/);

  const embeddings = new OllamaEmbeddings({baseUrl, model: "demo", maxRetries: 0});
  const documents = await embeddings.embedDocuments(["春眠不覺曉", "處處聞啼鳥"]);
  assert.equal(documents.length, 2);
  assert.ok(Math.abs(Math.hypot(...documents[0]) - 1) < 1e-5);
  assert.deepEqual(await embeddings.embedQuery("處處聞啼鳥"), documents[1]);

  const nobody = new ChatOllama({baseUrl, model: "nobody", maxRetries: 0});
  await assert.rejects(nobody.invoke("x"), /model 'nobody' not found/);
});
assert.deepEqual(warnings, []);
console.log("langchain: ChatOllama answers, streams and calls tools, OllamaEmbeddings embeds");
