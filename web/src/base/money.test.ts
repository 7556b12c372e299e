// Goal: money is shown as the server would round it, and never as nothing. Method: values at every border.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addSum, grouped, moneyText, roughMoney, sumsText } from "./money";

test("cents are rounded half to even, as the server does", () => {
  assert.equal(moneyText(4_305_000, "CNY"), "¥4.30");
  assert.equal(moneyText(4_315_000, "CNY"), "¥4.32");
  assert.equal(moneyText(4_315_001, "CNY"), "¥4.32");
  assert.equal(moneyText(0, "CNY"), "¥0.00");
});

test("a sum below a cent keeps its figures", () => {
  assert.equal(moneyText(9_999, "CNY"), "¥0.0100");
  assert.equal(moneyText(1_234, "CNY"), "¥0.0012");
  assert.equal(moneyText(120, "USD"), "$0.00012");
  assert.equal(moneyText(1, "USD"), "$0.000001");
});

test("large sums are grouped and exact", () => {
  assert.equal(moneyText(9_007_199_254_740_991, "CNY"), "¥9,007,199,254.74");
  assert.equal(moneyText(-1_234_567_890, "EUR"), "-€1,234.57");
  assert.equal(moneyText(1_000_000, "CHF"), "1.00 CHF");
  assert.equal(grouped(-1234567), "-1,234,567");
});

test("what is only expected has no cents", () => {
  assert.equal(roughMoney(358_614_000, "CNY"), "¥359");
  assert.equal(roughMoney(5_720_000, "CNY"), "¥5.72");
});

test("two currencies are never added", () => {
  const sums = [["CNY", 1_500_000], ["USD", 2_000_000], ["CNY", 500_000]] as const;
  const all = sums.reduce<{ currency: string; micros: number }[]>(
    (total, [currency, micros]) => addSum(total, { currency, micros }), []);
  assert.equal(sumsText(all), "¥2.00 + $2.00");
});
