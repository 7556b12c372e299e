// What real clients do while a model wakes, each as it comes: OpenAI's, the AI SDK, LangChain twice, Ollama's.
//   node waking.mjs BUILD_DIR
// Holds, of every client:
//  1. A stream outlives any wake. Node's fetch gives up after 300 s without headers or 300 s without a byte; here after
//     5 s and 13 s, at a model that takes 16 s, so headers must come at once and something every 10 s.
//  2. A whole answer is held as long as the model wakes.
//  3. What wakes for longer than a place in the queue is kept (30 s) is a 503 with Retry-After, and in a stream, whose
//     200 is long gone, an error the client throws.
//  4. A load that failed is a 503 that clients which try again come back for: one more attempt, counted here at the
//     server, and their answer. Those of Ollama's dialect do not, and say why.
//  5. Who breaks off frees the place that waited, where the client lets go of its connection.
// All of it at the same time: the longest takes 30 s. Exit 1 at any breach.
import assert from "node:assert/strict";
import {writeFileSync} from "node:fs";
import path from "node:path";

import {createOpenAICompatible} from "@ai-sdk/openai-compatible";
import {ChatOllama} from "@langchain/ollama";
import {ChatOpenAI} from "@langchain/openai";
import {APICallError, generateText, streamText} from "ai";
import {Ollama} from "ollama";
import OpenAI from "openai";
import {Agent} from "undici";

import {eventually, refusal, withDirectory, withServer} from "./house.mjs";

const buildDir = path.resolve(process.argv[2]);
const impatience = new Agent({headersTimeout: 5_000, bodyTimeout: 13_000});
const impatient = (url, init) => fetch(url, {...init, dispatcher: impatience});
const SAID = "w0 w1 w2 w3";  // the fake worker's four tokens
const MODELS = {
  slow: "load_ms=16000,tokens=4",
  endless: "hang_load=1",
  left: "hang_load=1",
  broken: "fail_load=1",
  ...Object.fromEntries(["openai", "ai_sdk", "langchain_openai", "langchain_ollama", "ollama"].map((name) =>
    [`fails_once_for_${name}`, "fail_load=1,faulty_starts=1,tokens=4"])),
};
const TRY_AGAIN = new Set(["openai", "ai_sdk", "langchain_openai"]);
const messages = [{role: "user", content: "x"}];

async function joined(stream, textOf) {
  let text = "";
  for await (const piece of stream) text += textOf(piece) ?? "";
  return text;
}

// Each: whole and stream(model, {fetch, retries, signal}) give the text; refused(error, status, code) judges an error.
// `retries` absent is what the client does by itself.
function makeClients(url) {
  const baseURL = `${url}/v1`;
  const openai = ({fetch: ask, retries}) => new OpenAI({baseURL, apiKey: "none", fetch: ask, maxRetries: retries});
  const ai = (model, {fetch: ask, retries: maxRetries, signal: abortSignal}) => ({
    model: createOpenAICompatible({name: "ours", baseURL, fetch: ask})(model), prompt: "x", maxRetries, abortSignal});
  const chain = (model, {fetch: ask, retries: maxRetries}) => new ChatOpenAI(
    {model, apiKey: "none", maxRetries, configuration: {baseURL, fetch: ask}});
  const chainOllama = (model, {fetch: ask, retries: maxRetries}) => new ChatOllama(
    {model, baseUrl: url, fetch: ask, maxRetries});
  const ollama = ({fetch: ask, signal}) => {
    const out = new Ollama({host: url, fetch: ask});
    signal?.addEventListener("abort", () => out.abort());
    return out;
  };
  return {
    openai: {
      whole: async (model, how) => (await openai(how).chat.completions.create({model, messages}, {signal: how.signal}))
        .choices[0].message.content,
      stream: async (model, how) => joined(
        await openai(how).chat.completions.create({model, messages, stream: true}, {signal: how.signal}),
        (chunk) => chunk.choices[0]?.delta?.content),
      refused: (error, status, code) => {
        assert.ok(error instanceof OpenAI.APIError, String(error));
        assert.equal(error.code, code);
        assert.equal(error.status, status);
        if (status) assert.ok(Number(error.headers.get("retry-after")) >= 1);
      },
    },
    ai_sdk: {
      whole: async (model, how) => (await generateText(ai(model, how))).text,
      stream: async (model, how) => {
        let failure = null;
        const onError = ({error}) => { failure = error; };
        const text = await joined(streamText({...ai(model, how), onError}).textStream, (piece) => piece);
        if (failure) throw failure;
        return text;
      },
      refused: (error, status, code) => {
        if (!status) return assert.match(error.message ?? String(error), /waited too long/);
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        assert.equal(error.isRetryable, true);
        return assert.match(error.responseBody, new RegExp(code));
      },
    },
    langchain_openai: {
      whole: async (model, how) => (await chain(model, how).invoke("x", {signal: how.signal})).content,
      stream: async (model, how) => joined(await chain(model, how).stream("x", {signal: how.signal}),
        (chunk) => chunk.content),
      refused: (error, status, code) => {
        assert.equal(error.code, code);
        assert.equal(error.status, status);
      },
    },
    langchain_ollama: {
      whole: async (model, how) => (await chainOllama(model, how).invoke("x", {signal: how.signal})).content,
      stream: async (model, how) => joined(await chainOllama(model, how).stream("x", {signal: how.signal}),
        (chunk) => chunk.content),
      refused: (error) => assert.match(error.message, /waited too long|could not be loaded/),
    },
    ollama: {
      whole: async (model, how) => (await ollama(how).chat({model, messages})).message.content,
      stream: async (model, how) => joined(await ollama(how).chat({model, messages, stream: true}),
        (part) => part.message.content),
      refused: (error, status) => {
        assert.equal(error.status_code, status);
        assert.match(error.message, /waited too long|could not be loaded/);
      },
    },
  };
}

