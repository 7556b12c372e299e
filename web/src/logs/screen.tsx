// What happened: requests by the ledger, and what instances wrote.
import { status } from "../api/events";
import { href } from "../base/route";
import { Panel, Waiting } from "../parts/panel";
import { words } from "../words";
import { InstanceLog } from "./instance_log";
import { RequestList } from "./request_list";

export function LogsScreen({ chosen }: { chosen: string }) {
  const w = words();
  const names = status.value?.deployments.map((one) => one.name) ?? [];
  const deployment = names.includes(chosen) ? chosen : "";
  // Of one only: a page of thirty logs is read by nobody, and each is asked for.
  const logged = deployment !== "" ? deployment : names.length === 1 ? names[0] : undefined;
  return (
    <>
      <div class="screen-head">
        <h1>{w.logs.title}</h1>
        <select aria-label={w.common.deployment} value={deployment}
          onChange={(event) => { location.hash = href("logs", event.currentTarget.value); }}>
          <option value="">{w.common.pair(w.common.deployment, w.common.all)}</option>
          {names.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </div>
      <RequestList key={deployment} deployment={deployment} />
      {logged !== undefined && <InstanceLog key={logged} deployment={logged} />}
      {logged === undefined && (
        <Panel title={w.logs.instance}>
          {status.value === undefined ? <Waiting /> : (
            <p class="waiting">{names.length === 0 ? w.logs.emptyLog : w.logs.choose}</p>
          )}
        </Panel>
      )}
    </>
  );
}
