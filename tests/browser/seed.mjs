// Writes a past into a ledger that no server has open: requests of a deployment on each weekday of the last 30 days,
// with their sums, their instances and an error kind. Deterministic but for the moment it counts back from. Answers what a
// report should say of it. Not our writer: an independent one, so that the figures are checked and not repeated.
import { execFileSync } from "node:child_process";

const kQuarterUs = 900_000_000;
const kDayUs = 86_400_000_000;
const kHourMicros = 1_800_000;
const kStayUs = 620_000_000;  // idle timeout of ten minutes, with the last answer and the drain

// xorshift32: the same numbers on every machine.
function randomFrom(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

// Eighths of an octave, as docs/ledger.md has them.
function latencyBucket(us) {
  if (us < 8) return us;
  const octave = Math.floor(Math.log2(us));
  return (octave - 2) * 8 + (Math.floor(us / 2 ** (octave - 3)) & 7);
}

const quoted = (value) => (value === null ? "NULL" : typeof value === "number" ? String(value) : `'${value}'`);
const insert = (table, row) =>
  `INSERT INTO ${table} (${Object.keys(row).join(",")}) VALUES (${Object.values(row).map(quoted).join(",")});`;

function uuidAt(us, serial) {
  const ms = Math.floor(us / 1000).toString(16).padStart(12, "0");
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-${serial.toString(16).padStart(12, "0")}`;
}

// Working hours with two peaks; nothing at night and on Saturdays and Sundays.
// `withToday`: up to an hour ago, so that the last 24 hours are not only a night.
function makeArrivals(nowUs, days, random, withToday) {
  const arrivals = [];
  const today = Math.floor(nowUs / kDayUs);
  for (let day = today - days; day < today + (withToday ? 1 : 0); ++day) {
    const weekday = (day + 4) % 7;  // 1970-01-01 was a Thursday
    if (weekday === 0 || weekday === 6) continue;
    for (let hour = 8; hour < 20; ++hour) {
      const peak = hour === 10 || hour === 15 ? 48 : 20;
      const count = Math.floor(peak * (0.5 + random()));
      for (let i = 0; i < count; ++i) arrivals.push(day * kDayUs + hour * 3_600_000_000 + Math.floor(random() * 3.6e9));
    }
  }
  return arrivals.filter((at) => at < nowUs - 3_600_000_000).sort((a, b) => a - b);
}

function addTo(map, key, add) {
  const row = map.get(key) ?? {};
  for (const [name, value] of Object.entries(add)) row[name] = (row[name] ?? 0) + value;
  map.set(key, row);
}

class Past {
  constructor(deploymentId, priceVersion) {
    this.priceVersion = priceVersion;
    this.deploymentId = deploymentId;
    this.sql = [];
    this.usage = new Map();
    this.latency = new Map();
    this.errors = new Map();
    this.told = { requests: 0, failed: 0, cold: 0, outputTokens: 0, costMicros: 0 };
  }

  request(request) {
    const { at, serial, instance, isCold, isFailed, durationUs, ttftUs, busyNs, output } = request;
    const cost = Math.floor((busyNs * kHourMicros) / 3.6e12);
    const billed = isFailed ? 0 : cost;
    const shared = { request_id: uuidAt(at, serial), deployment_id: this.deploymentId, dialect: "openai" };
    this.sql.push(insert("request_entries", { ...shared, kind: "reserve", at_us: at, input_tokens: 500, output_tokens: 512 }));
    this.sql.push(insert("request_entries", {
      ...shared, kind: "settle", at_us: at + durationUs, instance_id: instance, input_tokens: isFailed ? 0 : 180,
      output_tokens: isFailed ? 0 : output, produced_tokens: output, outcome: isFailed ? "failed" : "ok",
      error_code: isFailed ? "timeout" : "", error_kind: isFailed ? "timeout" : "",
      finish_reason: isFailed ? "" : "stop", http_status: isFailed ? 504 : 200, wake_wait_us: isCold ? 12_000_000 : 0,
      ttft_us: ttftUs, duration_us: durationUs, busy_ns: busyNs, price_version: this.priceVersion, cost_micros: cost, micros: billed,
      currency: "CNY",
    }));
    const slot = Math.floor((at + durationUs) / kQuarterUs) * kQuarterUs;
    addTo(this.usage, slot, {
      requests: 1, failed: isFailed ? 1 : 0, cold: isCold ? 1 : 0, input_tokens: isFailed ? 0 : 180,
      output_tokens: isFailed ? 0 : output, produced_tokens: output, wake_wait_us: isCold ? 12_000_000 : 0,
      ttft_us: ttftUs, first_tokens: 1, duration_us: durationUs, busy_ns: busyNs, cost_micros: cost, micros: billed,
    });
    addTo(this.latency, `${slot} duration ${latencyBucket(durationUs)}`, { requests: 1 });
    addTo(this.latency, `${slot} ttft ${latencyBucket(ttftUs)}`, { requests: 1 });
    if (isFailed) addTo(this.errors, slot, { requests: 1 });
    this.told.requests += 1;
    this.told.failed += isFailed ? 1 : 0;
    this.told.cold += isCold ? 1 : 0;
    this.told.outputTokens += isFailed ? 0 : output;
    this.told.costMicros += cost;
  }

  // An instance's life, from its first request to ten minutes after its last.
  instance(id, epoch, fromUs, toUs, busyUs) {
    const alive = toUs - fromUs;
    this.sql.push(insert("start_intents", {
      instance_id: id, deployment_id: this.deploymentId, driver: "process", lease_sha256: "0", epoch, cause: "request",
      at_us: fromUs, price_version: this.priceVersion,
    }));
    this.sql.push(insert("instance_spans", {
      instance_id: id, deployment_id: this.deploymentId, requested_us: fromUs, up_us: fromUs, ready_us: fromUs + 12_000_000,
      drain_us: toUs, down_us: toUs, confirmed_us: toUs, up_after_us: 0, ready_after_us: 12_000_000,
      drain_after_us: alive, down_after_us: alive, confirmed_after_us: alive, alive_us: alive, busy_us: busyUs,
      reason: "idle",
    }));
    for (let slot = Math.floor(fromUs / kQuarterUs) * kQuarterUs; slot < toUs; slot += kQuarterUs) {
      const awake = Math.min(toUs, slot + kQuarterUs) - Math.max(fromUs, slot);
      const waking = Math.max(0, Math.min(fromUs + 12_000_000, slot + kQuarterUs) - Math.max(fromUs, slot));
      this.sql.push(insert("instance_quarters", {
        slot_us: slot, instance_id: id, awake_us: awake, waking_us: waking, busy_us: Math.floor((busyUs * awake) / alive),
      }));
    }
  }

  finish() {
    for (const [slot, row] of this.usage) {
      this.sql.push(insert("usage_quarters",
        { slot_us: slot, deployment_id: this.deploymentId, key_id: "", currency: "CNY", ...row }));
    }
    for (const [key, row] of this.latency) {
      const [slot, what, bucket] = key.split(" ");
      this.sql.push(insert("latency_quarters",
        { slot_us: Number(slot), deployment_id: this.deploymentId, what, bucket: Number(bucket), ...row }));
    }
    for (const [slot, row] of this.errors) {
      this.sql.push(insert("error_quarters",
        { slot_us: slot, deployment_id: this.deploymentId, key_id: "", error_kind: "timeout", ...row, last_us: slot }));
    }
  }
}

// Requests by the instance that an idle timeout of ten minutes gives each of them.
function sessionsOf(arrivals) {
  const sessions = [];
  for (const at of arrivals) {
    const last = sessions.at(-1);
    if (last !== undefined && at < last.at(-1) + kStayUs) last.push(at);
    else sessions.push([at]);
  }
  return sessions;
}

export function seed(ledgerPath, deployment, { days = 30, withToday = false } = {}) {
  const run = (sql) => execFileSync("sqlite3", ["-bail", ledgerPath], { input: sql, encoding: "utf8" }).trim();
  const deploymentId = Number(run(`SELECT id FROM deployments WHERE name = '${deployment}' AND removed_us IS NULL;`));
  // Written when the deployment was made: the type has its price in dormouse.toml.
  const priceVersion = Number(run("SELECT max(version) FROM price_versions;"));
  const nowUs = Date.now() * 1000;
  const random = randomFrom(20_261_126);
  const past = new Past(deploymentId, priceVersion);
  let serial = 0;
  sessionsOf(makeArrivals(nowUs, days, random, withToday)).forEach((session, index) => {
    const id = uuidAt(session[0], 0xabc000 + index);
    let busyNs = 0;
    const requests = session.map((at, place) => {
      const output = 40 + Math.floor(random() * 160);
      const isCold = place === 0;
      const workUs = 200_000 + output * 26_000;
      busyNs += workUs * 1000;
      const waited = isCold ? 12_000_000 : 0;
      return {
        at, serial: ++serial, instance: id, isCold, isFailed: serial % 40 === 0, output, busyNs: workUs * 1000,
        ttftUs: waited + 200_000, durationUs: waited + workUs,
      };
    });
    past.instance(id, 1000 + index, session[0], session.at(-1) + kStayUs, Math.floor(busyNs / 1000));
    for (const request of requests) past.request(request);
  });
  past.finish();
  const created = `UPDATE deployments SET created_us = ${nowUs - (days + 1) * kDayUs} WHERE id = ${deploymentId};`;
  run(["PRAGMA foreign_keys=ON;", "BEGIN;", created, ...past.sql, "COMMIT;"].join("\n"));
  return past.told;
}

if (process.argv[1]?.endsWith("seed.mjs") && process.argv.length > 3) {
  console.log(JSON.stringify(seed(process.argv[2], process.argv[3])));
}
