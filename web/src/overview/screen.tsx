// Each deployment, live.
import { status } from "../api/events";
import { href } from "../base/route";
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
      <div class="cards">{found?.deployments.map((one) => <DeploymentCard key={one.name} d={one} />)}</div>
    </>
  );
}
