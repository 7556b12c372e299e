// Goal: figures, durations and dates as a person reads them. Method: values at every border.
import assert from "node:assert/strict";
import { test } from "node:test";
import { durationText, ruleDuration } from "./duration";
import { bytesText, datesBetween, figure, memoryText, niceCeiling, percentText } from "./number";

const units = { ms: "ms", s: "s", min: "min", h: "h", day: "d" };

test("durations change their unit where a person would", () => {
  const cases: [number, string][] = [
    [0, "0 s"], [0.0004, "1 ms"], [0.2, "200 ms"], [2, "2 s"], [2.14, "2.1 s"], [59, "59 s"], [60, "1 min"],
    [2520, "42 min"], [3600, "1 h"], [11_100, "3 h 5 min"], [200_000, "2 d"],
  ];
  for (const [seconds, text] of cases) assert.equal(durationText(seconds, units), text);
});

test("a rule's duration is in the largest whole unit", () => {
  assert.deepEqual([0, 90, 600, 7200].map(ruleDuration), ["0s", "90s", "10m", "2h"]);
});

test("figures have three places at most", () => {
  assert.deepEqual([0, 0.0421, 3.279, 45.12, 1234.4].map(figure), ["0", "0.042", "3.28", "45.1", "1,234"]);
  assert.deepEqual([0, 0.0004, 0.024, 0.28, 1].map(percentText), ["0 %", "0.04 %", "2.4 %", "28 %", "100 %"]);
  assert.deepEqual([999, 7_000_000, 3_100_000_000].map(bytesText), ["999 B", "7.0 MB", "3.1 GB"]);
  assert.equal(memoryText(16 * 2 ** 30), "16.0 GiB");
  assert.deepEqual([0, 7, 20, 21, 96].map(niceCeiling), [1, 10, 20, 50, 100]);
});

test("every date is there once, over the end of a month and a leap day", () => {
  assert.deepEqual(datesBetween("2028-02-27", "2028-03-01"), ["2028-02-27", "2028-02-28", "2028-02-29", "2028-03-01"]);
  assert.deepEqual(datesBetween("2026-11-26", "2026-11-26"), ["2026-11-26"]);
  assert.deepEqual(datesBetween("2026-11-27", "2026-11-26"), []);
});
