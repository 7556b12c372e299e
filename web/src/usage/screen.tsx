// What was asked, how fast it was answered, when, by whom, and what went wrong. Reports of the ledger: none wakes anything.
import { useState } from "preact/hooks";
import { get, pathWith } from "../api/client";
import { status } from "../api/events";
import type { Errors, Key, Usage } from "../api/types";
import { useLoad } from "../base/load";
import { Segments } from "../parts/segments";
import { words } from "../words";
import { isHourly, type Range } from "./series";
import { ErrorsPanel, HeatPanel, KeysPanel } from "./share_panels";
import { RequestsPanel, ResponsePanel } from "./time_panels";

const kUsage = "/admin/v1/usage";
const kErrors = "/admin/v1/errors";

export function UsageScreen() {
  const w = words();
  const [range, setRange] = useState<Range>("7d");
  const [deployment, setDeployment] = useState("");
  const asked = { since: range, deployment };
  const timely = { by: isHourly(range) ? "hour" : "day", ...asked };
  const keys = [range, deployment];
  const byTime = useLoad((signal) => get<Usage>(kUsage, timely, signal), keys);
  const byHour = useLoad((signal) => get<Usage>(kUsage, { by: "weekday-hour", ...asked }, signal), keys);
  const byKey = useLoad((signal) => get<Usage>(kUsage, { by: "key", ...asked }, signal), keys);
  const errors = useLoad((signal) => get<Errors>(kErrors, asked, signal), keys);
  const known = useLoad((signal) => get<{ keys: Key[] }>("/admin/v1/keys", { limit: 1000 }, signal), []);
  const nameOf = (kid: string): string => known.value?.keys.find((key) => key.kid === kid)?.name ?? kid;
  const csv = (path: string, query: Record<string, string>): string => pathWith(path, { ...query, format: "csv" });
  return (
    <>
      <div class="screen-head">
        <h1>{w.usage.title}</h1>
        <div class="row">
          <select aria-label={w.common.deployment} value={deployment}
            onChange={(event) => setDeployment(event.currentTarget.value)}>
            <option value="">{w.common.pair(w.common.deployment, w.common.all)}</option>
            {status.value?.deployments.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
          </select>
          <Segments label={w.usage.range} value={range} choose={setRange} choices={[
            { value: "1d", text: w.usage.day }, { value: "7d", text: w.usage.week },
            { value: "30d", text: w.usage.month }, { value: "90d", text: w.usage.quarter },
          ]} />
        </div>
      </div>
      <RequestsPanel load={byTime} range={range} csv={csv(kUsage, timely)} />
      <div class="columns">
        <ResponsePanel load={byTime} range={range} csv={csv(kUsage, timely)} />
        <HeatPanel load={byHour} csv={csv(kUsage, { by: "weekday-hour", ...asked })} />
      </div>
      <ErrorsPanel load={errors} total={byTime.value?.total.requests ?? 0} csv={csv(kErrors, asked)} />
      <KeysPanel load={byKey} nameOf={nameOf} csv={csv(kUsage, { by: "key", ...asked })} />
    </>
  );
}
