// Each deployment's rules that are changed by hand most often.
import { useState } from "preact/hooks";
import { send, deploymentPath } from "../api/client";
import { refresh, status } from "../api/events";
import { mayChange } from "../api/session";
import type { Deployment } from "../api/types";
import { ActButton } from "../parts/button";
import { NumberField, SelectField, TextField } from "../parts/field";
import { Panel } from "../parts/panel";
import { words } from "../words";

const kMostInstances = 64;

function Rules({ d }: { d: Deployment }) {
  const w = words();
  const first = { idle_timeout: d.idle_timeout, min: d.min, max: d.max, exposure: d.exposure };
  const [rules, set] = useState(first);
  const [isSaved, setSaved] = useState(false);
  const isFixed = d.source === "file" || !mayChange();
  const change = (next: typeof rules): void => {
    set(next);
    setSaved(false);
  };
  const save = async (): Promise<void> => {
    await send("PATCH", deploymentPath(d.name), rules);
    await refresh();
    setSaved(true);
  };
  return (
    <fieldset class="stack tight" disabled={isFixed}>
      <legend><strong>{d.name}</strong> <span class="small soft">{d.image}</span></legend>
      <div class="fields">
        <TextField label={w.settings.idle} value={rules.idle_timeout}
          set={(idle_timeout) => change({ ...rules, idle_timeout })} />
        <NumberField label={w.settings.least} value={rules.min} least={0} most={rules.max}
          set={(min) => change({ ...rules, min })} />
        <NumberField label={w.settings.most} value={rules.max} least={Math.max(1, rules.min)} most={kMostInstances}
          set={(max) => change({ ...rules, max })} />
        <SelectField label={w.settings.exposure} value={rules.exposure}
          set={(exposure) => change({ ...rules, exposure: exposure as Deployment["exposure"] })}
          options={[{ value: "private", text: w.settings.private }, { value: "public", text: w.settings.public }]} />
      </div>
      <div class="row">
        {d.source === "file" ? <span class="small soft">{w.overview.fromFile}</span>
          : <ActButton act={save} isDisabled={isFixed}>{w.common.save}</ActButton>}
        {isSaved && <span class="small awake" role="status">{w.settings.saved}</span>}
      </div>
    </fieldset>
  );
}

export function RulesPanel() {
  const w = words().settings;
  const all = status.value?.deployments ?? [];
  if (all.length === 0) return null;
  return (
    <Panel title={w.deployments}>
      <div class="stack">{all.map((one) => <Rules key={`${one.name} ${one.idle_timeout} ${one.min} ${one.max}`} d={one} />)}</div>
    </Panel>
  );
}
