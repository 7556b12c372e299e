// Goal: a stream becomes an answer, thoughts apart, and code that is taken away is the same request. Method: pieces cut
// anywhere, comments between them, and texts with quotes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { snippet } from "./snippets";
import { bodyOf, takeEvents, withChunk, type Controls, type Turn } from "./talk";

const fresh: Turn = { role: "assistant", text: "", thoughts: "", state: "waking", failure: "" };
const controls: Controls = {
  model: "demo", system: " ", isThinking: true, maxTokens: 64, temperature: undefined, topP: 0.9, seed: undefined,
};

test("events are taken whole, whatever the pieces", () => {
  const stream = ': waking\n\ndata: {"a":1}\n\n: x\ndata: {"b":2}\n\ndata: [DONE]\n\n';
  for (let cut = 0; cut <= stream.length; ++cut) {
    const first = takeEvents(stream.slice(0, cut));
    const second = takeEvents(first.rest + stream.slice(cut));
    assert.deepEqual([...first.events, ...second.events], ['{"a":1}', '{"b":2}', "[DONE]"]);
    assert.equal(second.rest, "");
  }
});

test("thoughts stay apart; the end says how it ended", () => {
  const chunks = [
    { choices: [{ delta: { reasoning_content: "hm" } }] }, { choices: [{ delta: { content: "Moon" } }] },
    { choices: [{ delta: {}, finish_reason: "length" }] }, { choices: [] },
  ];
  const turn = chunks.reduce(withChunk, fresh);
  assert.deepEqual([turn.thoughts, turn.text, turn.state], ["hm", "Moon", "cut"]);
  assert.equal(withChunk(fresh, { error: { message: "gone" } }).failure, "gone");
});

test("only what was set is sent", () => {
  const body = bodyOf(controls, [{ ...fresh, role: "user", text: "hi" }]);
  assert.deepEqual(body, {
    model: "demo", messages: [{ role: "user", content: "hi" }], max_tokens: 64, stream: true, top_p: 0.9,
    chat_template_kwargs: { enable_thinking: true },
  });
});

test("code to take away survives quotes", () => {
  const body = bodyOf(controls, [{ ...fresh, role: "user", text: 'it\'s "true"' }]);
  const curl = snippet("curl", "http://h", body);
  assert.ok(curl.includes(`it'\\''s \\"true\\"`), curl);
  const python = snippet("python", "http://h", body);
  assert.ok(python.includes('"stream": True') && python.includes('it\'s \\"true\\"'), python);
  assert.ok(python.includes('"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}'), python);
  assert.ok(snippet("javascript", "http://h", body).includes('"enable_thinking": true'));
});
