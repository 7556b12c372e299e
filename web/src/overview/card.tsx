// One deployment: its state and why, its day in one picture, what it does and costs, and what can be done with it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { send, deploymentPath } from "../api/client";
import { refresh } from "../api/events";
import { mayChange } from "../api/session";
import type { Deployment } from "../api/types";
import { now } from "../base/clock";
import { moneyText } from "../base/money";
import { bytesText, figure } from "../base/number";
import { grouped } from "../base/money";
import { href } from "../base/route";
import { ActButton } from "../parts/button";
import { ConfirmDialog } from "../parts/dialog";
import { MoreIcon } from "../parts/icons";
import { reasonText, StateLabel } from "../parts/state";
import { duration, timeWithZone, words } from "../words";
import { StripDialog } from "./strip_table";
import { StripView } from "./strip_view";

const kNothing = "—";

function ttftText(d: Deployment): string {
  const { ttft_p50_ms: p50, ttft_p95_ms: p95 } = d.today ?? {};
  if (p50 == null || p95 == null) return kNothing;
  return `${duration(p50 / 1000)} / ${duration(p95 / 1000)}`;
}

function Money({ micros, currency, note }: { micros: number; currency: string; note?: string | undefined }) {
  return (
    <dd>
      {moneyText(micros, currency)}
      {note !== undefined && <div class="small soft">{note}</div>}
    </dd>
  );
}

function Facts({ d }: { d: Deployment }) {
  const w = words();
  const { cost } = d;
  const forecast = cost?.forecast_micros == null ? undefined
    : w.overview.forecast(moneyText(cost.forecast_micros, cost.currency));
  return (
    <dl class="facts">
      <div><dt>{w.overview.instances}</dt><dd>{w.overview.instancesOf(d.instances.length, d.min, d.max)}</dd></div>
      <div><dt>{w.overview.requestsToday}</dt><dd>{grouped(d.today?.requests ?? 0)}</dd></div>
      <div>
        <dt>{w.overview.speed}</dt>
        <dd>{d.tokens_per_second == null ? kNothing : `${figure(d.tokens_per_second)} ${w.units2.perSecond}`}</dd>
      </div>
      <div><dt title={w.overview.ttftHint}>{w.overview.ttft} <span class="small">p50 / p95</span></dt><dd>{ttftText(d)}</dd></div>
      <div>
        <dt>{w.overview.costToday}</dt>
        {cost == null ? <dd class="soft">{w.overview.unpriced}</dd>
          : <Money micros={cost.today_micros} currency={cost.currency} />}
      </div>
      <div>
        <dt>{w.overview.month}</dt>
        {cost == null ? <dd class="soft">{kNothing}</dd>
          : <Money micros={cost.month_micros} currency={cost.currency} note={forecast} />}
      </div>
    </dl>
  );
}

// What its sleep is good for: money where the hour is paid, else memory.
function sleepGain(d: Deployment): string | undefined {
  const w = words().overview;
  if (d.state !== "asleep") return undefined;
  if (d.cost?.saved_micros != null && d.cost.saved_micros > 0) {
    return w.saved(moneyText(d.cost.saved_micros, d.cost.currency));
  }
  return undefined;
}

function MoreMenu({ d }: { d: Deployment }) {
  const [isOpen, setOpen] = useState(false);
  const [asking, setAsking] = useState<"remove" | "strip" | undefined>(undefined);
  const box = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const w = words().overview;
  useLayoutEffect(() => {
    if (!isOpen) return;
    const leave = (event: Event): void => {
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      const isOutside = event instanceof PointerEvent && box.current?.contains(event.target as Node) !== true;
      if (isEscape) opener.current?.focus();
      if (isEscape || isOutside) setOpen(false);
    };
    addEventListener("keydown", leave);
    addEventListener("pointerdown", leave);
    return () => {
      removeEventListener("keydown", leave);
      removeEventListener("pointerdown", leave);
    };
  }, [isOpen]);
  const remove = async (): Promise<void> => {
    await send("DELETE", deploymentPath(d.name));
    await refresh();
  };
  return (
    <div class="menu" ref={box}>
      <button type="button" class="icon" ref={opener} aria-label={`${w.more}: ${d.name}`} aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}>
        <MoreIcon />
      </button>
      {isOpen && (
        <div>
          <a class="button" href={href("playground", d.name)}>{w.try}</a>
          <a class="button" href={href("cost", d.name)}>{words().nav.cost}</a>
          <a class="button" href={href("settings", d.name)}>{words().nav.settings}</a>
          <button type="button" onClick={() => { setOpen(false); setAsking("strip"); }}>{w.stripTable}</button>
          <button type="button" class="danger" disabled={!mayChange() || d.source === "file"}
            title={d.source === "file" ? w.fromFile : undefined}
            onClick={() => { setOpen(false); setAsking("remove"); }}>
            {w.remove}
          </button>
        </div>
      )}
      {asking === "strip" && <StripDialog name={d.name} close={() => setAsking(undefined)} />}
      {asking === "remove" && (
        <ConfirmDialog title={w.removeTitle(d.name)} text={w.removeText} verb={w.remove} typed={d.name} isDanger
          act={remove} close={() => setAsking(undefined)} />
      )}
    </div>
  );
}

function Actions({ d }: { d: Deployment }) {
  const w = words().overview;
  const isAsleep = d.state === "asleep" || d.state === "failed" || d.state === "backoff";
  const verb = isAsleep ? "wake" : "sleep";
  const act = async (): Promise<void> => {
    await send("POST", deploymentPath(d.name, verb));
    await refresh();
  };
  return (
    <div class="row">
      {mayChange() && <ActButton key={verb} act={act}>{isAsleep ? w.wake : w.sleep}</ActButton>}
      <a class="button" href={href("logs", d.name)}>{w.logs}</a>
      <MoreMenu d={d} />
    </div>
  );
}

export function DeploymentCard({ d }: { d: Deployment }) {
  const w = words().overview;
  const gain = sleepGain(d);
  const notes = d.instances.flatMap((one) => [
    ...(one.note === "" ? [] : [one.note]),
    ...(one.reachable || one.state !== "ready" ? [] : [w.unreachable]),
  ]);
  const resident = d.instances.reduce((sum, one) => sum + (one.resident_bytes ?? 0), 0);
  return (
    <article class="panel card" aria-label={d.name} data-deployment={d.name} data-state={d.state}>
      <div class="spread">
        <div>
          <h2>{d.name}</h2>
          <p class="small soft">{d.image} · {d.instance_type}{resident > 0 && ` · ${w.resident(bytesText(resident))}`}</p>
        </div>
        <Actions d={d} />
      </div>
      <p title={d.since_ms === undefined ? undefined : timeWithZone(d.since_ms)}>
        <StateLabel state={d.state}>{reasonText(d, now.value)}</StateLabel>
        <span class="soft">
          {gain !== undefined && ` · ${gain}`}
          {d.waiting > 0 && ` · ${w.waiting(d.waiting)}`}
        </span>
      </p>
      <StripView name={d.name} moment={`${d.state} ${d.today?.requests ?? 0}`} />
      <Facts d={d} />
      {notes.map((note) => <p key={note} class="small waking">{note}</p>)}
    </article>
  );
}
