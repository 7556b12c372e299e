// Each deployment, live.
import { useState } from "preact/hooks";
import { status } from "../api/events";
import type { Deployment } from "../api/types";
import { href } from "../base/route";
import { TextField } from "../parts/field";
import { words } from "../words";
import { DeploymentCard } from "./card";
import { StripLegend } from "./strip_view";

function FirstSteps() {
  const w = words().overview;
  const steps = [[w.empty1, w.empty1Text], [w.empty2, w.empty2Text], [w.empty3, w.empty3Text]] as const;
  return (
    <section class="panel stack" aria-labelledby="first-steps">
      <h2 id="first-steps">{w.emptyTitle}</h2>
      <ol class="steps-first">
        {steps.map(([title, text]) => <li key={title}><h3>{title}</h3><p class="soft">{text}</p></li>)}
      </ol>
      <div><a class="button primary" href={href("deploy")}>{w.emptyGo}</a></div>
    </section>
  );
}

// So many are found by eye.
const kManyCards = 8;

function Cards({ all }: { all: Deployment[] }) {
  const w = words().overview;
  const [query, setQuery] = useState("");
  const wanted = query.trim().toLowerCase();
  const shown = all.filter((one) => one.name.toLowerCase().includes(wanted));
  return (
    <>
      {all.length > kManyCards && (
        <div class="find"><TextField label={w.find} value={query} set={setQuery} type="search" /></div>
      )}
      {shown.length === 0 && <p class="panel waiting">{w.findNone}</p>}
      <div class="cards">{shown.map((one) => <DeploymentCard key={one.name} d={one} />)}</div>
    </>
  );
}

export function OverviewScreen() {
  const w = words();
  const found = status.value;
  return (
    <>
      <div class="screen-head">
        <h1>{w.nav.overview}</h1>
        {found !== undefined && found.deployments.length > 0 && <StripLegend />}
      </div>
      {found === undefined && <div class="panel waiting tall" role="status">{w.common.loading}</div>}
      {found?.notices.map((notice) => <p key={notice} class="panel waking">{notice}</p>)}
      {found?.deployments.length === 0 && <FirstSteps />}
      {found !== undefined && found.deployments.length > 0 && <Cards all={found.deployments} />}
    </>
  );
}
