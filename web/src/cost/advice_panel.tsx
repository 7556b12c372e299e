// One sentence, the difference in money, and a button that shows the change before it makes it.
import { useState } from "preact/hooks";
import { send, deploymentPath } from "../api/client";
import { refresh } from "../api/events";
import { mayChange } from "../api/session";
import type { Advice, MeasuredPlan } from "../api/types";
import { moneyText } from "../base/money";
import { figure, percentText } from "../base/number";
import { ConfirmDialog } from "../parts/dialog";
import { Panel } from "../parts/panel";
import { Table } from "../parts/table";
import { duration, words } from "../words";

interface Change {
  key: "idle_timeout" | "max" | "awake";
  before: string;
  after: string;
}

const textOf = (value: unknown): string => {
  const text = Array.isArray(value) ? value.join("; ") : String(value ?? "");
  return text === "" ? "—" : text;
};

function changesOf(plan: MeasuredPlan): Change[] {
  const { change } = plan.advice;
  return (["idle_timeout", "max", "awake"] as const)
    .filter((key) => change[key] !== undefined)
    .map((key) => ({ key, before: textOf(plan.rules[key]), after: textOf(change[key]) }));
}

// What the month's price is below what the best timer costs; undefined: it is not.
function savedByMonth({ now, monthly }: Advice): number | undefined {
  return now !== null && monthly !== null && monthly.micros < now.micros ? now.micros - monthly.micros : undefined;
}

function headline(advice: Advice): string {
  const w = words().cost;
  const money = (micros: number): string => moneyText(micros, advice.currency);
  switch (advice.verdict) {
    case "too_few_days": return w.tooFewDays(figure(advice.days));
    case "change": {
      if (advice.now === null || advice.then === null) return "";
      const saving = advice.saving_micros;
      const say = saving >= 0 ? w.saves : w.costs;
      return say(money(Math.abs(saving)), money(advice.then.micros), money(advice.now.micros));
    }
    case "best": {
      const saving = savedByMonth(advice);
      if (saving === undefined || advice.now === null || advice.monthly === null) return w.change.best;
      return w.monthSaves(money(saving), money(advice.monthly.micros), money(advice.now.micros));
    }
    case "unreachable": case "no_requests": case "unpriced": case "several_instances":
      return w.change[advice.verdict];
  }
}

function details(advice: Advice): string[] {
  const w = words().cost;
  const out: string[] = [];
  const { now, then, monthly } = advice;
  if (advice.verdict === "change" && now !== null && then !== null) {
    out.push(w.effect(`${percentText(now.cold_share)} → ${percentText(then.cold_share)}`,
      `${duration(now.p99_s)} → ${duration(then.p99_s)}`));
  }
  for (const why of advice.why) out.push(w.why[why.reason](percentText(why.number), Math.round(why.number)));
  if (advice.verdict === "best") return savedByMonth(advice) === undefined ? out : [...out, w.timerIsBest];
  if (monthly !== null && then !== null && monthly.micros < then.micros) {
    out.push(w.byMonth(moneyText(monthly.micros, advice.currency)));
  }
  return out;
}

export function AdvicePanel({ plan, again }: { plan: MeasuredPlan; again: () => void }) {
  const [isAsking, setAsking] = useState(false);
  const w = words().cost;
  const changes = changesOf(plan);
  const apply = async (): Promise<void> => {
    await send("PATCH", deploymentPath(plan.deployment), plan.advice.change);
    await refresh();
    again();
  };
  return (
    <Panel title={w.advice}>
      <div class="stack tight">
        <p data-advice={plan.advice.verdict}><strong>{headline(plan.advice)}</strong></p>
        {changes.map((one) => <p key={one.key}>{words().common.pair(w.field[one.key], one.before)} → {one.after}</p>)}
        {details(plan.advice).map((line) => <p key={line} class="soft">{line}</p>)}
        {changes.length > 0 && mayChange() && (
          <div><button type="button" class="primary" onClick={() => setAsking(true)}>{w.apply}</button></div>
        )}
      </div>
      {isAsking && (
        <ConfirmDialog title={w.applyTitle} text={headline(plan.advice)} verb={w.apply.replace("…", "")} act={apply}
          close={() => setAsking(false)}>
          <Table label={w.applyTitle} rows={changes} columns={[
            { head: w.setting, cell: (one) => w.field[one.key] },
            { head: w.before, cell: (one) => one.before },
            { head: w.after, cell: (one) => <strong>{one.after}</strong> },
          ]} />
        </ConfirmDialog>
      )}
    </Panel>
  );
}
