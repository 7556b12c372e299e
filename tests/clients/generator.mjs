// Requests made of an OpenAPI document: what its schemas allow, and what they do not. All randomness is fast-check's,
// so that a seed says which requests there were. Knows nothing of the server but the document.
import fc from "fast-check";

// How often a member that may be absent is: `absent` to one. Requests with many of them at once contradict themselves.
export const FEW = 7;
export const MANY = 1;

// A value of the schema.
export function valueOf(schema, schemas, absent = FEW) {
  const inner = (s) => valueOf(s, schemas, absent);
  if (schema.$ref) return inner(schemas[schema.$ref.split("/").at(-1)]);
  if (schema.examples) {
    const example = fc.constantFrom(...schema.examples);
    return fc.oneof({weight: 4, arbitrary: example}, inner({...schema, examples: undefined}));
  }
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(inner));
  if ("const" in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (Array.isArray(schema.type)) {
    const [type, ...others] = schema.type;
    return fc.oneof({weight: 9, arbitrary: inner({...schema, type})},
      ...others.map((t) => ({weight: 1, arbitrary: inner({type: t})})));
  }
  switch (schema.type) {
    case "null": return fc.constant(null);
    case "boolean": return fc.boolean();
    case "integer": return integerOf(schema);
    case "number": return numberOf(schema);
    case "string": return stringOf(schema);
    case "array": {
      const least = schema.minItems ?? 0;
      const most = Math.min(schema.maxItems ?? least + 3, least + 3);
      return fc.array(inner(schema.items), {minLength: least, maxLength: most});
    }
    case "object": return objectOf(schema, inner, absent);
    default: return fc.jsonValue({maxDepth: 2});
  }
}

function integerOf({minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER}) {
  const near = {min: minimum, max: Math.min(maximum, minimum + 20)};
  return fc.oneof(fc.integer(near), fc.maxSafeInteger().map((n) => Math.min(Math.max(n, minimum), maximum)));
}

function numberOf({minimum, exclusiveMinimum, maximum}) {
  const least = exclusiveMinimum ?? minimum ?? -1e6;
  return fc.double({min: least, minExcluded: exclusiveMinimum !== undefined, max: maximum ?? 1e6, noNaN: true});
}

function stringOf({pattern, minLength = 0, maxLength = Infinity}) {
  const fits = (text) => [...text].length >= minLength && [...text].length <= maxLength;
  if (pattern) return fc.stringMatching(new RegExp(pattern)).filter(fits);
  const bounds = {minLength, maxLength: Math.min(maxLength, minLength + 12)};
  const whole = (text) => text.isWellFormed();
  return fc.oneof(fc.string(bounds), fc.fullUnicodeString(bounds).filter(whole));
}

function objectOf(schema, inner, absent) {
  if (schema.propertyNames || (!schema.properties && typeof schema.additionalProperties === "object")) {
    const pattern = schema.propertyNames?.pattern;
    const name = pattern ? fc.stringMatching(new RegExp(pattern)) : fc.string({maxLength: 8});
    return fc.dictionary(name, inner(schema.additionalProperties), {maxKeys: 3}).map((o) => ({...o}));
  }
  if (!schema.properties) {
    return fc.constantFrom({type: "object"}, {type: "string", maxLength: 5}, {enum: ["a", "b"]}, {x: [1, null]});
  }
  const required = new Set(schema.required ?? []);
  const members = Object.entries(schema.properties).map(([name, s]) => [name, required.has(name) ? inner(s)
    : fc.oneof({weight: absent, arbitrary: fc.constant(undefined)}, {weight: 1, arbitrary: inner(s)})]);
  return fc.record(Object.fromEntries(members))
    .map((o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)));
}

// Every place of a value: [holder, key]; the value itself is ["", its holder].
function placesOf(holder, key, out) {
  out.push([holder, key]);
  const value = holder[key];
  if (value !== null && typeof value === "object") for (const k of Object.keys(value)) placesOf(value, k, out);
  return out;
}

const WRONG = fc.oneof(
  fc.constantFrom(true, -1, 0, 1.5, 1e308, 2 ** 53, -(2 ** 63), null, "", "NaN", "Infinity", "\ud800", "\0"),
  fc.constantFrom([], {}, [[]], [null], {"": 0}, "x".repeat(70_000), Array(5000).fill(0), nested(20)),
  fc.string({maxLength: 20}),
  fc.jsonValue({maxDepth: 3}));

