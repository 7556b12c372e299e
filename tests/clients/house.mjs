// A running `dormouse` for client tests, with its own directory and free ports.
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

// The error that `promise` has to end with.
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("it was let in");
}

// Runs `test(directory)` with a directory that is gone afterwards.
export async function withDirectory(name, test) {
  const directory = mkdtempSync(path.join(tmpdir(), `${name}-`));
  try {
    return await test(directory);
  } finally {
    rmSync(directory, {recursive: true, force: true});
  }
}

// Runs `test(house)` beside `dormouse serve WORDS` in `directory`: house.urls (of the listeners, in order),
// house.verb(...words), house.deployment(name) as `ps` has it, house.state(name), house.log() so far.
export async function withServer({buildDir, directory, words, data = path.join(directory, "data"), env = process.env},
  test) {
  const program = path.join(buildDir, "dormouse");
  const ask = (...verb) => spawnSync(program, [...verb, "--data-dir", data], {cwd: directory, env, encoding: "utf8"});
  const verb = (...verbWords) => {
    const done = ask(...verbWords);
    assert.equal(done.status, 0, `${verbWords.join(" ")}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const deployment = (name) => JSON.parse(verb("ps", "--format", "json")).deployments.find((d) => d.name === name);
  const state = (name) => deployment(name).state;
  const listeners = words.filter((word) => word.endsWith("listen")).length;
  const server = spawn(program, ["serve", ...words, "--data-dir", data],
    {cwd: directory, env, stdio: ["ignore", "pipe", "pipe"]});
  const kill = () => server.kill("SIGKILL");
  process.setMaxListeners(100);  // as many houses may stand at once
  process.once("exit", kill);  // should this process end without coming to `finally`
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (piece) => { output += piece; });
  try {
    const urls = await eventually("the server", () => {
      assert.equal(server.exitCode, null, "it ended early");
      const done = ask("ps", "--format", "json");
      const {listen} = done.status === 0 ? JSON.parse(done.stdout) : {listen: []};
      return listen.length === listeners ? listen.map((address) => `http://${address}`) : null;
    });
    return await test({urls, verb, deployment, state, log: () => output});
  } catch (error) {
    console.error(output);
    throw error;
  } finally {
    server.kill("SIGTERM");
    server.kill("SIGTERM");  // now, not when all have drained
    if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
    process.removeListener("exit", kill);
  }
}

// The demo model as "demo", and as "tools" a server that calls tools and thinks (tool_server.mjs, adopted in
// llama-server's place); listens for OpenAI's clients and for Ollama's.
export function withHouse(buildDir, test) {
  return withDirectory("house", (directory) => {
    const bin = path.join(directory, "bin");
    mkdirSync(bin);
    const tools = path.join(import.meta.dirname, "tool_server.mjs");
    writeFileSync(path.join(bin, "llama-server"), `#!/bin/sh\nexec '${process.execPath}' '${tools}' "$@"\n`);
    chmodSync(path.join(bin, "llama-server"), 0o755);
    const env = {...process.env, PATH: `${bin}:${process.env.PATH}`};
    const words = ["--demo", "--listen", "127.0.0.1:0", "--ollama-listen", "127.0.0.1:0"];
    return withServer({buildDir, directory, words, env}, (house) => {
      writeFileSync(path.join(directory, "tools.gguf"), "not looked into");
      house.verb("deploy", path.join(directory, "tools.gguf"), "--name", "tools", "--runtime", "llama-server",
        "--on", "local");
      return test(house);
    });
  });
}
