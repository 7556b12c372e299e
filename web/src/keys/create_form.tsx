// Making a key, and the one time it is shown whole.
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { status } from "../api/events";
import { ActButton } from "../parts/button";
import { CodeBox } from "../parts/code_box";
import { Dialog } from "../parts/dialog";
import { NumberField, SelectField, TextField } from "../parts/field";
import { words } from "../words";

const kMostPerMinute = 1_000_000_000;

export interface Made {
  key: string;
  name: string;
}

interface KeyWish {
  name: string;
  scope: "inference" | "read" | "admin";
  model: string;
  rpm: number;
  tpm: number;
  concurrency: number;
  budget: string;
  expires: string;
}

const kFirst: KeyWish = {
  name: "", scope: "inference", model: "", rpm: 0, tpm: 0, concurrency: 0, budget: "", expires: "90d",
};

function bodyOf(wish: KeyWish): Record<string, unknown> {
  const body: Record<string, unknown> = { name: wish.name.trim(), scope: wish.scope };
  if (wish.scope === "inference") {
    if (wish.model !== "") body["models"] = [wish.model];
    if (wish.rpm > 0) body["rpm"] = wish.rpm;
    if (wish.tpm > 0) body["tpm"] = wish.tpm;
    if (wish.concurrency > 0) body["concurrency"] = wish.concurrency;
    if (wish.budget.trim() !== "") body["budget"] = wish.budget.trim();
  }
  if (wish.expires.trim() !== "") body["expires"] = wish.expires.trim();
  return body;
}

function Limits({ wish, set }: { wish: KeyWish; set: (wish: KeyWish) => void }) {
  const w = words();
  const models = status.value?.deployments.map((one) => ({ value: one.name, text: one.name })) ?? [];
  const limit = { least: 0, most: kMostPerMinute };
  return (
    <div class="fields">
      <SelectField label={w.keys.models} value={wish.model} set={(model) => set({ ...wish, model })}
        options={[{ value: "", text: w.common.all }, ...models]} />
      <NumberField label={w.keys.rpm} value={wish.rpm} {...limit} set={(rpm) => set({ ...wish, rpm })} />
      <NumberField label={w.keys.tpm} value={wish.tpm} {...limit} set={(tpm) => set({ ...wish, tpm })} />
      <NumberField label={w.keys.concurrency} value={wish.concurrency} {...limit}
        set={(concurrency) => set({ ...wish, concurrency })} />
      <TextField label={w.keys.budget} value={wish.budget} hint={w.keys.budgetHint}
        set={(budget) => set({ ...wish, budget })} />
    </div>
  );
}

export function CreateDialog({ made, close }: { made: (made: Made) => void; close: () => void }) {
  const w = words();
  const [wish, set] = useState(kFirst);
  const scopes = (["inference", "read", "admin"] as const).map((scope) => ({ value: scope, text: w.keys.scopes[scope] }));
  const create = async (): Promise<void> => {
    const answer = await send<{ key: string }>("POST", "/admin/v1/keys", bodyOf(wish));
    made({ key: answer.key, name: wish.name });
  };
  return (
    <Dialog title={w.keys.create} close={close}>
      <TextField label={w.keys.name} value={wish.name} set={(name) => set({ ...wish, name })} />
      <SelectField label={w.keys.scope} value={wish.scope} options={scopes}
        set={(scope) => set({ ...wish, scope: scope as KeyWish["scope"] })} />
      {wish.scope === "inference" && <Limits wish={wish} set={set} />}
      <p class="small soft">{w.keys.zero}</p>
      <TextField label={w.keys.expires} value={wish.expires} hint={w.keys.expiresHint}
        set={(expires) => set({ ...wish, expires })} />
      <div class="actions">
        <button type="button" onClick={close}>{w.common.cancel}</button>
        <ActButton kind="primary" act={create} isDisabled={wish.name.trim() === ""}>{w.keys.create}</ActButton>
      </div>
    </Dialog>
  );
}

export function OnceDialog({ made, close }: { made: Made; close: () => void }) {
  const w = words().keys;
  return (
    <Dialog title={made.name} close={close}>
      <p class="waking">{w.once}</p>
      <CodeBox text={made.key} label={w.title} />
      <div class="actions"><button type="button" class="primary" onClick={close}>{w.done}</button></div>
    </Dialog>
  );
}
