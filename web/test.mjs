// Bundles every *.test.ts and runs it under node's own test runner: `npm test`. esbuild comes with Vite.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("src", import.meta.url));
const tests = readdirSync(source, { recursive: true }).filter((name) => String(name).endsWith(".test.ts"));
const out = mkdtempSync(join(tmpdir(), "dormouse-console-"));
await build({
  entryPoints: tests.map((name) => join(source, String(name))), outdir: out, bundle: true, platform: "node",
  format: "esm", outExtension: { ".js": ".mjs" }, logLevel: "warning",
});
const files = readdirSync(out, { recursive: true }).map((name) => join(out, String(name)))
  .filter((name) => name.endsWith(".mjs"));
const run = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" });
rmSync(out, { recursive: true });
process.exit(run.status ?? 1);
