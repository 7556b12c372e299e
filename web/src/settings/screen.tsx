// How it looks, what the server is, who is signed in.
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { status } from "../api/events";
import { mayChange, session, signOut } from "../api/session";
import { language, theme } from "../base/preferences";
import { bytesText } from "../base/number";
import { ActButton } from "../parts/button";
import { Panel, Waiting } from "../parts/panel";
import { Segments } from "../parts/segments";
import { Table } from "../parts/table";
import { duration, timeWithZone, words } from "../words";
import { RulesPanel } from "./rules_panel";

function LookPanel() {
  const w = words();
  return (
    <Panel title={w.settings.look}>
      <div class="row">
        <Segments label={w.top.language} value={language.value} choose={(one) => { language.value = one; }}
          choices={[{ value: "zh", text: "中文" }, { value: "en", text: "English" }]} />
        <Segments label={w.top.theme} value={theme.value} choose={(one) => { theme.value = one; }} choices={[
          { value: "system", text: w.top.themeSystem }, { value: "light", text: w.top.themeLight },
          { value: "dark", text: w.top.themeDark },
        ]} />
      </div>
    </Panel>
  );
}

function ServerPanel() {
  const w = words().settings;
  const found = status.value;
  if (found === undefined) return <Panel title={w.server}><Waiting isTall /></Panel>;
  const { machine } = found;
  return (
    <Panel title={w.server}>
      <dl class="pairs">
        <dt>{w.version}</dt><dd>{found.version}</dd>
        <dt>{w.up}</dt><dd>{duration(Math.round(found.uptime_s))}</dd>
        <dt>{w.memory}</dt><dd>{bytesText(found.resident_bytes)}</dd>
        <dt>{w.listen}</dt><dd>{found.listen.join(", ")}</dd>
        <dt>{w.api}</dt><dd>{found.urls.join(", ")}</dd>
        {machine.cores > 0 && (
          <>
            <dt>{w.machine}</dt>
            <dd>
              {[w.cores(machine.cores), ...machine.gpus.map((gpu) => gpu.name),
                ...(machine.memory_available_bytes === undefined ? []
                  : [w.free(bytesText(machine.memory_available_bytes))])].join(" · ")}
            </dd>
          </>
        )}
      </dl>
    </Panel>
  );
}

function SessionPanel() {
  const w = words();
  const found = session.value;
  if (found === undefined) return null;
  const until = found.expires_at === null ? "—"
    : timeWithZone(typeof found.expires_at === "number" ? found.expires_at : Date.parse(found.expires_at));
  return (
    <Panel title={w.settings.session}>
      {found.is_open ? <p class="soft">{w.settings.openDoor}</p> : (
        <div class="stack">
          <dl class="pairs">
            <dt>{w.settings.scope}</dt><dd>{w.keys.scopeShort[found.scope]}</dd>
            <dt>{w.settings.until}</dt><dd>{until}</dd>
          </dl>
          <div class="row"><ActButton act={signOut}>{w.settings.signOut}</ActButton></div>
        </div>
      )}
    </Panel>
  );
}

interface AlertRow {
  webhook: string;
  delivered: boolean;
  said: string;
}

function AlertsPanel() {
  const w = words().settings;
  const [rows, setRows] = useState<AlertRow[] | undefined>(undefined);
  const test = async (): Promise<void> => {
    setRows((await send<{ rows: AlertRow[] }>("POST", "/admin/v1/alerts/test")).rows);
  };
  return (
    <Panel title={w.alerts}>
      <div class="stack tight">
        <div class="row"><ActButton act={test} isDisabled={!mayChange()}>{w.alertsTest}</ActButton></div>
        {rows?.length === 0 && <p class="soft">{w.alertsNone}</p>}
        {rows !== undefined && rows.length > 0 && (
          <Table label={w.alerts} rows={rows} columns={[
            { head: "webhook", cell: (row) => row.webhook },
            { head: words().keys.state, cell: (row) => (row.delivered ? w.delivered : `${w.notDelivered}: ${row.said}`) },
          ]} />
        )}
      </div>
    </Panel>
  );
}

function NoticesPanel() {
  const w = words().settings;
  const notices = status.value?.notices ?? [];
  return (
    <Panel title={w.notices}>
      {notices.length === 0 ? <p class="soft">{w.noNotices}</p> : notices.map((one) => <p key={one}>{one}</p>)}
    </Panel>
  );
}

export function SettingsScreen({ chosen }: { chosen: string }) {
  const w = words().settings;
  return (
    <>
      <div class="screen-head"><h1>{w.title}</h1></div>
      <div class="columns"><LookPanel /><SessionPanel /></div>
      <RulesPanel chosen={chosen} />
      <div class="columns"><ServerPanel /><div class="stack"><NoticesPanel /><AlertsPanel /></div></div>
    </>
  );
}
