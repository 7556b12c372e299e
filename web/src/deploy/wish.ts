// What is about to be deployed, and what that takes. Pure.
import type { Image, InstanceType } from "../api/types";
import { costsOf, evenTraffic, type Costs } from "../cost/closed_form";

export interface Wish {
  image: string;
  runtime: string;
  instanceType: string;
  name: string;
  idleTimeoutS: number;
  min: number;
  max: number;
  isPublic: boolean;
  isLimited: boolean;
}

export interface Expected {
  requestsPerDay: number;
  secondsPerRequest: number;
  days: number;
  hours: number;
}

export const firstWish: Wish = {
  image: "", runtime: "builtin", instanceType: "local", name: "", idleTimeoutS: 600, min: 0, max: 1, isPublic: false,
  isLimited: false,
};

export const firstExpected: Expected = { requestsPerDay: 200, secondsPerRequest: 2, days: 25, hours: 8 };

// Where nothing was measured, as `dormouse plan` assumes.
export const kAssumedWakeS = 30;
// What the price list's tokens a second are of: Qwen3-4B in Q4_K_M. Decoding is bound by memory: bytes scale it.
const kListedBytes = 2.5e9;
// Below it an answer is bound by other things than memory, and the scale says nothing.
const kLeastBytes = 3e8;
const kPerMinute = 60;

export const reference = (image: Image): string => `${image.name}:${image.tag}`;

export function memoryOf(type: InstanceType): number | null {
  return type.vram_bytes ?? type.memory_bytes;
}

export type Fit = "fits" | "too_small" | "unknown";

export function fitOf(image: Image | undefined, type: InstanceType): Fit {
  const memory = memoryOf(type);
  if (image === undefined || memory === null || image.memory_bytes <= 0) return "unknown";
  return image.memory_bytes <= memory ? "fits" : "too_small";
}

// Tokens a second of one answer; undefined: nobody knows.
export function speedOf(image: Image | undefined, type: InstanceType): number | undefined {
  if (image === undefined || type.tokens_per_second == null || image.bytes < kLeastBytes) return undefined;
  return (type.tokens_per_second * kListedBytes) / image.bytes;
}

export function expectedCosts(type: InstanceType, expected: Expected, idleTimeoutS: number): Costs | undefined {
  if (type.hour_micros === null) return undefined;
  const traffic = evenTraffic(expected.days, expected.hours, expected.secondsPerRequest);
  return costsOf(expected.requestsPerDay * expected.days, traffic, { idleTimeoutS, wakeS: kAssumedWakeS },
    { hourMicros: type.hour_micros, monthMicros: type.month_micros });
}

export const isName = (text: string): boolean => /^[A-Za-z0-9._-]{1,63}$/.test(text);

// What POST /admin/v1/deployments is told.
export function bodyOf(wish: Wish): Record<string, unknown> {
  const body: Record<string, unknown> = {
    image: wish.image, instance_type: wish.instanceType, runtime: wish.runtime,
    idle_timeout: `${wish.idleTimeoutS}s`, min: wish.min, max: wish.max,
    exposure: wish.isPublic ? "public" : "private",
  };
  if (wish.name !== "") body["name"] = wish.name;
  if (wish.isLimited) body["requests_per_minute"] = kPerMinute;
  return body;
}
