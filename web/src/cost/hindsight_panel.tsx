// What past months cost, and what the best plan would have.
import { get } from "../api/client";
import type { Choice, KeptAdvice } from "../api/types";
import { useLoad } from "../base/load";
import { moneyText } from "../base/money";
import { LoadPanel } from "../parts/panel";
import { Table } from "../parts/table";
import { duration, words } from "../words";

const kMonths = 12;

function planText(best: Choice | null | undefined): string {
  const w = words().cost;
  if (best == null) return "—";
  return best.kind === "monthly" ? w.monthly : w.timer(duration(best.idle_timeout_s ?? 0));
}

export function HindsightPanel({ deployment }: { deployment: string }) {
  const w = words();
  const load = useLoad((signal) => get<{ advice: KeptAdvice[] }>(
    "/admin/v1/advice", { kind: "regret", deployment, limit: kMonths }, signal), [deployment]);
  const money = (row: KeptAdvice, micros: number | null): string =>
    micros === null ? "—" : moneyText(micros, row.currency);
  return (
    <LoadPanel title={w.cost.hindsight} load={load} isEmpty={(found) => found.advice.length === 0}
      empty={w.cost.hindsightEmpty}>
      {(found) => (
        <Table label={w.cost.hindsight} rows={found.advice} columns={[
          { head: w.common.month, cell: (row) => row.body.month ?? "" },
          { head: w.cost.best, cell: (row) => planText(row.body.best) },
          { head: w.cost.total, isNumber: true, cell: (row) => money(row, row.best_micros) },
          { head: w.cost.paid, isNumber: true, cell: (row) => money(row, row.paid_micros) },
          { head: w.cost.regret, isNumber: true, cell: (row) => money(row,
            row.paid_micros === null || row.best_micros === null ? null : row.paid_micros - row.best_micros) },
        ]} />
      )}
    </LoadPanel>
  );
}
