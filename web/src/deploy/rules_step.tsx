// Step 3: when it sleeps, how many it may become, who may ask it.
import { get } from "../api/client";
import type { Key } from "../api/types";
import { useLoad } from "../base/load";
import { href } from "../base/route";
import { CheckField, NumberField, TextField } from "../parts/field";
import { kStops } from "../cost/timeout_panel";
import { duration, words } from "../words";
import { isName, type Wish } from "./wish";

const kMostInstances = 64;

function KeyNote() {
  const w = words();
  const keys = useLoad((signal) => get<{ keys: Key[] }>("/admin/v1/keys", { limit: 1 }, signal), []);
  if (keys.value === undefined) return null;
  if (keys.value.keys.length > 0) return <p class="small soft">{w.deploy.keyNeeded}</p>;
  return <p class="small waking">{w.deploy.keyMissing} <a href={href("keys")}>{w.nav.keys}</a></p>;
}

export function RulesStep({ wish, set }: { wish: Wish; set: (wish: Wish) => void }) {
  const w = words().deploy;
  const at = Math.max(0, kStops.indexOf(wish.idleTimeoutS));
  return (
    <div class="stack">
      <div class="fields">
        <TextField label={w.name} value={wish.name} hint={w.nameHint}
          set={(name) => { if (name === "" || isName(name)) set({ ...wish, name }); }} />
        <NumberField label={w.least} value={wish.min} least={0} most={wish.max} set={(min) => set({ ...wish, min })} />
        <NumberField label={w.most} value={wish.max} least={Math.max(1, wish.min)} most={kMostInstances}
          set={(max) => set({ ...wish, max })} />
      </div>
      <div>
        <div class="spread"><span>{w.idleTimeout}</span><strong>{duration(wish.idleTimeoutS)}</strong></div>
        <input type="range" min={0} max={kStops.length - 1} step={1} value={at} aria-label={w.idleTimeout}
          aria-valuetext={duration(wish.idleTimeoutS)}
          onInput={(event) => set({ ...wish, idleTimeoutS: kStops[Number(event.currentTarget.value)] ?? 600 })} />
      </div>
      <div class="stack tight">
        <CheckField isOn={wish.isPublic} set={(isPublic) => set({ ...wish, isPublic })} hint={w.publicHint}>
          {w.publicAccess}
        </CheckField>
        {wish.isPublic && <KeyNote />}
        <CheckField isOn={wish.isLimited} set={(isLimited) => set({ ...wish, isLimited })} hint={w.perMinuteHint}>
          {w.perMinute}
        </CheckField>
        <p class="small soft">{w.logged}</p>
      </div>
    </div>
  );
}
