// The timeout slider: bill, cold share and p99 of the last 30 days' requests under another idle timeout. Each stop is
// replayed by the server once, one after the other, so that dragging only looks up.
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, send, deploymentPath } from "../api/client";
import { refresh } from "../api/events";
import { mayChange } from "../api/session";
import type { MeasuredPlan, PlanRow } from "../api/types";
import { ruleDuration } from "../base/duration";
import { csvHref } from "../base/csv";
import { grouped, moneyText } from "../base/money";
import { figure, percentText } from "../base/number";
import { ConfirmDialog } from "../parts/dialog";
import { CsvLink } from "../parts/csv_link";
import { Panel, troubleText } from "../parts/panel";
import { TableBehind } from "../parts/table";
import { duration, words } from "../words";
import { Split, SplitLegend } from "./month_panel";

// A deployment's own least timeout is a second; 0 would be another question.
export const kStops = [1, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

const askedRow = (plan: MeasuredPlan): PlanRow | undefined => plan.plan.rows[plan.plan.asked];

interface Sweep {
  rows: Map<number, PlanRow>;
  error: ApiError | undefined;
}

// Rows by stop, as they come.
function useSweep(deployment: string, on: string): Sweep {
  const [rows, setRows] = useState<Map<number, PlanRow>>(new Map());
  const [error, setError] = useState<ApiError | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    setRows(new Map());
    setError(undefined);
    const sweep = async (): Promise<void> => {
      for (const stop of kStops) {
        const query = { deployment, on, idle_timeout: `${stop}s` };
        const plan = await get<MeasuredPlan>("/admin/v1/plan", query, abort.signal);
        const row = askedRow(plan);
        if (row !== undefined) setRows((known) => new Map(known).set(stop, row));
      }
    };
    sweep().catch((cause: unknown) => {
      if (!abort.signal.aborted) setError(ApiError.of(cause));
    });
    return () => abort.abort();
  }, [deployment, on]);
  return { rows, error };
}

function csvOf(rows: Map<number, PlanRow>, currency: string): string {
  return csvHref(["idle_timeout_s", "bill", "currency", "cold_share", "p99_s"],
    [...rows].map(([stop, row]) => [stop, row.micros / 1e6, currency, row.cold_share ?? null, row.p99_s ?? null]));
}

function Effect({ row, currency }: { row: PlanRow | undefined; currency: string }) {
  const w = words();
  const split = row === undefined ? { busy: 0, waking: 0, idle: 0 }
    : { busy: row.busy_s, waking: row.waking_s ?? 0, idle: row.idle_s ?? 0 };
  return (
    <>
      <dl class="facts">
        <div><dt>{w.cost.bill}</dt><dd class="big">{row === undefined ? "…" : moneyText(row.micros, currency)}</dd></div>
        <div><dt>{w.cost.cold}</dt><dd class="big">{row === undefined ? "…" : percentText(row.cold_share ?? 0)}</dd></div>
        <div><dt>{w.cost.p99}</dt><dd class="big">{row === undefined ? "…" : duration(row.p99_s ?? 0)}</dd></div>
      </dl>
      <Split {...split} />
      <SplitLegend />
    </>
  );
}

export function TimeoutPanel({ plan, on, again }: { plan: MeasuredPlan; on: string; again: () => void }) {
  const w = words();
  const { rows, error } = useSweep(plan.deployment, on);
  const now = plan.plan.idle_timeout_s;
  const nearest = kStops.reduce((best, stop, at) =>
    (Math.abs(stop - now) < Math.abs((kStops[best] ?? 0) - now) ? at : best), 0);
  const [at, setAt] = useState(nearest);
  const [isAsking, setAsking] = useState(false);
  const stop = kStops[at] ?? now;
  const row = stop === now ? askedRow(plan) : rows.get(stop);
  const { currency } = plan.plan;
  const apply = async (): Promise<void> => {
    await send("PATCH", deploymentPath(plan.deployment), { idle_timeout: ruleDuration(stop) });
    await refresh();
    again();
  };
  return (
    <Panel title={w.cost.timeout} hint={w.cost.timeoutHint}
      actions={<CsvLink href={csvOf(rows, currency)} file={`${plan.deployment}-idle-timeout.csv`} />}>
      <div class="stack">
        <div>
          <div class="spread">
            <strong class="big">{duration(stop)}</strong>
            <span class="soft">{w.common.pair(w.cost.now, duration(now))}</span>
          </div>
          <input type="range" min={0} max={kStops.length - 1} step={1} value={at} aria-label={w.cost.timeout}
            aria-valuetext={duration(stop)} onInput={(event) => setAt(Number(event.currentTarget.value))} />
        </div>
        <Effect row={row} currency={currency} />
        {error !== undefined && <p class="small trouble" role="alert">{troubleText(error)}</p>}
        <div class="spread">
          <p class="small soft">{w.cost.measured(grouped(plan.requests), figure(plan.days))}</p>
          {mayChange() && stop !== now && (
            <button type="button" onClick={() => setAsking(true)}>{w.cost.apply}</button>
          )}
        </div>
        <TableBehind label={w.cost.timeout} rows={kStops.filter((one) => rows.has(one))} columns={[
          { head: w.cost.timeout, cell: (one) => duration(one) },
          { head: w.cost.bill, isNumber: true, cell: (one) => moneyText(rows.get(one)?.micros ?? 0, currency) },
          { head: w.cost.cold, isNumber: true, cell: (one) => percentText(rows.get(one)?.cold_share ?? 0) },
          { head: w.cost.p99, isNumber: true, cell: (one) => duration(rows.get(one)?.p99_s ?? 0) },
        ]} />
      </div>
      {isAsking && (
        <ConfirmDialog title={w.cost.applyTitle} text="" verb={w.cost.apply.replace("…", "")} act={apply}
          close={() => setAsking(false)}>
          <p>{w.common.pair(w.cost.timeout, duration(now))} → <strong>{duration(stop)}</strong></p>
        </ConfirmDialog>
      )}
    </Panel>
  );
}
