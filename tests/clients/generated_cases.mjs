// What generated.mjs sends: cases of each operation of the document, and what becomes of a case when it is its turn.
import fc from "fast-check";

import {beyond, brokenText, FEW, MANY, mutated, valueOf} from "./generator.mjs";

const NONSENSE = fc.constantFrom("x", "%20", "..", "%2e%2e%2f", "a%00", "%ff", "名", "x".repeat(300),
  "%F0%9F%98%B4", "'\"<>");
// A {..} of a path: one of the things that the test made, or nonsense.
const PLACE = fc.record({
  index: fc.nat(),
  nonsense: fc.oneof({weight: 4, arbitrary: fc.constant(null)}, {weight: 1, arbitrary: NONSENSE}),
});
const OTHER_TYPES = fc.constantFrom("text/plain", "application/xml", "application/x-www-form-urlencoded", "x",
  "application/json; charset=utf-16");
const OTHER_METHODS = fc.constantFrom("PUT", "PATCH", "DELETE", "POST", "GET", "PROPFIND");
const WRONG_TEXT = fc.oneof(
  fc.constantFrom("", "-1", "0", "1e9", "99999999999999999999", "NaN", " ", "1;2", "null", "../x"),
  fc.string({maxLength: 12}).filter((text) => text.isWellFormed()));
const RAW_QUERY = fc.constantFrom("?", "?%", "?%zz=1", "?=", "?a=%00", "?limit", "?&&&", `?${"x".repeat(3000)}`);

const FORM = {"content-type": "multipart/form-data; boundary=b"};
const part = ([name, text]) => `--b\r\ncontent-disposition: form-data; name="${name}"` +
  `${name === "file" ? '; filename="f"' : ""}\r\n\r\n${text}\r\n`;
const form = (...parts) => `${parts.map(part).join("")}--b--\r\n`;
// Of a model that sleeps: its batch waits, and can be cancelled.
export const LINES = `${JSON.stringify({custom_id: "a", method: "POST", url: "/v1/completions",
  body: {model: "nap", prompt: "x", max_tokens: 1}})}\n`;

const GENERATES = {generate: "max_tokens", createChatCompletion: "max_tokens", createCompletion: "max_tokens",
  createResponse: "max_output_tokens"};

const isPositive = (value) => Number.isInteger(value) && value > 0;
// A wrong value that was put there on purpose stays.
const isAbsent = (value) => value === undefined || value === null;
const few = (value) => (isPositive(value) ? Math.min(value, 3) : 3);

// Without what would have the machine do what the test is not about: long answers, instances that start by themselves.
function tame({operationId, route}, body) {
  if (body === null || typeof body !== "object" || Array.isArray(body)) return body;
  const bound = GENERATES[operationId];
  if (bound && (isAbsent(body[bound]) || isPositive(body[bound]))) body[bound] = few(body[bound]);
  if (isPositive(body.max_completion_tokens)) body.max_completion_tokens = few(body.max_completion_tokens);
  if (operationId === "ollamaChat" || operationId === "ollamaGenerate") {
    body.options ??= {};
    const {num_predict: most} = body.options;
    const isObject = typeof body.options === "object" && !Array.isArray(body.options);
    if (isObject && (isAbsent(most) || isPositive(most))) body.options.num_predict = few(most);
  }
  // "demo" is to live to the end, and an empty request with a short keep_alive unloads it.
  const isShort = (value) => (typeof value === "number" ? value >= 0 && value < 600 : /^[-+]?[0-9.]/.test(value));
  if (route.startsWith("/api/") && body.model !== "nap" && isShort(body.keep_alive ?? "")) body.keep_alive = "10m";
  if (route.startsWith("/admin/v1/deployments") && body.min > 0 && body.min <= 64) body.min = 0;
  return body;
}

// [weight, arbitrary] of what may be done with a body of JSON, with another, or with none.
function bodyKinds(operation, schemas, image) {
  const {json, operationId, requestBody} = operation;
  if (!json && requestBody) return formKinds();
  if (!json) {
    return [[6, fc.constant({kind: "right"})],
      [1, fc.constantFrom("{}", "x", "[".repeat(1000)).map((bytes) => ({kind: "a body nobody wants", bytes}))]];
  }
  const named = (body) => (operationId === "deploy" || (operationId === "changeDeployment" && "image" in body)
    ? {...body, image} : body);
  const body = valueOf(json, schemas, FEW).map(named);
  const full = valueOf(json, schemas, MANY).map(named);
  const isNeeded = ({name}) => !(name === "empty" && !requestBody.required);
  const out = [
    [6, body.map((value) => ({kind: "right", value}))],
    [8, fc.oneof(body, full).chain(mutated).map((value) => ({kind: "mutated", value}))],
    [3, body.map((value) => tame(operation, structuredClone(value))).chain(brokenText).map((broken) => ({kind: `broken: ${broken.name}`, bytes: broken.bytes,
      refused: broken.refused && isNeeded(broken)}))],
    [1, fc.tuple(body, OTHER_TYPES).map(([value, type]) => ({kind: "other content-type", value,
      headers: {"content-type": type}}))]];
  if (beyond(json, schemas, {})) {
    out.push([3, body.chain((value) => beyond(json, schemas, value))
      .map((value) => ({kind: "beyond", value, refused: true}))]);
  }
  return out;
}

