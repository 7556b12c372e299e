// What an answer of each route looks like, for examples in documents (transcripts.mjs), and how an answer that a page
// shows is compared with the one that came.
import assert from "node:assert/strict";

function isText(value) {
  assert.ok(typeof value === "string" && value.length > 0, `a text, not ${JSON.stringify(value)}`);
}

function isCount(value) {
  assert.ok(Number.isInteger(value) && value > 0, `a count, not ${JSON.stringify(value)}`);
}

function checkStream(body, checkChunk) {
  const frames = body.trim().split("\n\n").filter((frame) => frame.startsWith("data: "));  // the others are comments
  const payloads = frames.map((frame) => frame.slice("data: ".length));
  assert.equal(payloads.pop(), "[DONE]");
  assert.ok(payloads.length > 1, "it came in pieces");
  payloads.forEach((payload) => checkChunk(JSON.parse(payload)));
}

function checkLines(body, checkLast) {
  const lines = body.trim().split("\n").map((line) => JSON.parse(line));
  lines.forEach((line, i) => assert.equal(line.done, i === lines.length - 1));
  checkLast(lines.at(-1));
}

function checkChoices(answer) {
  assert.ok(answer.choices.length > 0);
  isCount(answer.usage.completion_tokens);
}

// By route: whole(answer) judges a JSON body, stream(chunk) each chunk of an event stream, lines(last) NDJSON,
// text(body) what is neither.
const SHAPES = [
  [/^POST \/generate$/, {
    whole: (answer) => {
      isText(answer.text);
      assert.ok(answer.generation_time > 0 && answer.tokens_per_second > 0);
      isCount(answer.prompt_tokens);
      isCount(answer.completion_tokens);
      isText(answer.finish_reason);
    },
  }],
  [/^POST \/v1\/(chat\/)?completions$/, {
    whole: checkChoices,
    stream: (chunk) => assert.ok(Array.isArray(chunk.choices)),
  }],
  [/^GET \/v1\/models$/, {
    whole: ({data}) => {
      assert.ok(data.length > 0);
      data.forEach((model) => isText(model.id));
    },
  }],
  [/^POST \/v1\/embeddings$/, {
    whole: ({data}) => data.forEach(({embedding}) => assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-3)),
  }],
  [/^POST \/v1\/responses$/, {
    whole: ({status, output}) => assert.ok(["completed", "incomplete"].includes(status) && output.length > 0),
  }],
  [/^POST \/v1\/files$/, {whole: ({id, purpose}) => assert.ok(/^file-/.test(id) && purpose === "batch")}],
  [/^(POST \/v1\/batches|GET \/v1\/batches\/batch_[\w-]+)$/, {
    whole: ({id, status}) => {
      assert.match(id, /^batch_/);
      assert.ok(["validating", "in_progress", "finalizing", "completed"].includes(status), status);
    },
  }],
  [/^GET \/v1\/files\/file-[\w-]+\/content$/, {text: isText}],
  [/^POST \/api\/(generate|chat)$/, {
    whole: ({done, model}) => assert.ok(done === true && model.length > 0),
    lines: ({done_reason}) => isText(done_reason),
  }],
  [/^POST \/api\/embed$/, {
    whole: ({embeddings}) => embeddings.forEach((one) => assert.ok(Math.abs(Math.hypot(...one) - 1) < 1e-3)),
  }],
  [/^GET \/openapi\.json$/, {whole: ({openapi}) => assert.match(openapi, /^3\.1/)}],
  [/^GET \/health$/, {whole: ({status}) => assert.equal(status, "ok")}],
  [/^GET \/admin\/v1\/access-log$/, {text: () => {}}],
];

// Null, or what is wrong with the answer to a request of curl's.
export function checkShape({status, method, type, path, body}) {
  if (status < 200 || status > 299) return `status ${status}: ${body}`;
  const found = SHAPES.find(([route]) => route.test(`${method} ${path}`));
  if (!found) return "transcript_shapes.mjs does not know how its answer looks";
  const [, shape] = found;
  try {
    if (shape.text) shape.text(body);
    else if (type.startsWith("text/event-stream")) checkStream(body, shape.stream);
    else if (type.startsWith("application/x-ndjson")) checkLines(body, shape.lines);
    else shape.whole(JSON.parse(body));
  } catch (error) {
    return `${error.message}\n${body}`;
  }
  return null;
}

// Of these the value is compared, too: it does not depend on the run. A model may end an answer before its limit does.
const FIXED = new Set(["model", "object", "done_reason", "finish_reason", "role", "type", "status", "purpose", "done"]);
const isEnd = (value) => value === "stop" || value === "length";

function differencesOf(shown, came, place) {
  const kind = (value) => (Array.isArray(value) ? "array" : value === null ? "null" : typeof value);
  if (kind(shown) !== kind(came)) return [`${place}: shown is ${JSON.stringify(shown)}, came ${JSON.stringify(came)}`];
  if (kind(shown) === "array") {
    if ((shown.length > 0) !== (came.length > 0)) return [`${place}: shown are ${shown.length}, came ${came.length}`];
    return shown.length > 0 ? differencesOf(shown[0], came[0], `${place}[0]`) : [];
  }
  if (kind(shown) !== "object") {
    const key = place.split(".").at(-1);
    const isAsShown = !FIXED.has(key) || shown === came || (isEnd(shown) && isEnd(came));
    return !isAsShown ? [`${place}: shown is ${shown}, came ${came}`] : [];
  }
  const keys = new Set([...Object.keys(shown), ...Object.keys(came)]);
  return [...keys].flatMap((key) => {
    if (!(key in shown)) return [`${place}.${key} came and is not shown`];
    if (!(key in came)) return [`${place}.${key} is shown and did not come`];
    return differencesOf(shown[key], came[key], `${place}.${key}`);
  });
}

// Null, or in what way `came` is not what a page shows. Of text a page shows some lines, in order and to the letter but
// for the width of gaps; of several lines of JSON the first and the last are compared.
export function differences(shown, came) {
  const lines = (text) => text.trimEnd().split("\n").map((line) => line.trim().replaceAll(/ +/g, " "))
    .filter((line) => line !== "");
  const [shownLines, cameLines] = [lines(shown), lines(came)];
  if (!shown.startsWith("{")) {
    let next = 0;
    for (const line of shownLines) {
      const found = cameLines.indexOf(line, next);
      if (found < 0) return `this did not come:\n${line}\nbut\n${came}`;
      next = found + 1;
    }
    return null;
  }
  const ends = (list) => [list[0], list.at(-1)].map((line) => JSON.parse(line));
  const [[shownFirst, shownLast], [cameFirst, cameLast]] = [ends(shownLines), ends(cameLines)];
  const wrong = [...differencesOf(shownFirst, cameFirst, ""), ...differencesOf(shownLast, cameLast, "")];
  return wrong.length > 0 ? wrong.join("\n") : null;
}
