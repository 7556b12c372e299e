// Goal: a spreadsheet reads back what was shown. Method: every character that needs a quote, and none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { csvHref, csvText } from "./csv";

test("cells are quoted where they must be, and only there", () => {
  assert.equal(csvText(["a", "b"], [[1.5, null], ["x,y", 'say "z"'], ["two\nlines", "唤醒"]]),
    'a,b\r\n1.5,\r\n"x,y","say ""z"""\r\n"two\nlines",唤醒\r\n');
  assert.equal(csvText(["a"], []), "a\r\n");
});

test("a link carries all of it", () => {
  const href = csvHref(["名", "b"], [["#1 & 100 %", 2]]);
  assert.equal(decodeURIComponent(href.slice(href.indexOf(",") + 1)), "名,b\r\n#1 & 100 %,2\r\n");
});
