// What happened: requests by the ledger, and what instances wrote.
import { status } from "../api/events";
import { href } from "../base/route";
import { words } from "../words";
import { InstanceLog } from "./instance_log";
import { RequestList } from "./request_list";

export function LogsScreen({ chosen }: { chosen: string }) {
  const w = words();
  const names = status.value?.deployments.map((one) => one.name) ?? [];
  const deployment = names.includes(chosen) ? chosen : "";
  return (
    <>
      <div class="screen-head">
        <h1>{w.logs.title}</h1>
        <select aria-label={w.common.deployment} value={deployment}
          onChange={(event) => { location.hash = href("logs", event.currentTarget.value); }}>
          <option value="">{w.common.deployment}: {w.common.all}</option>
          {names.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </div>
      <RequestList key={deployment} deployment={deployment} />
      {(deployment === "" ? names : [deployment]).map((name) => <InstanceLog key={name} deployment={name} />)}
    </>
  );
}
