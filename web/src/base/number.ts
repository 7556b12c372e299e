// Numbers and times as a person reads them. Language-free parts; words for durations come from the dictionary.
import { grouped } from "./money";

// Three figures at most: 0.042, 3.28, 45.1, 1,234.
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return grouped(Math.round(value));
  const decimals = size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(decimals);
}

// A share as per cent: "0.2 %", "28 %".
export function percentText(share: number): string {
  const percent = share * 100;
  const decimals = percent === 0 || percent >= 10 ? 0 : percent >= 0.1 ? 1 : 2;
  return `${percent.toFixed(decimals)} %`;
}

// "3.1 GB"; decimal units, as disks and prices have them.
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

// "16.0 GiB": memory of cards and machines is sold by powers of two.
export const memoryText = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

// For axes: 1, 2, 5, 10, ... up to at least `value`.
export function niceCeiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((one) => one * power >= value) ?? 10;
  return step * power;
}

const kDay = 86_400_000;

// Every date from `begin` to `end`, both "2026-11-26" and included. Dates, not moments: no time zone is in it.
export function datesBetween(begin: string, end: string): string[] {
  const first = Date.parse(`${begin}T00:00:00Z`);
  const last = Date.parse(`${end}T00:00:00Z`);
  const out: string[] = [];
  for (let at = first; at <= last; at += kDay) out.push(new Date(at).toISOString().slice(0, 10));
  return out;
}
