// The rail, the top line and the screen between them.
import { useEffect, useRef } from "preact/hooks";
import { connectNow, link, lostAt } from "../api/events";
import { href, route, screens, type Screen } from "../base/route";
import { CostScreen } from "../cost/screen";
import { DeployScreen } from "../deploy/screen";
import { KeysScreen } from "../keys/screen";
import { LogsScreen } from "../logs/screen";
import { OverviewScreen } from "../overview/screen";
import { ScreenIcon } from "../parts/icons";
import { PlaygroundScreen } from "../playground/screen";
import { SettingsScreen } from "../settings/screen";
import { UsageScreen } from "../usage/screen";
import { hourText, timeWithZone, words } from "../words";
import { TopLine } from "./top_line";

function Rail() {
  const w = words();
  const current = route.value.screen;
  return (
    <nav class="rail" aria-label={w.nav.label}>
      <a class="brand" href={href("overview")}>
        <img src="/console/dormouse.svg" alt="" width="24" height="24" />
        <span>Dormouse</span>
      </a>
      <ul>
        {screens.map((screen) => (
          <li key={screen}>
            <a href={href(screen)} title={w.nav[screen]} aria-current={screen === current ? "page" : undefined}>
              <ScreenIcon screen={screen} />
              <span class="long">{w.nav[screen]}</span>
              <span class="short">{w.navShort[screen]}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function screenOf(screen: Screen, argument: string) {
  switch (screen) {
    case "overview": return <OverviewScreen />;
    case "deploy": return <DeployScreen />;
    case "playground": return <PlaygroundScreen chosen={argument} />;
    case "usage": return <UsageScreen />;
    case "cost": return <CostScreen chosen={argument} />;
    case "keys": return <KeysScreen />;
    case "logs": return <LogsScreen chosen={argument} />;
    case "settings": return <SettingsScreen chosen={argument} />;
  }
}

function LostLine() {
  const w = words();
  return (
    <p class="lost spread">
      <span title={timeWithZone(lostAt.value)}>{w.top.lost(hourText(lostAt.value))}</span>
      <button type="button" onClick={connectNow}>{w.top.tryNow}</button>
    </p>
  );
}

export function Frame() {
  const w = words();
  const { screen, argument } = route.value;
  const main = useRef<HTMLElement>(null);
  const seen = useRef(screen);
  useEffect(() => {
    document.title = `${w.nav[screen]} · Dormouse`;
    if (seen.current === screen) return;
    seen.current = screen;
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  });
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>{w.top.skip}</a>
      <Rail />
      <div class="stage">
        <TopLine />
        <div role="status">{link.value === "lost" && <LostLine />}</div>
        <main id="main" ref={main} tabIndex={-1} key={screen}>{screenOf(screen, argument)}</main>
      </div>
    </div>
  );
}
