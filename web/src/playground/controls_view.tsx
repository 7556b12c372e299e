// What is asked with: model, thinking, sampling. An empty number means what the model's makers recommend.
import { status } from "../api/events";
import { CheckField, NumberField, SelectField } from "../parts/field";
import { words } from "../words";
import type { Controls } from "./talk";

interface Maybe {
  label: string;
  value: number | undefined;
  set: (value: number | undefined) => void;
  least: number;
  most: number;
  step: number;
}

function MaybeField({ label, value, set, least, most, step }: Maybe) {
  const take = (text: string): void => {
    const number = Number(text);
    if (text.trim() === "") set(undefined);
    else if (Number.isFinite(number) && number >= least && number <= most) set(number);
  };
  return (
    <label class="field">
      {label}
      <input type="number" value={value ?? ""} min={least} max={most} step={step} placeholder={words().playground.auto}
        onInput={(event) => take(event.currentTarget.value)} />
    </label>
  );
}

const kMostTokens = 32_768;

export function ControlsView({ controls, set }: { controls: Controls; set: (controls: Controls) => void }) {
  const w = words();
  const names = status.value?.deployments.map((one) => one.name) ?? [];
  return (
    <div class="stack">
      <SelectField label={w.common.deployment} value={controls.model} set={(model) => set({ ...controls, model })}
        options={names.map((name) => ({ value: name, text: name }))} />
      <CheckField isOn={controls.isThinking} set={(isThinking) => set({ ...controls, isThinking })}>
        {w.playground.thinking}
      </CheckField>
      <div class="fields">
        <NumberField label={w.playground.maxTokens} value={controls.maxTokens} least={1} most={kMostTokens}
          set={(maxTokens) => set({ ...controls, maxTokens })} />
        <MaybeField label={w.playground.temperature} value={controls.temperature} least={0} most={2} step={0.1}
          set={(temperature) => set({ ...controls, temperature })} />
        <MaybeField label={w.playground.topP} value={controls.topP} least={0.01} most={1} step={0.05}
          set={(topP) => set({ ...controls, topP })} />
        <MaybeField label={w.playground.seed} value={controls.seed} least={0} most={2 ** 31} step={1}
          set={(seed) => set({ ...controls, seed })} />
      </div>
      <label class="field">
        {w.playground.system}
        <textarea rows={3} value={controls.system}
          onInput={(event) => set({ ...controls, system: event.currentTarget.value })} />
      </label>
    </div>
  );
}
