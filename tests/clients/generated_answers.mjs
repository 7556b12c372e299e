// What the document says of an answer that generated.mjs got.
import Ajv2020 from "ajv/dist/2020.js";

const ALLOWED_5XX = [501, 503, 504];
const KEY_ANSWERS = {none: [401, 429], wrong: [401, 429], two: [400, 429], scope: [403]};
const NOWHERE = ["not_found", "malformed_request"];  // codes of what is another path, or none

export function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([route, methods]) => Object.entries(methods)
    .map(([method, operation]) => ({...operation, route, method: method.toUpperCase(), others: Object.keys(methods),
      json: operation.requestBody?.content["application/json"]?.schema,
      query: (operation.parameters ?? []).filter((p) => p.in === "query")})));
}

// A function of a case, its request and the answer: what is wrong with it; null: nothing.
export function judgeOf(document) {
  const ajv = new Ajv2020({strict: false, validateFormats: false});
  const made = new Map();
  // null: the value is of the schema.
  const check = (schema, value) => {
    if (!made.has(schema)) made.set(schema, ajv.compile({...schema, components: document.components}));
    const validate = made.get(schema);
    return validate(value) ? null : ajv.errorsText(validate.errors, {dataVar: ""});
  };
  const errorForms = ["Error", "OllamaError"].map((name) => document.components.schemas[name]);

  function errorFault(text, named, others = []) {
    let body;
    try { body = JSON.parse(text); } catch { return "an error that is no JSON"; }
    const schemas = named ? [named.content["application/json"].schema] : errorForms;
    const faults = schemas.map((schema) => check(schema, body));
    if (faults.every((fault) => fault)) return `an error of another form: ${faults[0]}`;
    const {code} = body.error;
    const isKnown = !named || code === undefined || [...(named["x-errors"] ?? []), ...others].includes(code);
    return isKnown ? null : `an error with the code ${code}`;
  }

  function piecesFault(item, type, text) {
    const lines = type === "text/event-stream"
      ? text.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6))
      : text.split("\n").filter((line) => line.trim() !== "");
    for (const line of lines.filter((l) => l !== "[DONE]")) {
      const body = JSON.parse(line);
      const fault = body.error !== undefined && errorFault(line) === null ? null : check(item, body);
      if (fault) return `a piece of another form: ${fault}: ${line}`;
    }
    return null;
  }

  function bodyFault(content, type, text) {
    if (content["x-item-schema"]) return piecesFault(content["x-item-schema"], type, text);
    if (type !== "application/json") return check(content.schema, text);
    let body;
    try { body = JSON.parse(text); } catch { return "a body that is no JSON"; }
    return check(content.schema, body);
  }

  // What the schemas forbid and was taken all the same.
  function takenFault(c, request) {
    if (c.refused) return "taken, though it cannot be read";
    if (c.kind === "mutated") {
      const why = check(c.operation.json, request.value);
      if (why) return `taken, though the schema forbids it: ${why}`;
    }
    if (!c.wrong) return null;
    const {parameter: {name, schema}, text} = c.wrong;
    const isNumber = /^-?\d+(\.\d+)?$/.test(text) && /integer|number/.test(schema.type);
    const why = check(schema, isNumber ? Number(text) : text);
    return why ? `taken, though ${name} may not be "${text}": ${why}` : null;
  }

  return (c, request, {status, headers, text}) => {
    const {operation} = c;
    if (!headers["x-request-id"]) return "no x-request-id";
    if (status >= 500 && !ALLOWED_5XX.includes(status)) return "an error of ours";
    if (c.kind === "other method") {
      // A path that is not there for this spelling is refused as such before its methods are looked at.
      return [400, 404, 405].includes(status) ? errorFault(text) : "another method was taken";
    }
    const named = operation.responses[status];
    // What is no path of this route may be no path at all, or another's.
    const isNowhere = operation.route.includes("{") && !c.known && (status === 404 || status === 400);
    if (isNowhere) return c.kind === "HEAD" ? null : errorFault(text, named, NOWHERE);
    if (c.key && !KEY_ANSWERS[c.key].includes(status)) return `a key like this is worth ${KEY_ANSWERS[c.key]}`;
    if (!named) return "a status that the document does not name";
    const taken = status < 400 ? takenFault(c, request) : null;
    if (taken) return taken;
    if (c.kind === "HEAD" || status === 304) return text === "" ? null : "HEAD with a body";
    if (status >= 400 && named["x-errors"]) return errorFault(text, named);
    const type = (headers["content-type"] ?? "").split(";")[0];
    const content = named.content?.[type];
    return content ? bodyFault(content, type, text) : `a body of type ${type}`;
  };
}
