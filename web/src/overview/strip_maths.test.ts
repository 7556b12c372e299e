// Goal: the strip shows what was, within its day. Method: pieces that reach over both ends, and a crowd of requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf, requestsIn, sharesOf, ticksOf } from "./strip_maths";

const strip = {
  from: 1000, to: 101_000,
  pieces: [
    { from: 0, to: 11_000, kind: "busy" as const }, { from: 11_000, to: 31_000, kind: "idle" as const },
    { from: 90_000, to: 200_000, kind: "waking" as const }, { from: 300_000, to: 400_000, kind: "idle" as const },
  ],
  requests: [999, 1000, 1001, 51_000, 101_000],
};

test("pieces are cut at the day's ends; what nothing covers is asleep", () => {
  assert.deepEqual(barsOf(strip), [
    { x: 0.1, width: 0.2, kind: "idle" }, { x: 0.89, width: 0.11, kind: "waking" }, { x: 0, width: 0.1, kind: "busy" },
  ]);
  const shares = sharesOf(strip);
  assert.equal(Math.round(shares.busy), 10);
  assert.equal(Math.round(shares.idle), 20);
  assert.equal(Math.round(shares.waking), 11);
  assert.equal(Math.round(shares.asleep), 59);
});

test("requests of one place are one tick, those outside none", () => {
  assert.deepEqual(ticksOf(strip, 100), [0.005, 0.505]);
});

test("a piece counts the requests from its first moment to before its last", () => {
  assert.equal(requestsIn(strip, 1000, 51_000), 2);
  assert.equal(requestsIn(strip, 51_000, 51_001), 1);
});
