// Requests one by one, newest first, as the ledger has them: without their text.
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { Request } from "../api/types";
import { useLoad } from "../base/load";
import { grouped, moneyText } from "../base/money";
import { Moment } from "../parts/moment";
import { LoadPanel } from "../parts/panel";
import { Table } from "../parts/table";
import { duration, words } from "../words";

const kPage = 20;
const kOutcomes = ["ok", "client_gone", "failed", "interrupted", "open"] as const;

interface Page {
  rows: Request[];
  next: string | null;
}

export function RequestList({ deployment }: { deployment: string }) {
  const w = words();
  const [after, setAfter] = useState("");
  const [outcome, setOutcome] = useState("");
  const query = { deployment, outcome, after, limit: kPage };
  const load = useLoad((signal) => get<Page>("/admin/v1/requests", query, signal), [deployment, outcome, after]);
  const next = load.value?.next ?? null;
  const span = (us: number): string => (us === 0 ? "—" : duration(us / 1e6));
  return (
    <LoadPanel title={w.logs.requests} load={load} isTall rows={kPage} isEmpty={(page) => page.rows.length === 0}
      empty={w.logs.emptyRequests} actions={
        <>
          <select aria-label={w.logs.outcome} value={outcome} onChange={(event) => {
            setAfter("");
            setOutcome(event.currentTarget.value);
          }}>
            <option value="">{w.common.pair(w.logs.outcome, w.common.all)}</option>
            {kOutcomes.map((one) => <option key={one} value={one}>{w.logs.outcomes[one]}</option>)}
          </select>
          <button type="button" onClick={() => (after === "" ? load.again() : setAfter(""))}>{w.logs.newest}</button>
          <button type="button" disabled={next === null} onClick={() => setAfter(next ?? "")}>{w.logs.older}</button>
        </>
      }>
      {(page) => (
        <Table label={w.logs.requests} rows={page.rows} columns={[
          { head: w.logs.time, cell: (row) => <Moment ms={row.at_us / 1000} /> },
          { head: w.common.deployment, cell: (row) => row.deployment },
          { head: w.logs.way, cell: (row) => row.dialect },
          { head: w.logs.outcome, cell: (row) => (
            <span class={row.outcome === "failed" || row.outcome === "interrupted" ? "failed" : ""}>
              {w.logs.outcomes[row.outcome]}{row.error_kind !== "" && ` · ${row.error_kind}`}
            </span>
          ) },
          { head: w.logs.tokens, isNumber: true,
            cell: (row) => `${grouped(row.input_tokens)} / ${grouped(row.output_tokens)}` },
          { head: w.logs.ttft, isNumber: true, cell: (row) => span(row.ttft_us) },
          { head: w.logs.duration, isNumber: true, cell: (row) => span(row.duration_us) },
          { head: w.logs.woke, isNumber: true, cell: (row) => span(row.wake_wait_us) },
          { head: w.logs.cost, isNumber: true,
            cell: (row) => (row.cost_micros === null ? "—" : moneyText(row.cost_micros, row.currency)) },
          { head: w.logs.id, cell: (row) => <span class="mono small soft" title={row.request_id}>{row.request_id.slice(-8)}</span> },
        ]} />
      )}
    </LoadPanel>
  );
}
