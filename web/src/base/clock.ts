// A page-wide second hand, for "asleep for 42 min" and "sleeps in 9 min". It runs in this page alone.
import { signal } from "@preact/signals";

export const now = signal(Date.now());

export function followClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, 1000);
}
