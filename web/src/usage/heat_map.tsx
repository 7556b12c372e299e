// Weekday by hour: the darker, the more requests.
import { grouped } from "../base/money";
import { words } from "../words";

export const weekdays = [0, 1, 2, 3, 4, 5, 6];  // Monday first, as the server counts
const kHours = Array.from({ length: 24 }, (_, hour) => hour);
const kLeast = 0.15; // one request is seen

export function HeatMap({ heat }: { heat: number[][] }) {
  const w = words().usage;
  const most = Math.max(1, ...heat.flat());
  return (
    <div class="heat" aria-hidden="true">
      <span />
      {kHours.filter((hour) => hour % 3 === 0).map((hour) => <span key={hour} class="hour">{hour}</span>)}
      {weekdays.flatMap((day) => [
        <span key={day} class="day">{w.weekdays[day]}</span>,
        ...kHours.map((hour) => {
          const count = heat[day]?.[hour] ?? 0;
          const opacity = count === 0 ? 0 : kLeast + (1 - kLeast) * (count / most);
          return (
            <span key={`${day} ${hour}`} class="cell" title={`${w.weekdays[day]} ${hour}:00 · ${grouped(count)}`}>
              <i style={{ opacity }} />
            </span>
          );
        }),
      ])}
    </div>
  );
}
