// Vercel's AI SDK with its provider for OpenAI-compatible servers, which reads every chunk by a strict schema.
//   node ai_sdk.mjs BUILD_DIR
// Holds: texts whole and streamed; a tool is called and its result goes back in a second step; an object of a schema;
// reasoning, where there is any, apart from the text, whole and streamed; embeddings, one and several; breaking off; an
// error keeps its status. Exit 1 at any breach.
import assert from "node:assert/strict";
import path from "node:path";

import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {APICallError, embed, embedMany, generateText, Output, stepCountIs, streamText, tool} from "ai";
import {z} from "zod";

import {withHouse} from "./house.mjs";
import {checkWeather} from "./weather.mjs";

const buildDir = path.resolve(process.argv[2]);

await withHouse(buildDir, async ({urls}) => {
  const baseURL = `${urls[0]}/v1`;
  const provider = createOpenAICompatible({name: "ours", baseURL, includeUsage: true});
  const model = provider("demo");
  const fixed = {model, prompt: "Write a poem about the sea.", temperature: 0, maxOutputTokens: 12,
    providerOptions: {ours: {reasoningEffort: "none"}}};

  const whole = await generateText(fixed);
  assert.ok(whole.text.length > 0);
  assert.equal(whole.finishReason, "length");
  assert.equal(whole.usage.outputTokens, 12);
  const stream = streamText(fixed);
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  assert.equal(text, whole.text);
  assert.equal((await stream.usage).outputTokens, 12);

  const called = [];
  const tools = {weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({city: z.string().max(12), unit: z.enum(["C", "F"])}),
    execute: (input) => { called.push(input); return {sky: "clear"}; },
  })};
  const asking = {...fixed, tools, maxOutputTokens: 600, stopWhen: stepCountIs(2),
    prepareStep: ({stepNumber}) => ({toolChoice: stepNumber === 0 ? "required" : "none"})};
  const answered = await generateText(asking);
  assert.equal(answered.steps.length, 2);
  assert.equal(answered.steps[0].finishReason, "tool-calls");
  assert.ok(called.length >= 1);
  checkWeather(called[0]);
  const before = called.length;
  const streamed = streamText(asking);
  let deltas = 0;
  for await (const part of streamed.fullStream) {
    assert.notEqual(part.type, "error", String(part.error));
    if (part.type === "tool-input-delta") deltas += 1;
  }
  assert.ok(deltas > 1, "the input came in pieces");
  checkWeather(called[before]);

  const thoughtful = await generateText({model: provider("tools"), prompt: "Think."});
  assert.equal(thoughtful.reasoningText, "hm");
  assert.ok(!thoughtful.text.startsWith("hm"));
  let thoughts = "";
  for await (const part of streamText({model: provider("tools"), prompt: "Think."}).fullStream) {
    if (part.type === "reasoning-delta") thoughts += part.text;
  }
  assert.equal(thoughts, "hm");

  const strict = createOpenAICompatible({name: "ours", baseURL, supportsStructuredOutputs: true});
  const schema = z.object({city: z.string().max(12), unit: z.enum(["C", "F"])});
  const formed = await generateText({...fixed, model: strict("demo"), maxOutputTokens: 200, output: Output.object({schema})});
  checkWeather(formed.output);

  const embedder = provider.embeddingModel("demo");
  const {embedding} = await embed({model: embedder, value: "白日依山盡"});
  const {embeddings} = await embedMany({model: embedder, values: ["moon", "白日依山盡"]});
  assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-5);
  assert.deepEqual(embeddings[1], embedding);
  assert.notDeepEqual(embeddings[0], embedding);

  const controller = new AbortController();
  const long = streamText({...fixed, temperature: 1, maxOutputTokens: 4000, abortSignal: controller.signal,
    providerOptions: {ours: {ignore_eos: true}}, onError: () => {}});
  for await (const part of long.fullStream) {
    if (part.type === "text-delta") controller.abort();
    assert.notEqual(part.type, "finish", "it was broken off");
  }

  try {
    await generateText({...fixed, model: provider("nobody"), maxRetries: 0});
    assert.fail("there is nobody");
  } catch (error) {
    assert.ok(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, 404);
  }
});
console.log("ai_sdk: the AI SDK generates, streams, calls tools in steps, makes objects, embeds and breaks off");