function formKinds() {
  const right = form(["purpose", "batch"], ["file", LINES]);
  const broken = ["", "--b", "--b--\r\n", form(), form(["file", LINES]), form(["purpose", "x"], ["file", LINES]),
    form(["purpose", "batch"], ["file", ""]), right.slice(0, -9), form(...Array(40).fill(["x", "y"])), "{}"];
  const types = ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain"];
  return [
    [5, fc.constantFrom(LINES, "{}", "no JSON").map((text) => ({kind: "right", headers: FORM,
      bytes: form(["purpose", "batch"], ["file", text])}))],
    [5, fc.constantFrom(...broken).map((bytes) => ({kind: "broken: form", bytes, refused: true, headers: FORM}))],
    [2, fc.constantFrom(...types).map((type) => ({kind: "broken: content-type", bytes: right, refused: true,
      headers: {"content-type": type}}))]];
}

// A case: {operation, kind, places, query, headers, value or bytes, refused, method, key, wrong, raw}. `image`: a file
// that can be deployed.
export function caseOf(operation, schemas, image) {
  const kinds = bodyKinds(operation, schemas, image);
  if (operation.query.length > 0) {
    kinds.push([4, fc.tuple(fc.constantFrom(...operation.query), WRONG_TEXT)
      .map(([parameter, text]) => ({kind: "query", wrong: {parameter, text}}))]);
    kinds.push([1, RAW_QUERY.map((raw) => ({kind: "raw query", raw}))]);
  }
  kinds.push([1, OTHER_METHODS.filter((method) => !operation.others.includes(method.toLowerCase()))
    .map((method) => ({kind: "other method", method}))]);
  if (operation.method === "GET") kinds.push([1, fc.constant({kind: "HEAD", method: "HEAD"})]);
  if (operation.security.length > 0) {
    kinds.push([2, fc.constantFrom("none", "wrong", "two", "scope").map((key) => ({kind: `key: ${key}`, key}))]);
  }
  const parameters = operation.query.map((parameter) => fc.oneof(
    {weight: parameter.required ? 0 : 3, arbitrary: fc.constant(undefined)},
    {weight: 1, arbitrary: valueOf(parameter.schema, schemas).map((value) => [parameter.name, value])}));
  const headers = operation.json ? {"content-type": "application/json"} : {};
  return fc.record({
    what: fc.oneof(...kinds.map(([weight, arbitrary]) => ({weight, arbitrary}))),
    places: fc.array(PLACE, {minLength: 3, maxLength: 3}),
    query: fc.tuple(...parameters),
  }).map(({what, places, query}) => ({operation, places, query: query.filter((q) => q !== undefined), ...what,
    headers: {...headers, ...what.headers}}));
}

// What is percent-encoded already stays as it is.
function encoded(text) {
  return text.split(/(%[0-9a-f]{2})/i).map((p) => (/^%[0-9a-f]{2}$/i.test(p) ? p : encodeURIComponent(p))).join("");
}

// "nap" may be woken and sent to sleep, "demo" is what must live to the end. Some of everything stays.
function poolOf(pools, name, {method, operationId}) {
  if (name === "reference") return pools.reference;
  if (method === "DELETE") return pools[name].slice(2);
  if (operationId === "cancelBatch") return pools.batch.slice(-4);  // older ones are over
  if (name !== "name" || method === "PATCH") return pools[name];
  return [...(method === "GET" ? ["demo"] : []), "nap", ...pools.name];
}

function keysOf(c, keys) {
  const {"x-scope": scope} = c.operation;
  const [mine, other] = scope === "inference" ? [keys.inference, keys.admin] : [keys.admin, keys.inference];
  switch (c.key) {
    case "none": return {};
    case "wrong": return {authorization: `Bearer ${mine.slice(0, -1)}${mine.endsWith("x") ? "y" : "x"}`};
    case "two": return {authorization: `Bearer ${mine}`, "x-api-key": mine};
    case "scope": return {authorization: `Bearer ${other}`};
    default: return {authorization: `Bearer ${mine}`};
  }
}

// {method, target, headers, bytes, value}; sets c.known: its {..} are there.
export function requestOf(c, pools, keys) {
  const {operation} = c;
  let place = 0;
  const target = operation.route.replace(/\{(\w+)\}/g, (_, name) => {
    const {index, nonsense} = c.places[place++];
    const pool = poolOf(pools, name, operation);
    c.known = nonsense === null && pool.length > 0;
    return c.known ? encodeURIComponent(pool[index % pool.length]) : encoded(nonsense ?? "none");
  });
  const pairs = c.query.filter(([name]) => name !== c.wrong?.parameter.name)
    .map(([name, value]) => [name, String(value)]);
  if (c.wrong) pairs.push([c.wrong.parameter.name, c.wrong.text]);
  const joined = pairs.map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  const value = c.value === undefined ? undefined : tame(operation, structuredClone(c.value));
  const bytes = c.bytes ?? (value === undefined ? undefined : JSON.stringify(value));
  const headers = {...c.headers, ...keysOf(c, keys)};
  if (bytes !== undefined) headers["content-length"] = Buffer.byteLength(bytes);
  const query = c.raw ?? (joined === "" ? "" : `?${joined}`);
  return {method: c.method ?? operation.method, target: target + query, headers, bytes, value};
}
