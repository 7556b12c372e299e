// What this month costs, why, and what would be cheaper. All of it from the ledger; nothing here wakes anything.
import { useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import { status } from "../api/events";
import type { Bill, InstanceType, MeasuredPlan, Usage } from "../api/types";
import { useLoad, type Load } from "../base/load";
import { moneyText } from "../base/money";
import { href } from "../base/route";
import { Panel, Trouble, Waiting } from "../parts/panel";
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

function PlanParts({ load, usage, on }: { load: Load<MeasuredPlan>; usage: Load<Usage>; on: string }) {
  const w = words().cost;
  const heat = useMemo(() => heatOf(usage.value?.rows ?? []), [usage.value]);
  if (load.error?.status === 400 && usage.value?.total.requests === 0) {
    return <Panel title={w.curves}><p class="waiting tall">{w.noRequests}</p></Panel>;
  }
  const error = load.error ?? usage.error;
  if (error !== undefined) {
    const again = (): void => {
      load.again();
      usage.again();
    };
    return <Panel title={w.curves}><Trouble error={error} again={again} isTall /></Panel>;
  }
  if (load.value === undefined || usage.value === undefined) {
    return <Panel title={w.curves}><Waiting isTall /></Panel>;
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
      <option value="">{w.common.pair(w.cost.type, w.cost.now)}</option>
      {priced.map((type) => <option key={type.id} value={type.id}>{inLanguage(type.title_en, type.title_zh)}</option>)}
    </select>
  );
}

export function CostScreen({ chosen }: { chosen: string }) {
  const w = words();
  const [picked, setPicked] = useState(chosen);
  const [on, setOn] = useState("");
  const found = status.value?.deployments;
  const names = found?.map((one) => one.name) ?? [];
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
      {found === undefined && <Panel title={w.cost.curves}><Waiting isTall /></Panel>}
      {found?.length === 0 && (
        <Panel title={w.cost.curves}>
          <p class="waiting">{w.cost.noDeployment} <a href={href("deploy")}>{w.nav.deploy}</a></p>
        </Panel>
      )}
      {deployment !== "" && (
        <>
          <div class="row">
            <select aria-label={w.common.deployment} value={deployment}
              onChange={(event) => setPicked(event.currentTarget.value)}>
              {names.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
            <TypeSelect value={on} set={setOn} />
          </div>
          <PlanParts load={plan as Load<MeasuredPlan>} usage={usage} on={on} />
          <HindsightPanel deployment={deployment} />
        </>
      )}
    </>
  );
}
