// OpenAI's own client and chats: nothing about it knows that the server is ours.
//   node openai_chat.mjs BUILD_DIR
// Holds: the first request finds the model asleep and gets its answer; chats whole and streamed are one text; n, seed,
// stop, logprobs, logit_bias and both names of the limit do what they say; a client that breaks off frees its place;
// a tool that must be called is called, whole and streamed, and its result can be sent back, to us and to another engine
// behind us; models are listed; errors have the client's classes, and what is wrong is not asked for twice. Exit 1 at
// any breach.
import assert from "node:assert/strict";
import path from "node:path";

import OpenAI from "openai";

import {refusal, withHouse} from "./house.mjs";
import {checkWeather, weather} from "./weather.mjs";

const buildDir = path.resolve(process.argv[2]);
const messages = [{role: "user", content: "Write a poem about the sea."}];
const fixed = {model: "demo", messages, temperature: 0, max_tokens: 12, reasoning_effort: "none"};

async function chats(client) {
  const whole = await client.chat.completions.create(fixed);  // asleep until now
  const text = whole.choices[0].message.content;
  assert.ok(text.length > 0);
  assert.equal(whole.usage.completion_tokens, 12);
  assert.equal(whole.choices[0].finish_reason, "length");

  const stream = await client.chat.completions.create({...fixed, stream: true, stream_options: {include_usage: true}});
  let streamed = "";
  let usage = null;
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, text);
  assert.deepEqual({...usage, prompt_tokens_details: null}, {...whole.usage, prompt_tokens_details: null});

  const helper = client.chat.completions.stream(fixed);
  assert.equal(await helper.finalContent(), text);

  const parts = [{role: "developer", content: "Be brief."},
    {role: "user", content: [{type: "text", text: "Write a poem"}, {type: "text", text: "about the sea."}]}];
  const several = await client.chat.completions.create({...fixed, messages: parts, max_completion_tokens: 3, n: 3,
    user: "u", metadata: {a: "b"}, store: false, service_tier: "auto", parallel_tool_calls: true});
  assert.deepEqual(several.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(several.usage.completion_tokens, 9);
  return text;
}

async function sampling(client, text) {
  const warm = {...fixed, temperature: 1.5, top_p: 1, presence_penalty: 0.5, frequency_penalty: 0.5};
  const say = async (more) => (await client.chat.completions.create({...warm, ...more})).choices[0].message.content;
  assert.equal(await say({seed: 7}), await say({seed: 7}));
  const many = new Set(await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => say({seed}))));
  assert.ok(many.size > 1, "seeds differ");

  const stop = text.slice(3, 6);
  const stopped = await client.chat.completions.create({...fixed, stop: [stop, "\u0000never"]});
  assert.equal(stopped.choices[0].message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, "stop");

  const scored = await client.chat.completions.create({...fixed, logprobs: true, top_logprobs: 3});
  const content = scored.choices[0].logprobs.content;
  assert.equal(content.length, 12);
  for (const entry of content) {
    assert.equal(entry.top_logprobs.length, 3);
    assert.equal(entry.top_logprobs[0].token, entry.token, "temperature 0 takes the most likely");
    assert.ok(entry.logprob <= 0);
  }

  // At 100 a token is all that is said.
  const said = await Promise.all([2000, 3000].map(async (id) => {
    const biased = await client.chat.completions.create({...fixed, logit_bias: {[id]: 100}, logprobs: true});
    return new Set(biased.choices[0].logprobs.content.map((entry) => entry.token));
  }));
  assert.deepEqual(said.map((tokens) => tokens.size), [1, 1]);
  assert.notDeepEqual(said[0], said[1]);
}

async function tools(client) {
  const asking = {...fixed, max_tokens: 200, tools: [weather], tool_choice: "required", parallel_tool_calls: false};
  const whole = await client.chat.completions.create(asking);
  const [choice] = whole.choices;
  assert.equal(choice.finish_reason, "tool_calls");
  assert.equal(choice.message.content, null);
  assert.equal(choice.message.tool_calls.length, 1);
  const [call] = choice.message.tool_calls;
  assert.equal(call.function.name, "weather");
  checkWeather(JSON.parse(call.function.arguments));

  const events = [];
  const helper = client.chat.completions.stream({...asking,
    tool_choice: {type: "function", function: {name: "weather"}}});
  helper.on("tool_calls.function.arguments.delta", (event) => events.push(event.arguments_delta));
  const final = await helper.finalChatCompletion();
  const [streamed] = final.choices[0].message.tool_calls;
  assert.equal(streamed.function.arguments, call.function.arguments);
  assert.ok(events.length > 1, "the arguments came in pieces");
  assert.equal(events.join(""), call.function.arguments);
  assert.notEqual(streamed.id, call.id);

  const back = await client.chat.completions.create({...fixed, tools: [weather], tool_choice: "none",
    messages: [...messages, choice.message, {role: "tool", tool_call_id: call.id, content: "sunny"}]});
  assert.ok(back.choices[0].message.content.length > 0);
}