function nested(depth) {
  let out = 1;
  for (let i = 0; i < depth; i += 1) out = i % 2 ? [out] : {a: out};
  return out;
}

// One wrong value somewhere, one member less, or one more. What comes of it may still be right: the schema tells.
export function mutated(body) {
  return fc.record({at: fc.nat(), how: fc.constantFrom("replace", "replace", "replace", "delete", "add"), wrong: WRONG,
    name: fc.constantFrom("", "x", "__proto__", "constructor", "\u0000", "名", "a".repeat(300))})
    .map(({at, how, wrong, name}) => {
      const root = {root: structuredClone(body)};
      const places = placesOf(root, "root", []);
      const [holder, key] = places[at % places.length];
      const target = holder[key];
      if (how === "delete" && holder !== root) {
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete holder[key];
      } else if (how === "add" && target !== null && typeof target === "object" && !Array.isArray(target)) {
        Object.defineProperty(target, name, {value: wrong ?? 1, enumerable: true, configurable: true, writable: true});
      } else {
        holder[key] = wrong;
      }
      return root.root;
    });
}

// The body with one member just outside what its schema lets it be; null: no member has a bound.
export function beyond(schema, schemas, body) {
  const resolved = (s) => (s.$ref ? resolved(schemas[s.$ref.split("/").at(-1)]) : s);
  const outside = ({type, minimum, exclusiveMinimum, maximum, maxLength, maxItems, enum: words, items}) => [
    ...(maximum === undefined ? [] : [String(type).includes("integer") ? maximum + 1 : maximum * 1.001]),
    ...(minimum === undefined ? [] : [String(type).includes("integer") ? minimum - 1 : minimum - 0.001]),
    ...(exclusiveMinimum === undefined ? [] : [exclusiveMinimum]),
    ...(maxLength === undefined ? [] : ["x".repeat(maxLength + 1)]),
    ...(maxItems === undefined || items.$ref ? [] : [Array.from({length: maxItems + 1}, (_, i) => `x${i}`)]),
    ...(words === undefined ? [] : ["none of these", 7]),
    ...(/boolean/.test(type) ? ["true", 1] : [])];
  const members = Object.entries(resolved(schema).properties ?? {})
    .flatMap(([name, s]) => outside(resolved(s)).map((value) => ({...body, [name]: value})));
  return members.length === 0 ? null : fc.constantFrom(...members);
}

// Bytes that are no JSON at all, or none that is to be taken. `refused`: whatever the route is.
export function brokenText(body) {
  const text = JSON.stringify(body);
  const member = (raw) => (text === "{}" ? `{${raw}}` : `${text.slice(0, -1)},${raw}}`);
  return fc.constantFrom(
    {name: "empty", bytes: "", refused: true}, {name: "cut", bytes: text.slice(0, -1), refused: true},
    {name: "more after it", bytes: `${text}x`, refused: true}, {name: "twice", bytes: text + text, refused: true},
    {name: "a BOM", bytes: `\ufeff${text}`, refused: true}, {name: "NaN", bytes: member('"q":NaN'), refused: true},
    {name: "single quotes", bytes: member("'q':1"), refused: true},
    {name: "a comment", bytes: `${text}//`, refused: true},
    {name: "half a surrogate pair", bytes: member('"q":"\\ud800"'), refused: true},
    {name: "a key twice", bytes: member('"q":1,"q":2'), refused: true},
    {name: "no UTF-8", bytes: Buffer.from(member('"q":"\xff"'), "latin1"), refused: true},
    {name: "deep", bytes: member(`"q":${"[".repeat(100)}${"]".repeat(100)}`), refused: true},
    {name: "very deep", bytes: "[".repeat(100_000), refused: true},
    {name: "a list", bytes: `[${text}]`, refused: true}, {name: "a text", bytes: '"x"', refused: true},
    {name: "null", bytes: "null", refused: true}, {name: "a huge number", bytes: member('"q":1e999'), refused: false},
    {name: "a long number", bytes: member(`"q":${"9".repeat(2000)}`), refused: false});
}
