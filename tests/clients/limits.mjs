// What OpenAI's own client makes of our limits.
//   node limits.mjs BUILD_DIR
// Holds: it reads x-ratelimit-* of an answer; it comes back after the time we name when a place is taken, and gets its
// answer; it does not come back for a budget that is used up or a request that can never fit; errors have their types.
// Exit 1 at any breach.
import assert from "node:assert/strict";
import {mkdirSync, writeFileSync} from "node:fs";
import path from "node:path";

import OpenAI from "openai";

import {refusal, withDirectory, withServer} from "./house.mjs";

const buildDir = path.resolve(process.argv[2]);

// A client that notes when it asked.
function client(baseURL, maxRetries) {
  const asked = [];
  const out = new OpenAI({
    baseURL, maxRetries, apiKey: "none-is-wanted-yet",
    fetch: (url, init) => { asked.push(Date.now()); return fetch(url, init); },
  });
  return {asked, say: (more) => out.chat.completions.create(
    {model: "demo", messages: [{role: "user", content: "x"}], max_tokens: 8, ...more})};
}

async function run(baseURL, verb) {
  verb("set", "demo", "requests-per-minute=100", "tokens-per-minute=50000");
  const {response} = await client(baseURL, 0).say({max_tokens: 1}).withResponse();
  assert.equal(response.headers.get("x-ratelimit-limit-requests"), "100");
  assert.equal(response.headers.get("x-ratelimit-remaining-requests"), "99");
  assert.match(response.headers.get("x-ratelimit-reset-requests"), /^[1-5]?[0-9]?[0-9]ms$/);  // of 600 ms, less its own time
  assert.equal(response.headers.get("x-ratelimit-limit-tokens"), "50000");

  const stranger = client(baseURL, 5);
  const never = await refusal(stranger.say({max_tokens: 40_000, n: 2}));
  assert.ok(never instanceof OpenAI.BadRequestError);
  assert.equal(never.code, "invalid_value");
  assert.equal(never.param, "max_tokens");
  assert.equal(stranger.asked.length, 1);

  // One place, taken for the 1.6 s that eight tokens take.
  verb("set", "demo", "concurrency=1", "requests-per-minute=0", "tokens-per-minute=0");
  const first = client(baseURL, 0).say();
  const second = client(baseURL, 3);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const answer = await second.say({max_tokens: 1});
  assert.equal(answer.choices.length, 1);
  assert.ok(second.asked.length >= 2, "it met the taken place");
  assert.ok(second.asked[1] - second.asked[0] >= 790, `it waited ${second.asked[1] - second.asked[0]} ms`);
  await first;

  verb("set", "demo", "concurrency=0", "requests-per-minute=1");
  await client(baseURL, 0).say({max_tokens: 1});
  const tooFast = await refusal(client(baseURL, 0).say());
  assert.ok(tooFast instanceof OpenAI.RateLimitError);
  assert.equal(tooFast.code, "rate_limit_requests");
  const seconds = Number(tooFast.headers.get("retry-after"));
  assert.ok(seconds >= 1 && seconds <= 60);

  verb("set", "demo", "requests-per-minute=0", "budget=1CNY/day");
  const poor = client(baseURL, 5);
  const error = await refusal(poor.say());
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.equal(error.code, "insufficient_quota");
  assert.equal(poor.asked.length, 1, "a used-up budget is not asked again");
}

await withDirectory("limits", (directory) => {
  const data = path.join(directory, "data");
  mkdirSync(data);
  writeFileSync(path.join(directory, "demo.gguf"), "fake:tokens=8,tokens_per_s=5");
  writeFileSync(path.join(data, "dormouse.toml"), '[[instance]]\nname = "gold"\nhour = "360000"\ncurrency = "CNY"\n');
  const words = ["--listen", "127.0.0.1:0", "--worker", path.join(buildDir, "tests/fake_worker/fake_worker")];
  return withServer({buildDir, directory, words}, async ({urls, verb}) => {
    verb("deploy", path.join(directory, "demo.gguf"), "--name", "demo", "--on", "gold", "--wake");
    await run(`${urls[0]}/v1`, verb);
  });
});
console.log("limits: OpenAI's client obeys them");
