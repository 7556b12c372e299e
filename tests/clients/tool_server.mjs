// An OpenAI server as small as they come that calls tools and thinks, started as llama-server is:
//   tool_server.mjs ... --host HOST --port PORT ...
// With tools and no tool's answer yet it calls the first one for {"city":"北京"}, its arguments in pieces; after an
// answer it repeats it. Else it says what it was sent, as JSON. It thinks unless told not to. It takes LOAD_MS to come up,
// longer than a stream is held without a word; "die" ends it after the first piece.
import http from "node:http";
import {setTimeout as wait} from "node:timers/promises";

const LOAD_MS = 600;

const flag = (name) => process.argv[process.argv.indexOf(name) + 1];

function deltas(request) {
  const out = [];
  if (request.chat_template_kwargs?.enable_thinking !== false) out.push({reasoning_content: "hm"});
  const last = request.messages.at(-1);
  if (last.role === "tool") return [...out, {content: `it is ${last.content}`}];
  if (request.tools === undefined) return [...out, {content: JSON.stringify(request)}];
  const call = (more) => ({tool_calls: [{index: 0, ...more}]});
  const name = request.tools[0].function.name;
  return [...out, call({id: "c1", type: "function", function: {name, arguments: ""}}),
    call({function: {arguments: '{"city":'}}), call({function: {arguments: '"北京"}'}})];
}

async function answer(request, response) {
  response.writeHead(200, {"content-type": "text/event-stream"});
  const pieces = deltas(request);
  const send = (more) => response.write(`data: ${JSON.stringify({id: "x", object: "chat.completion.chunk", created: 1,
    model: "theirs", ...more})}\n\n`);
  const dies = request.messages.at(-1).content === "die";
  for (const delta of pieces) {
    send({choices: [{index: 0, delta, finish_reason: null}]});
    if (!dies) continue;
    await wait(100);  // until it has been read
    process.exit(9);
  }
  const reason = pieces.some((piece) => piece.tool_calls) ? "tool_calls" : "stop";
  send({choices: [{index: 0, delta: {}, finish_reason: reason}]});
  send({choices: [], usage: {prompt_tokens: 5, completion_tokens: pieces.length, total_tokens: 5 + pieces.length}});
  response.end("data: [DONE]\n\n");
}

await wait(LOAD_MS);
http.createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => { body += piece; });
  request.on("end", () => {
    if (request.url === "/v1/chat/completions") return answer(JSON.parse(body), response);
    const known = {"/health": {status: "ok"}, "/v1/models": {object: "list", data: [{id: "theirs", object: "model"}]}};
    response.writeHead(known[request.url] ? 200 : 404, {"content-type": "application/json"});
    return response.end(JSON.stringify(known[request.url] ?? {}));
  });
}).listen(Number(flag("--port")), flag("--host"));
