// Goal: days without requests are there, and hours of the week add up. Method: reports with gaps, in a zone with an offset.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageRow } from "../api/types";
import { heatOf, slotsOf, slotText } from "./series";

const row = (part: Partial<UsageRow>): UsageRow => part as UsageRow;

test("a day without requests has its place", () => {
  const rows = [row({ time: "2026-11-24T00:00:00+08:00", requests: 3 }), row({ time: "2026-11-26T00:00:00+08:00", requests: 5 })];
  const slots = slotsOf(rows, "2026-11-23T10:00:00+08:00", "2026-11-26T10:00:00+08:00", "7d");
  assert.deepEqual(slots.map((one) => one.key), ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26"]);
  assert.deepEqual(slots.map((one) => one.row?.requests ?? 0), [0, 3, 0, 5]);
  assert.equal(slotText("2026-11-26"), "11-26");
});

test("hours go over midnight", () => {
  const slots = slotsOf([row({ time: "2026-11-26T00:00:00+08:00", requests: 1 })],
    "2026-11-25T22:30:00+08:00", "2026-11-26T01:10:00+08:00", "1d");
  assert.deepEqual(slots.map((one) => slotText(one.key)), ["22:00", "23:00", "00:00", "01:00"]);
  assert.equal(slots[2]?.row?.requests, 1);
});

test("hours of the week add up, what is none of them is left out", () => {
  const heat = heatOf([row({ weekday: 0, hour: 9, requests: 2 }), row({ weekday: 0, hour: 9, requests: 3 }),
    row({ weekday: -1, hour: 9, requests: 7 }), row({ weekday: 6, hour: 24, requests: 7 })]);
  assert.equal(heat[0]?.[9], 5);
  assert.equal(heat.flat().reduce((sum, one) => sum + one, 0), 5);
});
