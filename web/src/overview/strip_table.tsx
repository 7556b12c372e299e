// The strip's figures as rows: the same day for a screen reader, a script and a doubter.
import { get, deploymentPath } from "../api/client";
import type { Strip } from "../api/types";
import { csvHref } from "../base/csv";
import { useLoad } from "../base/load";
import { CsvLink } from "../parts/csv_link";
import { Dialog } from "../parts/dialog";
import { Moment } from "../parts/moment";
import { Trouble, Waiting } from "../parts/panel";
import { Table } from "../parts/table";
import { duration, words } from "../words";
import { barsOf, requestsIn, sharesOf } from "./strip_maths";

function Rows({ name, strip }: { name: string; strip: Strip }) {
  const w = words();
  const at = (share: number): number => Math.round(strip.from + share * (strip.to - strip.from));
  const rows = barsOf(strip).sort((a, b) => a.x - b.x)
    .map((bar) => ({ kind: bar.kind, from: at(bar.x), to: at(bar.x + bar.width) }));
  const kinds = { busy: w.overview.legendBusy, waking: w.overview.legendWaking, idle: w.overview.legendIdle };
  const shares = sharesOf(strip);
  const csv = csvHref(["deployment", "from", "to", "what", "requests"], rows.map((row) =>
    [name, new Date(row.from).toISOString(), new Date(row.to).toISOString(), row.kind,
      requestsIn(strip, row.from, row.to)]));
  return (
    <>
      <p class="soft">
        {w.overview.stripText(duration(shares.busy), duration(shares.waking), duration(shares.idle),
          duration(shares.asleep), strip.requests.length)}
      </p>
      {rows.length > 0 && (
        <Table label={w.overview.strip} rows={rows} columns={[
          { head: w.overview.from, cell: (row) => <Moment ms={row.from} /> },
          { head: w.overview.what, cell: (row) => kinds[row.kind] },
          { head: w.overview.length, isNumber: true, cell: (row) => duration((row.to - row.from) / 1000) },
          { head: w.usage.requests, isNumber: true, cell: (row) => requestsIn(strip, row.from, row.to) },
        ]} />
      )}
      <div><CsvLink href={csv} file={`${name}-24h.csv`} /></div>
    </>
  );
}

export function StripDialog({ name, close }: { name: string; close: () => void }) {
  const w = words();
  const load = useLoad((signal) => get<Strip>(deploymentPath(name, "strip"), { hours: 24 }, signal), [name]);
  return (
    <Dialog title={w.common.pair(name, w.overview.strip)} close={close}>
      {load.error !== undefined && <Trouble error={load.error} again={load.again} />}
      {load.error === undefined && load.value === undefined && <Waiting />}
      {load.error === undefined && load.value !== undefined && <Rows name={name} strip={load.value} />}
      <div class="actions"><button type="button" onClick={close}>{w.common.close}</button></div>
    </Dialog>
  );
}
