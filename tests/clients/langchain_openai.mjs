// LangChain's OpenAI clients, for text and for vectors.
//   node langchain_openai.mjs BUILD_DIR
// Holds: invoke, stream and batch; a bound tool is called, and its message goes back; the streamed call's pieces add up;
// vectors are the same as floats and as base64; an error keeps its status. Exit 1 at any breach.
import assert from "node:assert/strict";
import path from "node:path";

import {HumanMessage, ToolMessage} from "@langchain/core/messages";
import {ChatOpenAI, OpenAIEmbeddings} from "@langchain/openai";

import {withHouse} from "./house.mjs";
import {checkWeather, weather} from "./weather.mjs";

const buildDir = path.resolve(process.argv[2]);

await withHouse(buildDir, async ({urls}) => {
  const baseURL = `${urls[0]}/v1`;
  const model = (more = {}) => new ChatOpenAI({model: "demo", apiKey: "none", temperature: 0, maxTokens: 12,
    maxRetries: 0, configuration: {baseURL}, modelKwargs: {reasoning_effort: "none"}, ...more});
  const question = new HumanMessage("Write a poem about the sea.");

  const whole = await model().invoke([question]);
  assert.ok(whole.content.length > 0);
  assert.equal(whole.usage_metadata.output_tokens, 12);
  assert.equal(whole.response_metadata.finish_reason, "length");
  let streamed = null;
  for await (const chunk of await model().stream([question])) streamed = streamed?.concat(chunk) ?? chunk;
  assert.equal(streamed.content, whole.content);
  assert.equal(streamed.usage_metadata.output_tokens, 12);
  const batch = await model().batch([[question], [question]]);
  assert.deepEqual(batch.map((answer) => answer.content), [whole.content, whole.content]);

  const caller = model({maxTokens: 200}).bindTools([weather], {tool_choice: "weather"});
  const call = await caller.invoke([question]);
  assert.equal(call.tool_calls.length, 1);
  assert.deepEqual(call.invalid_tool_calls, []);
  checkWeather(call.tool_calls[0].args);
  let pieces = 0;
  let joined = null;
  for await (const chunk of await caller.stream([question])) {
    pieces += chunk.tool_call_chunks.length;
    joined = joined?.concat(chunk) ?? chunk;
  }
  assert.ok(pieces > 1);
  assert.deepEqual(joined.tool_calls.map((one) => one.args), call.tool_calls.map((one) => one.args));
  const back = await model().bindTools([weather], {tool_choice: "none"}).invoke(
    [question, call, new ToolMessage({tool_call_id: call.tool_calls[0].id, content: "sunny"})]);
  assert.ok(back.content.length > 0);

  const {parameters} = weather.function;
  checkWeather(await model({maxTokens: 200}).withStructuredOutput(parameters, {method: "jsonSchema"}).invoke("Paris?"));
  // This client drops thoughts, whatever they are called; none gets into the answer.
  const thoughtful = await model({model: "tools", modelKwargs: {}}).invoke([question]);
  assert.equal(JSON.parse(thoughtful.content).messages[0].content, question.content);
  assert.equal(thoughtful.additional_kwargs.reasoning_content, undefined);

  const controller = new AbortController();
  const long = model({maxTokens: 4000, temperature: 1, modelKwargs: {ignore_eos: true, reasoning_effort: "none"}});
  await assert.rejects(async () => {
    for await (const chunk of await long.stream([question], {signal: controller.signal})) {
      if (chunk.content) controller.abort();
    }
  }, /[Aa]bort/);

  const asked = [];
  const wrong = model({temperature: 9, maxRetries: 6,
    configuration: {baseURL, fetch: (url, init) => { asked.push(url); return fetch(url, init); }}});
  await assert.rejects(wrong.invoke([question]), (error) => error.status === 400 && error.param === "temperature");
  assert.equal(asked.length, 1, "what is wrong stays wrong");

  const embeddings = (more) => new OpenAIEmbeddings(
    {model: "demo", apiKey: "none", maxRetries: 0, configuration: {baseURL}, ...more});
  const documents = await embeddings({encodingFormat: "float"}).embedDocuments(["春眠不覺曉", "處處聞啼鳥"]);
  assert.equal(documents.length, 2);
  assert.ok(Math.abs(Math.hypot(...documents[0]) - 1) < 1e-5);
  // Not told otherwise, OpenAI's client below it asks for base64.
  const packed = await embeddings().embedQuery("處處聞啼鳥");
  assert.deepEqual(Array.from(packed), documents[1].map(Math.fround), "the same numbers");
  assert.equal((await embeddings({dimensions: 16}).embedQuery("x")).length, 16);
  await assert.rejects(model({model: "nobody"}).invoke([question]), (error) => error.status === 404);
});
console.log("langchain_openai: LangChain invokes, streams, batches, calls tools and embeds");
