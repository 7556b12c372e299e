// The words of the language that is chosen. A component that calls words() is drawn anew when it changes.
import { language } from "../base/preferences";
import { durationText } from "../base/duration";
import { en, type Words } from "./en";
import { zh } from "./zh";

export const words = (): Words => (language.value === "zh" ? zh : en);
export const duration = (seconds: number): string => durationText(seconds, words().units);

const locale = (): string => (language.value === "zh" ? "zh-CN" : "en-GB");

// Local time, with the year where it is not this one; the zone is in `title` for whoever hovers.
export function timeText(ms: number): string {
  const isThisYear = new Date(ms).getFullYear() === new Date().getFullYear();
  return new Intl.DateTimeFormat(locale(), {
    ...(isThisYear ? {} : { year: "numeric" as const }), month: language.value === "zh" ? "2-digit" : "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  }).format(ms);
}

export function hourText(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(ms);
}

export function timeWithZone(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeStyle: "long" }).format(ms);
}

// One of two texts that the server has in both languages.
export function inLanguage(english: string, chinese: string | undefined): string {
  return language.value === "zh" && chinese !== undefined && chinese !== "" ? chinese : english;
}
