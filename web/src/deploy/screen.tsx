// Four steps on one page, the price always at the right.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { get, send } from "../api/client";
import { refresh } from "../api/events";
import { mayChange } from "../api/session";
import type { Deployment, Image, InstanceType } from "../api/types";
import { useLoad } from "../base/load";
import { ActButton } from "../parts/button";
import { duration, inLanguage, words } from "../words";
import { After } from "./after";
import { ImageStep } from "./image_step";
import { PriceBox } from "./price_box";
import { RulesStep } from "./rules_step";
import { TrafficFields, TypeStep } from "./type_step";
import { bodyOf, firstExpected, firstWish, reference, type Wish } from "./wish";

function Step({ number, title, children }: { number: number; title: string; children: ComponentChildren }) {
  return (
    <section class="panel stack" aria-labelledby={`step-${number}`}>
      <h2 id={`step-${number}`}><span class="step-number" aria-hidden="true">{number}</span>{title}</h2>
      {children}
    </section>
  );
}

function Confirm({ wish, image, type, deployed }: {
  wish: Wish;
  image: Image | undefined;
  type: InstanceType | undefined;
  deployed: (name: string) => void;
}) {
  const w = words();
  const isAway = image !== undefined && !image.is_present && !image.is_pulled_by_runtime;
  const deploy = async (): Promise<void> => {
    const made = await send<Deployment>("POST", "/admin/v1/deployments", bodyOf(wish));
    await refresh();
    deployed(made.name);
  };
  const rules = [
    `${w.deploy.idleTimeout} ${duration(wish.idleTimeoutS)}`, `${wish.min}–${wish.max}`,
    wish.isPublic ? w.settings.public : w.settings.private, ...(wish.isLimited ? [w.deploy.perMinute] : []),
  ];
  return (
    <>
      <dl class="pairs">
        <dt>{w.deploy.summaryImage}</dt><dd>{wish.image === "" ? "—" : wish.image}</dd>
        <dt>{w.deploy.summaryType}</dt>
        <dd>{type === undefined ? wish.instanceType : inLanguage(type.title_en, type.title_zh)}</dd>
        <dt>{w.deploy.summaryRules}</dt><dd>{rules.join(" · ")}</dd>
      </dl>
      <div class="row">
        <ActButton kind="primary" act={deploy} isDisabled={wish.image === "" || isAway || !mayChange()}>{w.deploy.go}</ActButton>
        {isAway && mayChange() && <span class="small soft">{w.deploy.notYet}</span>}
        {!mayChange() && <span class="small soft">{w.common.readOnly}</span>}
      </div>
    </>
  );
}

export function DeployScreen() {
  const w = words();
  const [wish, setWish] = useState<Wish>(firstWish);
  const [image, setImage] = useState<Image | undefined>(undefined);
  const [expected, setExpected] = useState(firstExpected);
  const [made, setMade] = useState("");
  const types = useLoad(
    (signal) => get<{ instance_types: InstanceType[] }>("/admin/v1/instance-types", {}, signal), []);
  const type = types.value?.instance_types.find((one) => one.id === wish.instanceType);
  const choose = (chosen: Image): void => {
    const runtime = chosen.runtimes.includes(wish.runtime) ? wish.runtime : (chosen.runtimes[0] ?? "builtin");
    setImage(chosen);
    setWish({ ...wish, image: reference(chosen), runtime });
  };
  const restart = (): void => {
    setMade("");
    setWish(firstWish);
    setImage(undefined);
  };
  return (
    <>
      <div class="screen-head"><h1>{w.deploy.title}</h1></div>
      {made !== "" ? <After name={made} another={restart} /> : (
        <div class="deploy">
          <div class="stack">
            <Step number={1} title={w.deploy.image}>
              <ImageStep chosen={wish.image} choose={choose} type={(name) => setWish({ ...wish, image: name })} />
            </Step>
            <Step number={2} title={w.deploy.type}>
              <TrafficFields expected={expected} set={setExpected} />
              <TypeStep load={types} image={image} expected={expected} idleTimeoutS={wish.idleTimeoutS}
                chosen={wish.instanceType} choose={(instanceType) => setWish({ ...wish, instanceType })} />
            </Step>
            <Step number={3} title={w.deploy.rules}><RulesStep wish={wish} set={setWish} /></Step>
            <Step number={4} title={w.deploy.confirm}>
              <Confirm wish={wish} image={image} type={type} deployed={setMade} />
            </Step>
          </div>
          <aside aria-label={w.deploy.price}>
            <PriceBox type={type} expected={expected} idleTimeoutS={wish.idleTimeoutS} />
          </aside>
        </div>
      )}
    </>
  );
}