async function isHeld(client) {
  assert.equal(await client.stream("slow", {fetch: impatient}), SAID);
}

async function isHeldWhole(client) {
  assert.equal(await client.whole("slow", {fetch}), SAID);
}

async function isToldToComeBack(client) {
  const [whole, stream] = await Promise.all([refusal(client.whole("endless", {fetch, retries: 0})),
    refusal(client.stream("endless", {fetch, retries: 0}))]);
  client.refused(whole, 503, "queue_timeout");
  client.refused(stream, undefined, "queue_timeout");
}

// The statuses of a deployment's first `count` requests that are over, as the server's log has them.
function statusesOf(deployment, count, log) {
  return eventually(`${count} requests of ${deployment} in the log`, () => {
    const lines = log().split("\n").filter((line) => line.includes("event=request ") &&
      line.includes(`deployment=${deployment} `));
    return lines.length >= count ? lines.map((line) => / status=(\d+)/.exec(line)[1]) : null;
  });
}

async function comesBack(name, client, log) {
  const model = `fails_once_for_${name}`;
  if (TRY_AGAIN.has(name)) {
    assert.equal(await client.whole(model, {fetch}), SAID);
    assert.deepEqual(await statusesOf(model, 2, log), ["503", "200"]);
    return;
  }
  client.refused(await refusal(client.whole(model, {fetch})), 503);
  assert.equal((await statusesOf(model, 1, log)).length, 1);  // LangChain's is a stream, which may have begun
}

// OpenAI's client asks three times in all, by itself.
async function givesUp(client, log) {
  client.refused(await refusal(client.whole("broken", {fetch})), 503, "model_load_failed");
  assert.deepEqual(await statusesOf("broken", 3, log), ["503", "503", "503"]);
}

async function leaves(clients, deployment, log) {
  let begun = 0;
  const controller = new AbortController();
  const how = {signal: controller.signal, retries: 0, fetch: async (url, init) => {
    const answer = await fetch(url, init);
    begun += 1;
    return answer;
  }};
  const calls = Object.values(clients).flatMap((client) => [client.whole("left", how), client.stream("left", how)]);
  const ends = Promise.allSettled(calls);  // with an error or just so: each client has its way
  await eventually("all wait", () => deployment("left").waiting === calls.length && begun === 6);
  controller.abort();
  // Ollama's client breaks off streams alone, once they have begun; LangChain's looks at its signal only when a piece
  // comes. Their three places are kept for them.
  assert.deepEqual(await statusesOf("left", 7, log), Array(7).fill("499"), "gone, and not timed out");
  assert.equal(deployment("left").waiting, calls.length - 7);
  await ends;
}

await withDirectory("waking", (directory) => {
  const words = ["--listen", "127.0.0.1:0", "--worker", path.join(buildDir, "tests/fake_worker/fake_worker")];
  return withServer({buildDir, directory, words}, async ({urls, verb, deployment, log}) => {
    for (const [name, behaviour] of Object.entries(MODELS)) {
      writeFileSync(path.join(directory, `${name}.gguf`), `fake:${behaviour}`);
      verb("deploy", path.join(directory, `${name}.gguf`), "--name", name, "--on", "local");
    }
    const clients = makeClients(urls[0]);
    const held = Object.entries(clients).flatMap(([name, client]) => [
      isHeld(client), isHeldWhole(client), isToldToComeBack(client), comesBack(name, client, log)]
      .map((promise, i) => [`${name}, ${i + 1}`, promise]));
    const ends = [...held, ["openai, 4", givesUp(clients.openai, log)], ["5", leaves(clients, deployment, log)]];
    const settled = await Promise.allSettled(ends.map(([, promise]) => promise));
    const breaches = settled.flatMap((end, i) =>
      (end.status === "rejected" ? [`${ends[i][0]}: ${end.reason.stack}`] : []));
    assert.deepEqual(breaches, []);
  });
});
console.log("waking: five clients are held, told to come back, come back and break off");
