// One turn of a conversation; below an answer what it took and cost, by the ledger.
import { moneyText } from "../base/money";
import { figure } from "../base/number";
import type { Request } from "../api/types";
import { duration, words } from "../words";
import type { Turn } from "./talk";

function Receipt({ row }: { row: Request }) {
  const w = words().playground;
  const seconds = row.busy_ns / 1e9;
  const parts = [
    w.tokens(row.output_tokens),
    ...(seconds > 0 ? [w.speed(figure(row.output_tokens / seconds))] : []),
    ...(row.ttft_us > 0 ? [w.ttft(duration(row.ttft_us / 1e6))] : []),
    row.wake_wait_us > 0 ? w.woke(duration(row.wake_wait_us / 1e6)) : w.warm,
    row.cost_micros === null ? w.noCost : w.cost(moneyText(row.cost_micros, row.currency)),
  ];
  return <p class="receipt" data-receipt>{parts.map((part) => <span key={part}>{part}</span>)}</p>;
}

function stateText(turn: Turn): string {
  const w = words().playground;
  switch (turn.state) {
    case "waking": return w.wakingNow;
    case "thinking": return w.thinkingNow;
    case "stopped": return w.stopped;
    case "cut": return w.cut;
    case "failed": return w.failed(turn.failure);
    case "done": case "writing": return "";
  }
}

export function TurnView({ turn }: { turn: Turn }) {
  const w = words().playground;
  const state = stateText(turn);
  return (
    <div class="turn" data-role={turn.role}>
      <p class="who">{turn.role === "user" ? w.you : w.model}</p>
      {turn.thoughts !== "" && (
        <details>
          <summary>{w.thoughts}</summary>
          <p class="thoughts">{turn.thoughts}</p>
        </details>
      )}
      {turn.text !== "" && <p class="text">{turn.text}</p>}
      {state !== "" && <p class={turn.state === "failed" ? "small trouble" : "small soft"} role="status">{state}</p>}
      {turn.receipt !== undefined && <Receipt row={turn.receipt} />}
    </div>
  );
}
