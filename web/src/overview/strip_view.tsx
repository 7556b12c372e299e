// A deployment's last 24 hours in one picture: when it was awake, why, and for which requests.
import { get, deploymentPath } from "../api/client";
import type { Strip } from "../api/types";
import { useLoad } from "../base/load";
import { troubleText } from "../parts/panel";
import { duration, hourText, timeWithZone, words } from "../words";
import { barsOf, sharesOf, ticksOf } from "./strip_maths";

const kWidth = 720;
const kHeight = 40;
const kBarHeight = 30;  // below it, a lane for the requests
const kAxis = [0, 0.25, 0.5, 0.75, 1];

function Picture({ strip }: { strip: Strip }) {
  const shares = sharesOf(strip);
  const text = words().overview.stripText(
    duration(shares.busy), duration(shares.waking), duration(shares.idle), duration(shares.asleep),
    strip.requests.length,
  );
  return (
    <svg viewBox={`0 0 ${kWidth} ${kHeight}`} preserveAspectRatio="none" role="img" aria-label={text}>
      <rect class="fill-asleep" width={kWidth} height={kBarHeight} />
      {barsOf(strip).map((bar, index) => (
        <rect key={index} class={`fill-${bar.kind}`} x={bar.x * kWidth} width={Math.max(1, bar.width * kWidth)}
          height={kBarHeight} />
      ))}
      {ticksOf(strip, kWidth).map((x) => (
        <rect key={x} class="fill-ink" x={x * kWidth - 0.5} y={kBarHeight + 2} width="1" height={kHeight - kBarHeight - 2} />
      ))}
    </svg>
  );
}

export function StripLegend() {
  const w = words().overview;
  return (
    <div class="legend" aria-hidden="true">
      <span><i class="fill-busy" />{w.legendBusy}</span>
      <span><i class="fill-waking" />{w.legendWaking}</span>
      <span><i class="fill-idle" />{w.legendIdle}</span>
      <span><i class="fill-asleep" />{w.legendAsleep}</span>
      <span><i class="tick" />{w.legendRequest}</span>
    </div>
  );
}

// Asked anew when `moment` changes: a state that passed, a request that came.
export function StripView({ name, moment }: { name: string; moment: string }) {
  const strip = useLoad(
    (signal) => get<Strip>(deploymentPath(name, "strip"), { hours: 24 }, signal), [name, moment],
  );
  if (strip.error !== undefined) return <p class="strip small soft">{troubleText(strip.error)}</p>;
  const shown = strip.value ?? { from: 0, to: 1, pieces: [], requests: [] };
  return (
    <figure class="strip">
      <Picture strip={shown} />
      <figcaption class="axis small soft">
        {kAxis.map((share) => {
          const at = shown.from + share * (shown.to - shown.from);
          return <span key={share} title={timeWithZone(at)}>{strip.value === undefined ? "\u00a0" : hourText(at)}</span>;
        })}
      </figcaption>
    </figure>
  );
}
