// What changes over the range: requests with their errors, and response times.
import type { Usage } from "../api/types";
import type { Load } from "../base/load";
import { useMemo } from "preact/hooks";
import { grouped } from "../base/money";
import { Chart } from "../parts/chart";
import { CsvLink } from "../parts/csv_link";
import { LoadPanel } from "../parts/panel";
import { TableBehind } from "../parts/table";
import { duration, words } from "../words";
import { isHourly, slotsOf, slotText, type Range, type Slot } from "./series";

interface Parts {
  load: Load<Usage>;
  range: Range;
  csv: string;
}

function useSlots(usage: Usage, range: Range): { slots: Slot[]; x: number[] } {
  return useMemo(() => {
    const slots = slotsOf(usage.rows, usage.begin, usage.end, range);
    return { slots, x: slots.map((_, index) => index) };
  }, [usage, range]);
}

function Requests({ usage, range }: { usage: Usage; range: Range }) {
  const w = words().usage;
  const { slots, x } = useSlots(usage, range);
  // Errors lie on top of the rest: the whole bar is drawn in their colour, and what was answered over it.
  const lines = useMemo(() => [
    { label: w.failedOnes, color: "--fill-failed", shape: "bars" as const, values: slots.map((one) => one.row?.requests ?? 0) },
    { label: w.answered, color: "--fill-busy", shape: "bars" as const,
      values: slots.map((one) => (one.row?.requests ?? 0) - (one.row?.failed ?? 0)) },
  ], [slots, w]);
  return (
    <div class="stack tight">
      <Chart label={w.time} x={x} lines={lines} xText={(at) => slotText(slots[Math.round(at)]?.key ?? "")}
        yText={(count) => grouped(Math.round(count))} />
      <TableBehind label={isHourly(range) ? w.perHour : w.perDay} rows={slots} columns={[
        { head: w.time, cell: (one) => one.key.replace("T", " ") },
        { head: w.requests, isNumber: true, cell: (one) => grouped(one.row?.requests ?? 0) },
        { head: w.failedOnes, isNumber: true, cell: (one) => grouped(one.row?.failed ?? 0) },
        { head: w.cold, isNumber: true, cell: (one) => grouped(one.row?.cold_requests ?? 0) },
      ]} foot={[words().common.total, grouped(usage.total.requests), grouped(usage.total.failed),
        grouped(usage.total.cold_requests)]} />
    </div>
  );
}

export function RequestsPanel({ load, range, csv }: Parts) {
  const w = words().usage;
  return (
    <LoadPanel title={isHourly(range) ? w.perHour : w.perDay} hint={load.value && w.zone(load.value.time_zone)} load={load}
      isEmpty={(usage) => usage.total.requests === 0} empty={w.empty} isTall actions={<CsvLink href={csv} />}>
      {(usage) => <Requests usage={usage} range={range} />}
    </LoadPanel>
  );
}

function Response({ usage, range }: { usage: Usage; range: Range }) {
  const w = words().usage;
  const { slots, x } = useSlots(usage, range);
  const lines = useMemo(() => {
    const of = (pick: "mean_us" | "p50_us" | "p95_us"): (number | null)[] =>
      slots.map((one) => (one.row?.duration == null ? null : one.row.duration[pick] / 1e6));
    return [
      { label: w.p95, color: "--fill-waking", values: of("p95_us") },
      { label: w.mean, color: "--fill-busy", values: of("mean_us") },
      { label: w.p50, color: "--accent", values: of("p50_us") },
    ];
  }, [slots, w]);
  const text = (us: number | undefined): string => (us === undefined ? "—" : duration(us / 1e6));
  const total = usage.total.duration;
  return (
    <div class="stack tight">
      <Chart label={w.time} x={x} lines={lines} xText={(at) => slotText(slots[Math.round(at)]?.key ?? "")}
        yText={(seconds) => duration(seconds)} />
      <TableBehind label={w.response} rows={slots} columns={[
        { head: w.time, cell: (one) => one.key.replace("T", " ") },
        { head: w.mean, isNumber: true, cell: (one) => text(one.row?.duration?.mean_us) },
        { head: w.p50, isNumber: true, cell: (one) => text(one.row?.duration?.p50_us) },
        { head: w.p95, isNumber: true, cell: (one) => text(one.row?.duration?.p95_us) },
      ]} foot={[words().common.total, text(total?.mean_us), text(total?.p50_us), text(total?.p95_us)]} />
    </div>
  );
}

export function ResponsePanel({ load, range, csv }: Parts) {
  const w = words().usage;
  return (
    <LoadPanel title={w.response} load={load} isEmpty={(usage) => usage.total.requests === 0} empty={w.empty} isTall
      actions={<CsvLink href={csv} />}>
      {(usage) => <Response usage={usage} range={range} />}
    </LoadPanel>
  );
}
