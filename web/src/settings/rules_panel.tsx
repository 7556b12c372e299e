// The rules of a deployment that are changed by hand most often.
import { useState } from "preact/hooks";
import { send, deploymentPath } from "../api/client";
import { refresh, status } from "../api/events";
import { mayChange } from "../api/session";
import type { Deployment } from "../api/types";
import { href } from "../base/route";
import { ActButton } from "../parts/button";
import { NumberField, SelectField, TextField } from "../parts/field";
import { Panel, Waiting } from "../parts/panel";
import { words } from "../words";

const kMostInstances = 64;

type Edited = Partial<Pick<Deployment, "idle_timeout" | "min" | "max" | "exposure">>;

// What is not edited follows the server.
function Rules({ d }: { d: Deployment }) {
  const w = words();
  const [edited, setEdited] = useState<Edited>({});
  const [isSaved, setSaved] = useState(false);
  const isFixed = d.source === "file" || !mayChange();
  const rules = { idle_timeout: d.idle_timeout, min: d.min, max: d.max, exposure: d.exposure, ...edited };
  const change = (next: Edited): void => {
    setEdited({ ...edited, ...next });
    setSaved(false);
  };
  const save = async (): Promise<void> => {
    await send("PATCH", deploymentPath(d.name), edited);
    await refresh();
    setEdited({});
    setSaved(true);
  };
  return (
    <fieldset class="stack tight" disabled={isFixed}>
      <legend class="hidden-text">{d.name}</legend>
      <div class="fields">
        <TextField label={w.settings.idle} value={rules.idle_timeout} set={(idle_timeout) => change({ idle_timeout })} />
        <NumberField label={w.settings.least} value={rules.min} least={0} most={rules.max} set={(min) => change({ min })} />
        <NumberField label={w.settings.most} value={rules.max} least={Math.max(1, rules.min)} most={kMostInstances}
          set={(max) => change({ max })} />
        <SelectField label={w.settings.exposure} value={rules.exposure}
          set={(exposure) => change({ exposure: exposure as Deployment["exposure"] })}
          options={[{ value: "private", text: w.settings.private }, { value: "public", text: w.settings.public }]} />
      </div>
      <div class="row">
        {d.source === "file" ? <span class="small soft">{w.overview.fromFile}</span> : (
          <ActButton act={save} isDisabled={isFixed || Object.keys(edited).length === 0}>{w.common.save}</ActButton>
        )}
        {!mayChange() && <span class="small soft">{w.common.readOnly}</span>}
        {isSaved && <span class="small awake" role="status">{w.settings.saved}</span>}
      </div>
    </fieldset>
  );
}

export function RulesPanel({ chosen }: { chosen: string }) {
  const w = words();
  const [picked, setPicked] = useState(chosen);
  const all = status.value?.deployments;
  if (all === undefined) return <Panel title={w.settings.rules}><Waiting /></Panel>;
  const d = all.find((one) => one.name === picked) ?? all[0];
  if (d === undefined) {
    return (
      <Panel title={w.settings.rules}>
        <p class="waiting">{w.playground.none} <a href={href("deploy")}>{w.nav.deploy}</a></p>
      </Panel>
    );
  }
  return (
    <Panel title={w.settings.rules} hint={d.image} actions={
      <select aria-label={w.common.deployment} value={d.name} onChange={(event) => setPicked(event.currentTarget.value)}>
        {all.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
      </select>
    }>
      <Rules key={d.name} d={d} />
    </Panel>
  );
}
