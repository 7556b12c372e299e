// A running `dormouse` for client tests: its own data directory, free ports, the demo model as "demo", and as "tools" a
// server that calls tools and thinks (tool_server.mjs, adopted in llama-server's place).
import assert from "node:assert/strict";
import {spawn, spawnSync} from "node:child_process";
import {chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";

export const PATIENCE_MS = 60_000;

// Nothing tells a test from outside, so it asks again.
export async function eventually(name, what) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const got = await what();
    if (got) return got;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail(`${name}: not within ${PATIENCE_MS / 1000} s`);
}

// Runs `test(house)`: house.urls (of --listen, of --ollama-listen), house.verb(...words), house.state(name).
export async function withHouse(buildDir, test) {
  const directory = mkdtempSync(path.join(tmpdir(), "house-"));
  const data = path.join(directory, "data");
  const bin = path.join(directory, "bin");
  mkdirSync(bin);
  const tools = path.join(import.meta.dirname, "tool_server.mjs");
  writeFileSync(path.join(bin, "llama-server"), `#!/bin/sh\nexec '${process.execPath}' '${tools}' "$@"\n`);
  chmodSync(path.join(bin, "llama-server"), 0o755);
  const program = path.join(buildDir, "dormouse");
  const env = {...process.env, PATH: `${bin}:${process.env.PATH}`};
  const ask = (...words) => spawnSync(program, [...words, "--data-dir", data], {cwd: directory, encoding: "utf8"});
  const verb = (...words) => {
    const done = ask(...words);
    assert.equal(done.status, 0, `${words.join(" ")}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const server = spawn(program, ["serve", "--demo", "--listen", "127.0.0.1:0",
    "--ollama-listen", "127.0.0.1:0", "--data-dir", data], {cwd: directory, env, stdio: ["ignore", "pipe", "pipe"]});
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (piece) => { output += piece; });
  try {
    const status = await eventually("the server", () => {
      assert.equal(server.exitCode, null, `it ended early:\n${output}`);
      const done = ask("ps", "--format", "json");
      const read = done.status === 0 ? JSON.parse(done.stdout) : {listen: []};
      return read.listen.length === 2 ? read : null;
    });
    const state = (name) => JSON.parse(verb("ps", "--format", "json")).deployments.find((d) => d.name === name).state;
    writeFileSync(path.join(directory, "tools.gguf"), "not looked into");
    verb("deploy", path.join(directory, "tools.gguf"), "--name", "tools", "--runtime", "llama-server", "--on", "local");
    await test({urls: status.listen.map((address) => `http://${address}`), verb, state});
  } catch (error) {
    console.error(output);
    throw error;
  } finally {
    server.kill("SIGTERM");
    server.kill("SIGTERM");
    if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
    rmSync(directory, {recursive: true, force: true});
  }
}
