// A tool for the clients to hand over, and what a call of it has to be.
import assert from "node:assert/strict";

export const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city.",
    parameters: {
      type: "object",
      properties: {city: {type: "string", maxLength: 12}, unit: {type: "string", enum: ["C", "F"]}},
      required: ["city", "unit"],
      additionalProperties: false,
    },
  },
};

export function checkWeather(call) {
  assert.equal(typeof call.city, "string");
  assert.ok(["C", "F"].includes(call.unit), JSON.stringify(call));
  assert.deepEqual(Object.keys(call), ["city", "unit"]);
}
