// Goal: the curves are the planner's figures. Method: rows that `dormouse plan` prints for 800 requests a day of 2 s in
// 25 x 8 hours on a T4 (1.80 an hour, 300 a month, wake 30 s), and what must hold whatever the traffic.
import assert from "node:assert/strict";
import { test } from "node:test";
import { breakEven, costsOf, evenTraffic, levelHours, trafficOf, volumes } from "./closed_form";

const t4 = { hourMicros: 1_800_000, monthMicros: 300_000_000 };
const traffic = evenTraffic(25, 8, 2);
const rules = { idleTimeoutS: 600, wakeS: 30 };

test("hours and money are the planner's", () => {
  const rows: [number, number][] = [[600, 366_625_716], [60, 304_776_827]];
  for (const [idleTimeoutS, micros] of rows) {
    const costs = costsOf(20_000, traffic, { ...rules, idleTimeoutS }, t4);
    // The edges' formula is exact without a wake, to 0.1 % with one (docs/cost_model.md).
    assert.ok(Math.abs(costs.hourly / micros - 1) < 0.001, `${costs.hourly} is not ${micros}`);
    assert.equal(costs.naive, 20_000_000);
    assert.equal(costs.monthly, 300_000_000);
  }
});

test("break-even is where the planner has it: 83.58 requests a day", () => {
  const places = volumes(10, 1000, 12).map((one) => one * 25);
  const found = breakEven(traffic, rules, t4, places);
  assert.ok(found !== undefined && Math.abs(found / 25 - 83.58) < 0.5, String(found));
  assert.equal(breakEven(traffic, rules, { ...t4, monthMicros: null }, places), undefined);
  assert.equal(breakEven(traffic, rules, { ...t4, monthMicros: 1 }, places), undefined, "cheaper from the first");
});

test("mixed is never dearer than either, and all grow with the volume", () => {
  let last = 0;
  for (const requests of volumes(100, 3_000_000, 6)) {
    const costs = costsOf(requests, traffic, rules, t4);
    assert.ok((costs.mixed ?? 0) <= Math.min(costs.hourly, costs.monthly ?? Infinity));
    assert.ok(costs.naive <= costs.hourly && costs.hourly >= last);
    last = costs.hourly;
  }
  assert.ok(levelHours(3_000_000, traffic, rules).length > 5, "one instance does not carry that");
});

test("a week's shape is kept: nights are asleep", () => {
  const heat = Array.from({ length: 7 }, (_, day) =>
    Array.from({ length: 24 }, (_, hour) => (day < 5 && hour >= 9 && hour < 17 ? 10 : 0)));
  const shaped = trafficOf(heat, 2);
  assert.ok(Math.abs(shaped.windows - 5 * (730 / 168)) < 1e-9);
  const hours = levelHours(20_000, shaped, rules)[0] ?? 0;
  assert.ok(hours > 40 * (730 / 168) && hours < 45 * (730 / 168), String(hours));
  assert.deepEqual(levelHours(1000, trafficOf([[0, 0]], 2), rules), [0]);
});
