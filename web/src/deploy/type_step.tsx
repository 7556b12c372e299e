// Step 2: what it runs on, with its price, whether the image fits, and what the expected traffic would cost there.
import { useState } from "preact/hooks";
import type { Image, InstanceType } from "../api/types";
import type { Load } from "../base/load";
import { moneyText, roughMoney } from "../base/money";
import { figure, memoryText } from "../base/number";
import { NumberField } from "../parts/field";
import { Trouble } from "../parts/panel";
import { inLanguage, words } from "../words";
import { expectedCosts, fitOf, memoryOf, speedOf, type Expected, type Fit } from "./wish";

const kFirstShown = 6;

export function TrafficFields({ expected, set }: { expected: Expected; set: (expected: Expected) => void }) {
  const w = words().deploy;
  return (
    <div class="fields">
      <NumberField label={w.requestsPerDay} value={expected.requestsPerDay} least={1} most={10_000}
        set={(requestsPerDay) => set({ ...expected, requestsPerDay })} />
      <NumberField label={w.secondsPerRequest} value={expected.secondsPerRequest} least={0.1} most={3600} step={0.1}
        set={(secondsPerRequest) => set({ ...expected, secondsPerRequest })} />
      <NumberField label={w.days} value={expected.days} least={1} most={30} set={(days) => set({ ...expected, days })} />
      <NumberField label={w.hours} value={expected.hours} least={1} most={24}
        set={(hours) => set({ ...expected, hours })} />
    </div>
  );
}

function FitTag({ fit }: { fit: Fit }) {
  const w = words().deploy;
  if (fit === "unknown") return <span class="soft">{w.fitUnknown}</span>;
  return <span class={fit === "fits" ? "tag good" : "tag bad"}>{fit === "fits" ? w.fits : w.fitsNot}</span>;
}

interface RowParts {
  type: InstanceType;
  image: Image | undefined;
  expected: Expected;
  idleTimeoutS: number;
  isChosen: boolean;
  choose: () => void;
}

function TypeRow({ type, image, expected, idleTimeoutS, isChosen, choose }: RowParts) {
  const w = words();
  const money = (micros: number | null): string => (micros === null ? "—" : moneyText(micros, type.currency ?? ""));
  const costs = expectedCosts(type, expected, idleTimeoutS);
  const speed = speedOf(image, type);
  const memory = memoryOf(type);
  const title = inLanguage(type.title_en, type.title_zh);
  return (
    <tr onClick={choose}>
      <td class="pick">
        <input type="radio" name="instance-type" value={type.id} checked={isChosen} onChange={choose} aria-label={title} />
      </td>
      <td class="wraps">
        {title}
        <div class="small soft">{type.id}{type.source !== null && ` · ${type.source} ${type.as_of ?? ""}`}</div>
      </td>
      <td class="number" data-head={w.deploy.hour}>{money(type.hour_micros)}</td>
      <td class="number" data-head={w.deploy.monthPrice}>{money(type.month_micros)}</td>
      <td class="number" data-head={w.deploy.vram}>
        <span>{memory === null ? "—" : memoryText(memory)} <FitTag fit={fitOf(image, type)} /></span>
      </td>
      <td class="number" data-head={w.deploy.speed}>
        {speed === undefined ? "—" : `≈ ${figure(speed)} ${w.units2.perSecond}`}
        {speed !== undefined && <div class="small soft">{w.deploy.estimated}</div>}
      </td>
      <td class="number" data-head={w.deploy.traffic}><strong>{costs === undefined ? "—" : roughMoney(costs.hourly, type.currency ?? "")}</strong></td>
    </tr>
  );
}

export function TypeStep({ load, image, expected, idleTimeoutS, chosen, choose }: {
  load: Load<{ instance_types: InstanceType[] }>;
  image: Image | undefined;
  expected: Expected;
  idleTimeoutS: number;
  chosen: string;
  choose: (id: string) => void;
}) {
  const w = words();
  const [isAll, setAll] = useState(false);
  if (load.error !== undefined) return <Trouble error={load.error} again={load.again} />;
  if (load.value === undefined) return <p class="waiting tall" role="status">{w.common.loading}</p>;
  const all = load.value.instance_types;
  const first = all.filter((type, at) => at < kFirstShown || type.id === chosen);
  const shown = isAll ? all : first;
  const heads = [w.deploy.hour, w.deploy.monthPrice, w.deploy.vram, w.deploy.speed, w.deploy.traffic];
  return (
    <div class="stack tight">
      <div class="table-frame" tabIndex={0} role="group" aria-label={w.deploy.type}>
        <table class="stacks">
          <thead>
            <tr>
              <th scope="col"><span class="hidden-text">{w.deploy.stepOf(2)}</span></th>
              <th scope="col">{w.deploy.type}</th>
              {heads.map((head) => <th key={head} scope="col" class="number">{head}</th>)}
            </tr>
          </thead>
          <tbody>
            {shown.map((type) => (
              <TypeRow key={type.id} type={type} image={image} expected={expected} idleTimeoutS={idleTimeoutS}
                isChosen={type.id === chosen} choose={() => choose(type.id)} />
            ))}
          </tbody>
        </table>
      </div>
      {shown.length < all.length && (
        <div><button type="button" class="plain" onClick={() => setAll(true)}>{w.deploy.more(all.length - shown.length)}</button></div>
      )}
    </div>
  );
}
