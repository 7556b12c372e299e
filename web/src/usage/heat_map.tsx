// Weekday by hour: the darker, the more requests.
import { grouped } from "../base/money";
import { words } from "../words";

const kCell = 26;
const kLeft = 44;
const kTop = 18;
export const weekdays = [0, 1, 2, 3, 4, 5, 6];  // Monday first, as the server counts

export function HeatMap({ heat }: { heat: number[][] }) {
  const w = words().usage;
  const most = Math.max(1, ...heat.flat());
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  return (
    <svg class="heat" viewBox={`0 0 ${kLeft + 24 * kCell} ${kTop + 7 * kCell}`} aria-hidden="true">
      {hours.filter((hour) => hour % 3 === 0).map((hour) => (
        <text key={hour} x={kLeft + hour * kCell} y={12}>{hour}</text>
      ))}
      {weekdays.map((day, line) => (
        <g key={day}>
          <text x="0" y={kTop + line * kCell + 17}>{w.weekdays[day]}</text>
          {hours.map((hour) => {
            const count = heat[day]?.[hour] ?? 0;
            const at = { x: kLeft + hour * kCell, y: kTop + line * kCell, width: kCell - 2, height: kCell - 2, rx: 3 };
            return (
              <g key={hour}>
                <rect class="ground" {...at} />
                <rect class="cell" {...at} opacity={count === 0 ? 0 : 0.15 + 0.85 * (count / most)}>
                  <title>{`${w.weekdays[day]} ${hour}:00 · ${grouped(count)}`}</title>
                </rect>
              </g>
            );
          })}
        </g>
      ))}
    </svg>
  );
}
