// The server's state, live: one stream of events for the whole console. Nothing in it wakes an instance. A lost
// connection is said and taken up again, after 1, 2, 4 .. 15 s; asleep tabs cost nothing beyond that.
import { signal } from "@preact/signals";
import { get } from "./client";
import type { Status } from "./types";

export type Link = "connecting" | "live" | "lost";

export const status = signal<Status | undefined>(undefined);
// When `status` came, by this page's clock: durations in it count from then.
export const statusAt = signal(0);
export const link = signal<Link>("connecting");
export const lostAt = signal(0);

const kLongestWait = 15_000;
let source: EventSource | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;

function take(next: Status): void {
  status.value = next;
  statusAt.value = Date.now();
}

function retry(): void {
  source?.close();
  source = undefined;
  if (link.value !== "lost") lostAt.value = Date.now();
  link.value = "lost";
  const wait = Math.min(kLongestWait, 1000 * 2 ** failures);
  failures += 1;
  timer = setTimeout(connect, wait);
}

export function connect(): void {
  disconnect();
  const stream = new EventSource("/admin/v1/events");
  source = stream;
  stream.addEventListener("status", (event) => {
    failures = 0;
    link.value = "live";
    take(JSON.parse((event as MessageEvent<string>).data) as Status);
  });
  // An EventSource does not say why: whether the session ended is asked the plain way, which also brings the state.
  stream.onerror = () => {
    get<Status>("/admin/v1/status").then(take, () => {}).finally(() => {
      if (source === stream) retry();
    });
  };
}

// For whoever does not want to wait.
export function connectNow(): void {
  failures = 0;
  connect();
}

export function disconnect(): void {
  source?.close();
  source = undefined;
  if (timer !== undefined) clearTimeout(timer);
}

// After an act of our own, where waiting for the next event would look like nothing happened.
export async function refresh(): Promise<void> {
  take(await get<Status>("/admin/v1/status"));
}
