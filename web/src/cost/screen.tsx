// What this month costs, why, and what would be cheaper. All of it from the ledger; nothing here wakes anything.
import { useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import { status } from "../api/events";
import type { Bill, InstanceType, MeasuredPlan, Usage } from "../api/types";
import { useLoad, type Load } from "../base/load";
import { moneyText } from "../base/money";
import { Panel, Trouble } from "../parts/panel";
import { heatOf } from "../usage/series";
import { inLanguage, words } from "../words";
import { AdvicePanel } from "./advice_panel";
import { CurvesPanel } from "./curves_panel";
import { HindsightPanel } from "./hindsight_panel";
import { MonthPanel } from "./month_panel";
import { TimeoutPanel } from "./timeout_panel";

function forecastOf(plan: MeasuredPlan | undefined): string | undefined {
  if (plan?.interval == null) return undefined;
  const { low_micros: low, high_micros: high } = plan.interval;
  const { currency } = plan.plan;
  return words().cost.forecast(moneyText(low, currency), moneyText(high, currency));
}

function PlanParts({ load, usage, on }: { load: Load<MeasuredPlan>; usage: Usage | undefined; on: string }) {
  const w = words().cost;
  const heat = useMemo(() => heatOf(usage?.rows ?? []), [usage]);
  if (load.error !== undefined) return <Panel title={w.curves}><Trouble error={load.error} again={load.again} /></Panel>;
  if (load.value === undefined || usage === undefined) {
    return <Panel title={w.curves}><div class="waiting tall" role="status">{words().common.loading}</div></Panel>;
  }
  const key = `${load.value.deployment} ${load.value.plan.idle_timeout_s}`;
  return (
    <>
      {load.value.requests > 0 && <CurvesPanel plan={load.value} heat={heat} />}
      <div class="columns">
        {load.value.requests > 0 && <TimeoutPanel key={key} plan={load.value} on={on} again={load.again} />}
        <AdvicePanel plan={load.value} again={load.again} />
      </div>
    </>
  );
}

function TypeSelect({ value, set }: { value: string; set: (id: string) => void }) {
  const w = words();
  const types = useLoad(
    (signal) => get<{ instance_types: InstanceType[] }>("/admin/v1/instance-types", {}, signal), []);
  const priced = types.value?.instance_types.filter((type) => type.hour_micros !== null) ?? [];
  return (
    <select aria-label={w.cost.type} value={value} onChange={(event) => set(event.currentTarget.value)}>
      <option value="">{w.cost.type}: {w.cost.now}</option>
      {priced.map((type) => <option key={type.id} value={type.id}>{inLanguage(type.title_en, type.title_zh)}</option>)}
    </select>
  );
}

export function CostScreen({ chosen }: { chosen: string }) {
  const w = words();
  const [picked, setPicked] = useState(chosen);
  const [on, setOn] = useState("");
  const names = status.value?.deployments.map((one) => one.name) ?? [];
  const deployment = names.includes(picked) ? picked : names[0] ?? "";
  const bill = useLoad((signal) => get<Bill>("/admin/v1/bill", {}, signal), []);
  const plan = useLoad(
    async (signal) => deployment === "" ? undefined
      : get<MeasuredPlan>("/admin/v1/plan", { deployment, on }, signal), [deployment, on]);
  const usage = useLoad((signal) => get<Usage>(
    "/admin/v1/usage", { by: "weekday-hour", since: "30d", deployment }, signal), [deployment]);
  const forecast = names.length === 1 && on === "" ? forecastOf(plan.value) : undefined;
  return (
    <>
      <div class="screen-head"><h1>{w.cost.title}</h1></div>
      <MonthPanel load={bill} forecast={forecast} />
      {deployment !== "" && (
        <>
          <div class="row">
            <select aria-label={w.common.deployment} value={deployment}
              onChange={(event) => setPicked(event.currentTarget.value)}>
              {names.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
            <TypeSelect value={on} set={setOn} />
          </div>
          <PlanParts load={plan as Load<MeasuredPlan>} usage={usage.value} on={on} />
          <HindsightPanel deployment={deployment} />
        </>
      )}
    </>
  );
}
