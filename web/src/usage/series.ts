// Rows of a report as what a chart wants: one place for each day or hour, those without requests too.
import type { UsageRow } from "../api/types";
import { datesBetween } from "../base/number";

export type Range = "1d" | "7d" | "30d" | "90d";

export interface Slot {
  key: string; // "2026-11-26", or "2026-11-26T16"
  row: UsageRow | undefined;
}

const kHour = 3_600_000;

export const isHourly = (range: Range): boolean => range === "1d";

const keyOf = (time: string, range: Range): string => time.slice(0, isHourly(range) ? 13 : 10);

// `time` is the server's local time with its offset: its text is what a person there calls it.
export function slotsOf(rows: UsageRow[], begin: string | null, end: string, range: Range): Slot[] {
  const known = new Map(rows.flatMap((row) => (row.time === null ? [] : [[keyOf(row.time, range), row] as const])));
  const first = begin ?? rows[0]?.time ?? end;
  return keysBetween(first, end, range).map((key) => ({ key, row: known.get(key) }));
}

function keysBetween(begin: string, end: string, range: Range): string[] {
  if (!isHourly(range)) return datesBetween(begin.slice(0, 10), end.slice(0, 10));
  const first = Date.parse(`${begin.slice(0, 13)}:00:00Z`);
  const last = Date.parse(`${end.slice(0, 13)}:00:00Z`);
  const out: string[] = [];
  for (let at = first; at <= last; at += kHour) out.push(new Date(at).toISOString().slice(0, 13));
  return out;
}

// "11-26", or "16:00"
export const slotText = (key: string): string => (key.length > 10 ? `${key.slice(11)}:00` : key.slice(5));

// requests[weekday][hour], weekday 0 is Monday.
export function heatOf(rows: UsageRow[]): number[][] {
  const out = Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => 0));
  for (const row of rows) {
    const day = out[row.weekday];
    if (day !== undefined && row.hour >= 0 && row.hour < 24) day[row.hour] = (day[row.hour] ?? 0) + row.requests;
  }
  return out;
}
