// What the choice costs a month for the expected traffic: the planner's word, always in sight.
import { useEffect, useId, useState } from "preact/hooks";
import { ApiError, send } from "../api/client";
import type { InstanceType, Plan, PlanRow } from "../api/types";
import { Split } from "../cost/month_panel";
import { moneyText } from "../base/money";
import { percentText } from "../base/number";
import { ChevronIcon } from "../parts/icons";
import { Panel, troubleText } from "../parts/panel";
import { duration, inLanguage, words } from "../words";
import { kAssumedWakeS, type Expected } from "./wish";

const kPauseMs = 200;

interface Asked {
  plan?: Plan;
  error?: ApiError;
}

// Asked a moment after the last change; the figures before stay until the new ones are there.
function usePlan(type: InstanceType | undefined, expected: Expected, idleTimeoutS: number): Asked {
  const [asked, setAsked] = useState<Asked>({});
  const id = type?.hour_micros == null ? "" : type.id;
  useEffect(() => {
    if (id === "") {
      setAsked({});
      return;
    }
    let isOver = false;
    const timer = setTimeout(() => {
      send<{ plan: Plan }>("POST", "/admin/v1/plan", {
        instance_type: id, requests_per_day: expected.requestsPerDay, seconds_per_request: expected.secondsPerRequest,
        active_days: expected.days, active_hours: expected.hours, idle_timeout: idleTimeoutS, wake: kAssumedWakeS,
      })
        .then((found) => { if (!isOver) setAsked({ plan: found.plan }); })
        .catch((cause: unknown) => { if (!isOver) setAsked({ error: ApiError.of(cause) }); });
    }, kPauseMs);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [id, expected, idleTimeoutS]);
  return asked;
}

function Figures({ plan, row }: { plan: Plan; row: PlanRow }) {
  const w = words().deploy;
  const money = (micros: number): string => moneyText(micros, plan.currency);
  const monthly = plan.rows.find((one) => one.kind === "monthly");
  const naive = plan.rows.find((one) => one.kind === "naive");
  return (
    <>
      <p class="big" data-price>{money(row.micros)}</p>
      <Split busy={row.busy_s} waking={row.waking_s ?? 0} idle={row.idle_s ?? 0} />
      <dl class="pairs">
        {naive !== undefined && <><dt>{w.naive}</dt><dd>{money(naive.micros)}</dd></>}
        <dt>{w.coldShare}</dt><dd>{percentText(row.cold_share ?? 0)}</dd>
        <dt>{w.p99}</dt><dd>{duration(row.p99_s ?? 0)}</dd>
      </dl>
      {monthly !== undefined && <p class={monthly.micros < row.micros ? "waking" : "soft"}>{w.orMonthly(money(monthly.micros))}</p>}
      <p class="small soft">{w.approximate}</p>
    </>
  );
}

// "¥1.80/h · ¥366.63/month"; undefined: no price is known.
function lineOf(type: InstanceType | undefined, plan: Plan | undefined, row: PlanRow | undefined): string | undefined {
  const w = words().units2;
  if (type?.hour_micros == null || plan === undefined || row === undefined) return undefined;
  return `${moneyText(type.hour_micros, plan.currency)}${w.perHour} · ${moneyText(row.micros, plan.currency)}${w.perMonth}`;
}

// Where there is no place at the right it is one line at the bottom, which opens.
export function PriceBox({ type, expected, idleTimeoutS }: {
  type: InstanceType | undefined;
  expected: Expected;
  idleTimeoutS: number;
}) {
  const w = words().deploy;
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const { plan, error } = usePlan(type, expected, idleTimeoutS);
  const row = plan?.rows[plan.asked];
  const unknown = type === undefined ? "—" : type.id === "local" ? w.local : type.hour_micros == null ? w.noPrice : words().common.loading;
  return (
    <div class="price" data-open={isOpen}>
      <button type="button" class="price-bar" aria-expanded={isOpen} aria-controls={id} onClick={() => setOpen(!isOpen)}>
        <span class="line">{lineOf(type, plan, row) ?? (error === undefined ? unknown : troubleText(error))}</span>
        <ChevronIcon isUp={!isOpen} />
      </button>
      <div class="price-body" id={id}>
        <Panel title={w.price}>
          <div class="stack tight">
            {type !== undefined && <p class="small soft">{inLanguage(type.title_en, type.title_zh)}</p>}
            {error !== undefined && <p class="trouble">{troubleText(error)}</p>}
            {plan !== undefined && row !== undefined && <Figures plan={plan} row={row} />}
            {plan === undefined && error === undefined && <p class="soft">{unknown}</p>}
          </div>
        </Panel>
      </div>
    </div>
  );
}
