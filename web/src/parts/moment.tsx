// A moment in local time; its zone is there for whoever hovers, and for a screen reader.
import { timeText, timeWithZone } from "../words";

export function Moment({ ms }: { ms: number }) {
  return <time dateTime={new Date(ms).toISOString()} title={timeWithZone(ms)}>{timeText(ms)}</time>;
}
