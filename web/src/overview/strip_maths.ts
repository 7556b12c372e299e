// The 24-hour strip: pieces of one instance's life laid on a line from 0 to 1; what no piece covers is asleep.
import type { Strip } from "../api/types";

export interface Bar {
  x: number;
  width: number;
  kind: "busy" | "waking" | "idle";
}

export interface Shares {
  busy: number; // seconds, as are the next three
  waking: number;
  idle: number;
  asleep: number;
}

const kOrder = { idle: 0, waking: 1, busy: 2 } as const;

// Waiting below, waking and work on top: where two instances overlap, what matters more is seen.
export function barsOf(strip: Strip): Bar[] {
  const span = Math.max(1, strip.to - strip.from);
  return strip.pieces
    .map((piece) => {
      const from = Math.max(strip.from, piece.from);
      const to = Math.min(strip.to, piece.to);
      return { x: (from - strip.from) / span, width: Math.max(0, to - from) / span, kind: piece.kind };
    })
    .filter((bar) => bar.width > 0)
    .sort((a, b) => kOrder[a.kind] - kOrder[b.kind]);
}

export function sharesOf(strip: Strip): Shares {
  const seconds = (kind: Bar["kind"]): number =>
    barsOf(strip).filter((bar) => bar.kind === kind).reduce((sum, bar) => sum + bar.width, 0)
      * (strip.to - strip.from) / 1000;
  const out = { busy: seconds("busy"), waking: seconds("waking"), idle: seconds("idle"), asleep: 0 };
  out.asleep = Math.max(0, (strip.to - strip.from) / 1000 - out.busy - out.waking - out.idle);
  return out;
}

export const requestsIn = (strip: Strip, from: number, to: number): number =>
  strip.requests.filter((at) => at >= from && at < to).length;

// One tick a pixel column is all a screen shows: at most `most` places, each 0 to 1.
export function ticksOf(strip: Strip, most: number): number[] {
  const span = Math.max(1, strip.to - strip.from);
  const places = new Set(
    strip.requests.filter((at) => at >= strip.from && at < strip.to)
      .map((at) => Math.floor(((at - strip.from) / span) * most)),
  );
  return [...places].sort((a, b) => a - b).map((place) => (place + 0.5) / most);
}
