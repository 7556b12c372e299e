// This month's bill: what was computed, what waking took, what was waiting; by deployment.
import type { Bill, BillTotal } from "../api/types";
import type { Load } from "../base/load";
import { grouped, moneyText } from "../base/money";
import { CsvLink } from "../parts/csv_link";
import { LoadPanel } from "../parts/panel";
import { Table } from "../parts/table";
import { pathWith } from "../api/client";
import { duration, words } from "../words";

const kParts = ["busy", "waking", "idle"] as const;

export function Split({ busy, waking, idle }: { busy: number; waking: number; idle: number }) {
  const parts = { busy: Math.max(0, busy), waking: Math.max(0, waking), idle: Math.max(0, idle) };
  const sum = Math.max(1e-9, parts.busy + parts.waking + parts.idle);
  return (
    <div class="split" aria-hidden="true">
      {kParts.map((part) => <div key={part} class={`fill-${part}`} style={{ width: `${(parts[part] / sum) * 100}%` }} />)}
    </div>
  );
}

export function SplitLegend() {
  const w = words().cost;
  return (
    <div class="legend" aria-hidden="true">
      {kParts.map((part) => <span key={part}><i class={`fill-${part}`} />{w[part]}</span>)}
    </div>
  );
}

const money = (line: BillTotal, micros: number): string => moneyText(micros, line.currency);
const awake = (line: BillTotal): string => duration((line.busy_us + line.waking_us + line.idle_us) / 1e6);

function Total({ total, forecast }: { total: BillTotal; forecast: string | undefined }) {
  return (
    <div class="stack tight">
      <div class="spread">
        <p class="big" data-total>{money(total, total.total_micros)}</p>
        {forecast !== undefined && <p class="soft">{forecast}</p>}
      </div>
      <Split busy={total.busy_micros} waking={total.waking_micros} idle={total.idle_micros} />
    </div>
  );
}

export function MonthPanel({ load, forecast }: { load: Load<Bill>; forecast: string | undefined }) {
  const w = words();
  const csv = (month: string): string => pathWith("/admin/v1/bill", { month, format: "csv" });
  return (
    <LoadPanel title={w.cost.month} hint={load.value?.month} load={load} rows={5}
      isEmpty={(bill) => bill.lines.length === 0 && bill.unpriced.length === 0} empty={w.cost.empty}
      actions={load.value && <CsvLink href={csv(load.value.month)} />}>
      {(bill) => (
        <div class="stack">
          {bill.totals.map((total) => (
            <Total key={total.currency} total={total} forecast={bill.totals.length === 1 ? forecast : undefined} />
          ))}
          {bill.lines.length > 0 && <SplitLegend />}
          {bill.lines.length > 0 && (
            <Table label={w.cost.month} rows={bill.lines} columns={[
              { head: w.common.deployment, cell: (line) => line.deployment },
              { head: w.cost.requests, isNumber: true, cell: (line) => grouped(line.requests) },
              { head: w.cost.hours, isNumber: true, cell: awake },
              { head: w.cost.busy, isNumber: true, cell: (line) => money(line, line.busy_micros) },
              { head: w.cost.waking, isNumber: true, cell: (line) => money(line, line.waking_micros) },
              { head: w.cost.idle, isNumber: true, cell: (line) => money(line, line.idle_micros) },
              { head: w.cost.total, isNumber: true, cell: (line) => <strong>{money(line, line.total_micros)}</strong> },
            ]} />
          )}
          {bill.unpriced.length > 0 && (
            <p class="small soft">
              {w.cost.unpriced}: {bill.unpriced.map((one) => `${one.deployment} ${duration(one.awake_us / 1e6)}`).join(", ")}.{" "}
              {w.cost.unpricedText}
            </p>
          )}
        </div>
      )}
    </LoadPanel>
  );
}
