// How the range divides: by hour of the week, by error, by key.
import { useMemo } from "preact/hooks";
import type { ErrorRow, Errors, Usage, UsageRow } from "../api/types";
import type { Load } from "../base/load";
import { grouped, sumsText } from "../base/money";
import { percentText } from "../base/number";
import { CsvLink } from "../parts/csv_link";
import { Moment } from "../parts/moment";
import { LoadPanel } from "../parts/panel";
import { Table, TableBehind } from "../parts/table";
import { words } from "../words";
import { HeatMap, weekdays } from "./heat_map";
import { heatOf } from "./series";

function Heat({ usage }: { usage: Usage }) {
  const w = words().usage;
  const heat = useMemo(() => heatOf(usage.rows), [usage]);
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  return (
    <div class="stack tight">
      <HeatMap heat={heat} />
      <TableBehind label={w.heat} rows={weekdays} columns={[
        { head: "", cell: (day) => w.weekdays[day] },
        ...hours.map((hour) => ({
          head: String(hour), isNumber: true, cell: (day: number) => grouped(heat[day]?.[hour] ?? 0),
        })),
      ]} />
    </div>
  );
}

export function HeatPanel({ load, csv }: { load: Load<Usage>; csv: string }) {
  const w = words().usage;
  return (
    <LoadPanel title={w.heat} hint={w.heatHint} load={load} isEmpty={(usage) => usage.total.requests === 0}
      empty={w.empty} isTall actions={<CsvLink href={csv} />}>
      {(usage) => <Heat usage={usage} />}
    </LoadPanel>
  );
}

type Wrong = ErrorRow & { isRefusal: boolean };

function wrongsOf(errors: Errors): Wrong[] {
  return [
    ...errors.errors.map((row) => ({ ...row, isRefusal: false })),
    ...errors.refusals.map((row) => ({ ...row, isRefusal: true })),
  ].sort((a, b) => b.requests - a.requests);
}

export function ErrorsPanel({ load, total, csv }: { load: Load<Errors>; total: number; csv: string }) {
  const w = words().usage;
  return (
    <LoadPanel title={w.errors} load={load} isEmpty={(errors) => wrongsOf(errors).length === 0} empty={w.noErrors}
      actions={<CsvLink href={csv} />}>
      {(errors) => {
        const wrongs = wrongsOf(errors);
        // Refused ones are not among the requests: the share is of all who came.
        const all = total + errors.refusals.reduce((sum, row) => sum + row.requests, 0);
        return (
          <Table label={w.errors} rows={wrongs} columns={[
            { head: w.errorKind, cell: (row) => <code>{row.kind}</code> },
            { head: w.what, cell: (row) => (row.isRefusal ? w.refusal : w.error) },
            { head: words().common.deployment, cell: (row) => row.deployment },
            { head: w.requests, isNumber: true, cell: (row) => grouped(row.requests) },
            { head: w.share, isNumber: true, cell: (row) => (all === 0 ? "—" : percentText(row.requests / all)) },
            { head: w.last, isNumber: true, cell: (row) => <Moment ms={row.last_us / 1000} /> },
          ]} />
        );
      }}
    </LoadPanel>
  );
}

const costOf = (row: UsageRow): string => {
  const sums = row.money.map((one) => ({ currency: one.currency, micros: one.billed_micros }));
  return sums.length === 0 ? "—" : sumsText(sums);
};

export function KeysPanel({ load, nameOf, csv }: {
  load: Load<Usage>;
  nameOf: (kid: string) => string;
  csv: string;
}) {
  const w = words().usage;
  return (
    <LoadPanel title={w.keys} load={load} isEmpty={(usage) => usage.rows.length === 0} empty={w.empty}
      actions={<CsvLink href={csv} />}>
      {(usage) => (
        <Table label={w.keys} rows={usage.rows} columns={[
          { head: w.key, cell: (row) => (row.key_id === "" ? w.noKey : nameOf(row.key_id)) },
          { head: w.requests, isNumber: true, cell: (row) => grouped(row.requests) },
          { head: w.input, isNumber: true, cell: (row) => grouped(row.input_tokens) },
          { head: w.cached, isNumber: true, cell: (row) => grouped(row.cached_tokens) },
          { head: w.output, isNumber: true, cell: (row) => grouped(row.output_tokens) },
          { head: w.billed, isNumber: true, cell: costOf },
        ]} foot={[
          words().common.total, grouped(usage.total.requests), grouped(usage.total.input_tokens),
          grouped(usage.total.cached_tokens), grouped(usage.total.output_tokens), costOf(usage.total),
        ]} />
      )}
    </LoadPanel>
  );
}
