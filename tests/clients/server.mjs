// A whole `dormouse serve` with the demo model as "demo", asleep, for the clients that speak to it.
import assert from "node:assert/strict";
import {spawn, spawnSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";

const PATIENCE_MS = 60_000;

// Runs `test({baseURL, verb})`, baseURL with /v1; the server and all it wrote is gone afterwards.
export async function withServer(buildDir, model, test) {
  const directory = mkdtempSync(path.join(tmpdir(), "clients-"));
  const program = path.join(path.resolve(buildDir), "dormouse");
  const data = path.join(directory, "data");
  const ask = (...words) => spawnSync(program, [...words, "--data-dir", data], {cwd: directory, encoding: "utf8"});
  const verb = (...words) => {
    const done = ask(...words);
    assert.equal(done.status, 0, `${words.join(" ")}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const server = spawn(program, ["serve", "--model", path.resolve(model), "--name", "demo", "--listen", "127.0.0.1:0",
    "--data-dir", data], {cwd: directory, stdio: ["ignore", "pipe", "pipe"]});
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (piece) => { output += piece; });
  try {
    const end = Date.now() + PATIENCE_MS;
    let listen = [];
    while (listen.length === 0) {
      assert.equal(server.exitCode, null, "it ended early");
      assert.ok(Date.now() < end, "it did not come up");
      const done = ask("ps", "--format", "json");
      listen = done.status === 0 ? JSON.parse(done.stdout).listen : [];
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await test({baseURL: `http://${listen[0]}/v1`, verb});
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
