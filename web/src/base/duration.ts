// Durations as rules have them ("10m", "1h30m") and as the rules' parser reads them.

export function ruleDuration(seconds: number): string {
  if (seconds === 0) return "0s";
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}

export interface DurationWords {
  ms: string;
  s: string;
  min: string;
  h: string;
  day: string;
}

// "320 ms", "2.1 s", "42 min", "3 h 5 min", "2 d"
export function durationText(seconds: number, words: DurationWords): string {
  if (seconds === 0) return `0 ${words.s}`;
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ${words.ms}`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} ${words.s}`;
  if (seconds < 60) return `${Math.round(seconds)} ${words.s}`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} ${words.min}`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.round(hours / 24)} ${words.day}`;
  return minutes % 60 === 0 ? `${hours} ${words.h}` : `${hours} ${words.h} ${minutes % 60} ${words.min}`;
}