// Another engine behind the same door (tool_server.mjs): its calls and thoughts come as ours do.
async function theirs(client) {
  const asking = {model: "tools", messages, tools: [weather]};
  const whole = await client.chat.completions.create(asking);
  const [choice] = whole.choices;
  assert.equal(choice.finish_reason, "tool_calls");
  assert.deepEqual([choice.message.reasoning_content, choice.message.reasoning], ["hm", "hm"]);
  assert.equal(choice.message.tool_calls[0].function.arguments, '{"city":"北京"}');
  const final = await client.chat.completions.stream(asking).finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, '{"city":"北京"}');
  const back = await client.chat.completions.create({...asking, messages: [...messages, choice.message,
    {role: "tool", tool_call_id: choice.message.tool_calls[0].id, content: "sunny"}]});
  assert.equal(back.choices[0].message.content, "it is sunny");
}

async function breakingOff(client, baseURL) {
  const long = {...fixed, max_tokens: 4000, stream: true, temperature: 1};
  const controller = new AbortController();
  const stream = await client.chat.completions.create(long, {signal: controller.signal});
  let pieces = 0;
  for await (const chunk of stream) {
    pieces += chunk.choices.length;
    if (pieces === 3) controller.abort();
  }
  assert.ok(pieces < 50);
  assert.ok((await client.chat.completions.create(fixed)).choices.length > 0, "its place is free");
  const slow = new OpenAI({baseURL, apiKey: "none", timeout: 1, maxRetries: 0});
  assert.ok(await refusal(slow.chat.completions.create(fixed)) instanceof OpenAI.APIConnectionTimeoutError);
}

async function errors(client, baseURL) {
  const models = await client.models.list();
  assert.deepEqual(models.data.map((model) => model.id).sort(), ["demo", "tools"]);
  assert.equal((await client.models.retrieve("demo")).object, "model");

  const unknown = await refusal(client.chat.completions.create({...fixed, model: "nobody"}));
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  assert.equal(unknown.code, "model_not_found");
  const asked = [];
  const counted = new OpenAI({baseURL, apiKey: "none", maxRetries: 3,
    fetch: (url, init) => { asked.push(url); return fetch(url, init); }});
  const wrong = await refusal(counted.chat.completions.create({...fixed, temperature: 9}));
  assert.ok(wrong instanceof OpenAI.BadRequestError);
  assert.equal(wrong.param, "temperature");
  assert.equal(asked.length, 1, "what is wrong stays wrong");
  // To twice the room it is counted, past that it is enough to know.
  for (const [times, text] of [[600, /The prompt has [\d,]+ tokens; the context has room for [\d,]+: [\d,]+ too many/],
    [20_000, /The prompt has more than [\d,]+ tokens; the context has room for [\d,]+\./]]) {
    const long = await refusal(client.chat.completions.create({...fixed,
      messages: [{role: "user", content: "the sea ".repeat(times)}]}));
    assert.ok(long instanceof OpenAI.BadRequestError);
    assert.equal(long.code, "context_length_exceeded");
    assert.match(long.message, text);
  }
  const missing = await refusal(client.chat.completions.create({...fixed, tool_choice: "required"}));
  assert.equal(missing.param, "tool_choice");
}

await withHouse(buildDir, async ({urls}) => {
  const baseURL = `${urls[0]}/v1`;
  const client = new OpenAI({baseURL, apiKey: "none"});
  const text = await chats(client);
  await sampling(client, text);
  await tools(client);
  await theirs(client);
  await breakingOff(client, baseURL);
  await errors(client, baseURL);
});
console.log("openai_chat: OpenAI's client chats, streams, breaks off, calls tools and reads errors");
