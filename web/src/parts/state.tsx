// What a deployment is doing, and why, in words; colour only repeats it.
import type { ComponentChildren } from "preact";
import { statusAt } from "../api/events";
import type { Deployment } from "../api/types";
import { percentText } from "../base/number";
import { duration, words } from "../words";

type Look = "asleep" | "waking" | "awake" | "failed";

export function lookOf(state: Deployment["state"]): Look {
  switch (state) {
    case "asleep": return "asleep";
    case "starting": case "loading": case "draining": case "stopping": return "waking";
    case "ready": return "awake";
    case "backoff": case "failed": return "failed";
  }
}

// "awake: 3 requests", "asleep for 42 min", "waking, 40 % loaded". `now`: this page's clock.
export function reasonText(d: Deployment, now: number): string {
  const w = words();
  const since = Math.max(0, (now - statusAt.value) / 1000);
  switch (d.state) {
    case "asleep": return w.overview.asleepSince(duration(d.in_state_s + since));
    case "starting": return w.state.starting;
    case "loading": return w.overview.wakingAt(percentText(Math.round(d.load_fraction * 100) / 100));
    case "ready": return readyText(d, since);
    case "draining": case "stopping": return w.common.pair(w.state.draining, w.overview.drainingText);
    case "backoff": case "failed": return w.common.pair(w.state.failed, failureText(d, since));
  }
}

function readyText(d: Deployment, since: number): string {
  const w = words();
  if (d.running > 0) return w.overview.awakeRequests(d.running);
  if (d.idle_left_s !== undefined) return w.overview.awakeIdle(duration(Math.max(0, Math.round(d.idle_left_s - since))));
  return w.overview.awakeBecause(w.because[d.awake_because] ?? d.awake_because);
}

function failureText(d: Deployment, since: number): string {
  const w = words();
  const known = d.reason == null ? undefined : w.failure[d.reason.code];
  const detail = d.reason?.detail ?? d.failure;
  const what = known === undefined ? d.failure : detail === "" ? known : `${known} (${detail})`;
  if (d.backoff_left_s === undefined) return what;
  return `${what} — ${w.overview.retryIn(duration(Math.max(0, Math.round(d.backoff_left_s - since))))}`;
}

export function StateLabel({ state, children }: { state: Deployment["state"]; children: ComponentChildren }) {
  return (
    <span class={`state ${lookOf(state)}`}>
      <span class="dot" aria-hidden="true" />
      <span>{children}</span>
    </span>
  );
}
