// A month's cost over requests a day, with the break-even and where this deployment is.
import { useMemo } from "preact/hooks";
import type { MeasuredPlan } from "../api/types";
import { csvHref } from "../base/csv";
import { grouped, moneyText } from "../base/money";
import { niceCeiling } from "../base/number";
import { Chart } from "../parts/chart";
import { CsvLink } from "../parts/csv_link";
import { Panel } from "../parts/panel";
import { TableBehind } from "../parts/table";
import { words } from "../words";
import { breakEven, costsOf, kHoursOfMonth, trafficOf, volumes, type Costs, type Traffic } from "./closed_form";

const kDaysOfMonth = kHoursOfMonth / 24;
const kStepsADecade = 12;
// The axis: from so many times less than there is to so many times more.
const kBelow = 500;
const kAbove = 30;

interface Point {
  requestsADay: number;
  costs: Costs;
}

// What was measured, as the closed form takes it.
export function measuredTraffic(plan: MeasuredPlan, heat: number[][]): Traffic {
  const busy = plan.plan.rows[0]?.busy_s ?? 0;
  const requestsOfMonth = (plan.requests / Math.max(1e-9, plan.days)) * kDaysOfMonth;
  return trafficOf(heat, requestsOfMonth === 0 ? 1 : busy / requestsOfMonth);
}

function pointsOf(plan: MeasuredPlan, traffic: Traffic, here: number): Point[] {
  const { tariff, idle_timeout_s: idleTimeoutS, wake_s: wakeS } = plan.plan;
  const prices = { hourMicros: tariff.hour_micros, monthMicros: tariff.month_micros };
  const least = Math.max(1, niceCeiling(here / kBelow));
  return volumes(least, niceCeiling(here * kAbove), kStepsADecade).map((requestsADay) => ({
    requestsADay, costs: costsOf(requestsADay * kDaysOfMonth, traffic, { idleTimeoutS, wakeS }, prices),
  }));
}

function csvOf(points: Point[], currency: string): string {
  const amount = (micros: number | null): number | null => (micros === null ? null : micros / 1e6);
  return csvHref(["requests_per_day", "naive", "hourly", "monthly", "mixed", "currency"], points.map(({ requestsADay, costs }) =>
    [requestsADay, amount(costs.naive), amount(costs.hourly), amount(costs.monthly), amount(costs.mixed), currency]));
}

function crossingOf(plan: MeasuredPlan, traffic: Traffic, points: Point[]): number | undefined {
  const { tariff, idle_timeout_s: idleTimeoutS, wake_s: wakeS } = plan.plan;
  const prices = { hourMicros: tariff.hour_micros, monthMicros: tariff.month_micros };
  const places = points.map((point) => point.requestsADay * kDaysOfMonth);
  const found = breakEven(traffic, { idleTimeoutS, wakeS }, prices, places);
  return found === undefined ? undefined : found / kDaysOfMonth;
}

export function CurvesPanel({ plan, heat }: { plan: MeasuredPlan; heat: number[][] }) {
  const w = words().cost;
  const here = Math.max(1, plan.requests / Math.max(1e-9, plan.days));
  const { currency, rows, asked, tariff } = plan.plan;
  const traffic = useMemo(() => measuredTraffic(plan, heat), [plan, heat]);
  const points = useMemo(() => pointsOf(plan, traffic, here), [plan, traffic, here]);
  const x = useMemo(() => points.map((point) => point.requestsADay), [points]);
  const crossing = useMemo(() => crossingOf(plan, traffic, points), [plan, traffic, points]);
  const lines = useMemo(() => {
    const of = (pick: keyof Costs): (number | null)[] => points.map((point) => point.costs[pick]);
    const nearest = points.reduce((best, _point, at) => {
      const far = (one: number): number => Math.abs(Math.log((points[one]?.requestsADay ?? 1) / here));
      return far(at) < far(best) ? at : best;
    }, 0);
    const spot = points.map((_, at) => (at === nearest ? (rows[asked]?.micros ?? null) : null));
    const monthly = tariff.month_micros === null ? [] : [
      { label: w.monthly, color: "--accent", values: of("monthly") },
      { label: w.mixed, color: "--fill-waking", shape: "dashes" as const, values: of("mixed") },
    ];
    return [
      { label: w.naive, color: "--line-strong", shape: "dashes" as const, values: of("naive") },
      { label: w.hourly, color: "--fill-busy", values: of("hourly") },
      ...monthly,
      { label: w.here, color: "--ink", shape: "dots" as const, values: spot },
    ];
  }, [points, rows, asked, here, tariff, w]);
  const money = (micros: number | null): string => (micros === null ? "—" : moneyText(micros, currency));
  const crossingText = tariff.month_micros === null ? w.noMonthly
    : crossing === undefined ? w.noBreakEven : w.breakEven(grouped(Math.round(crossing)));
  return (
    <Panel title={w.curves} hint={w.curvesHint}
      actions={<CsvLink href={csvOf(points, currency)} file={`${plan.deployment}-curves.csv`} />}>
      <div class="stack tight">
        <p data-break-even>{crossingText} · {w.hereAt(grouped(Math.round(here)), money(rows[asked]?.micros ?? null))}</p>
        <Chart label={w.requestsPerDay} x={x} lines={lines} isLogX height={260}
          xText={(requests) => grouped(Math.round(requests))} yText={(micros) => moneyText(micros, currency).replace(/\.00$/, "")} />
        <p class="small soft">{w.assumed}</p>
        <TableBehind label={w.curves} rows={points} columns={[
          { head: w.requestsPerDay, isNumber: true, cell: (point) => grouped(Math.round(point.requestsADay)) },
          { head: w.naive, isNumber: true, cell: (point) => money(point.costs.naive) },
          { head: w.hourly, isNumber: true, cell: (point) => money(point.costs.hourly) },
          { head: w.monthly, isNumber: true, cell: (point) => money(point.costs.monthly) },
          { head: w.mixed, isNumber: true, cell: (point) => money(point.costs.mixed) },
        ]} />
      </div>
    </Panel>
  );
}
