// One key: who it is, what it may have, when it was used, and its end.
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { mayChange } from "../api/session";
import type { Key } from "../api/types";
import { grouped, moneyText } from "../base/money";
import { ConfirmDialog } from "../parts/dialog";
import { Moment } from "../parts/moment";
import { words } from "../words";
import type { Made } from "./create_form";

// "50CNY/month" as micro-units; undefined: no budget, or none that is understood.
export function budgetOf(text: string): { micros: number; currency: string } | undefined {
  const found = /^(\d+(?:\.\d+)?) ?([A-Z]{3})\/(?:day|month)$/.exec(text);
  if (found === null) return undefined;
  return { micros: Math.round(Number(found[1]) * 1e6), currency: found[2] ?? "" };
}

function BudgetMeter({ key_ }: { key_: Key }) {
  const budget = budgetOf(key_.budget);
  if (budget === undefined) return null;
  const spent = key_.spent_micros ?? 0;
  const share = Math.min(1, spent / Math.max(1, budget.micros));
  const look = share >= 1 ? "fill-failed" : share >= 0.8 ? "fill-waking" : "fill-busy";
  return (
    <div>
      <div class="small">{words().keys.spent(moneyText(spent, budget.currency), key_.budget)}</div>
      <div class="meter" aria-hidden="true"><div class={look} style={{ width: `${share * 100}%` }} /></div>
    </div>
  );
}

function Limits({ key_ }: { key_: Key }) {
  const w = words();
  const parts = [
    ...(key_.rpm > 0 ? [w.keys.perMinute(grouped(key_.rpm))] : []),
    ...(key_.tpm > 0 ? [w.keys.tokensPerMinute(grouped(key_.tpm))] : []),
    ...(key_.concurrency > 0 ? [w.keys.atOnce(grouped(key_.concurrency))] : []),
  ];
  return (
    <div>
      {parts.length > 0 && <div class="small">{parts.join(" · ")}</div>}
      <BudgetMeter key_={key_} />
      {parts.length === 0 && budgetOf(key_.budget) === undefined && <span class="soft">{w.common.noLimit}</span>}
    </div>
  );
}

type Asking = "rotate" | "revoke" | undefined;

function Actions({ key_, made, again }: { key_: Key; made: (made: Made) => void; again: () => void }) {
  const [asking, setAsking] = useState<Asking>(undefined);
  const w = words().keys;
  const path = `/admin/v1/keys/${encodeURIComponent(key_.kid)}`;
  const rotate = async (): Promise<void> => {
    const answer = await send<{ key: string }>("POST", `${path}/rotate`, { overlap: "24h" });
    made({ key: answer.key, name: key_.name });
  };
  const revoke = async (): Promise<void> => {
    await send("DELETE", path);
    again();
  };
  return (
    <div class="row end">
      <button type="button" class="plain" onClick={() => setAsking("rotate")}>{w.rotate}</button>
      <button type="button" class="danger" onClick={() => setAsking("revoke")}>{w.revoke}</button>
      {asking === "rotate" && (
        <ConfirmDialog title={w.rotateTitle(key_.name)} text={w.rotateText} verb={w.rotate.replace("…", "")} act={rotate}
          close={() => setAsking(undefined)} />
      )}
      {asking === "revoke" && (
        <ConfirmDialog title={w.revokeTitle(key_.name)} text={w.revokeText} verb={w.revoke.replace("…", "")}
          typed={key_.name} isDanger act={revoke} close={() => setAsking(undefined)} />
      )}
    </div>
  );
}

export function KeyRow({ key_, made, again }: { key_: Key; made: (made: Made) => void; again: () => void }) {
  const w = words().keys;
  const isOver = key_.revoked_us !== null;
  return (
    <tr data-key={key_.name} class={isOver ? "soft" : ""}>
      <td><strong>{key_.name}</strong><div class="small soft mono">{key_.prefix}…{key_.hint}</div></td>
      <td data-head={w.scope}>
        <div>
          {w.scopeShort[key_.scope]}
          {key_.models.length > 0 && <div class="small soft">{key_.models.join(", ")}</div>}
        </div>
      </td>
      <td data-head={w.limits}>{key_.scope === "inference" ? <Limits key_={key_} /> : <span class="soft">—</span>}</td>
      <td data-head={w.lastUsed}>{key_.used_us === 0 ? <span class="soft">{w.never}</span> : <Moment ms={key_.used_us / 1000} />}</td>
      <td data-head={w.expiresAt}>{key_.expires_us === null ? <span class="soft">{w.never}</span> : <Moment ms={key_.expires_us / 1000} />}</td>
      <td data-head={w.state}>{w.states[key_.state] ?? key_.state}</td>
      <td>{!isOver && mayChange() && <Actions key_={key_} made={made} again={again} />}</td>
    </tr>
  );
}
