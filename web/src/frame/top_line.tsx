// Who is awake, what today costs, language and theme.
import { status } from "../api/events";
import type { Deployment } from "../api/types";
import { language, shownTheme, theme } from "../base/preferences";
import { addSum, sumsText, type Sum } from "../base/money";
import { MoonIcon, SunIcon } from "../parts/icons";
import { lookOf } from "../parts/state";
import { words } from "../words";

// So many are named; of more it says how many.
const kNamed = 3;

function named(all: Deployment[], isMeant: (one: Deployment) => boolean): string {
  const w = words().top;
  const names = all.filter(isMeant).map((one) => one.name);
  const first = names.slice(0, kNamed).join(w.comma);
  return names.length <= kNamed ? first : w.andMore(first, names.length, kNamed);
}

function Who() {
  const w = words();
  const all = status.value?.deployments;
  if (all === undefined) return <p class="who soft">{w.common.loading}</p>;
  const awake = named(all, (one) => lookOf(one.state) === "awake");
  const waking = named(all, (one) => one.state === "starting" || one.state === "loading");
  const look = awake !== "" ? "awake" : waking !== "" ? "waking" : "asleep";
  const text = awake !== "" ? w.top.awake(awake)
    : waking !== "" ? w.top.waking(waking)
      : all.length === 0 ? w.top.nobody : w.top.allAsleep;
  return <p class="who"><span class={`dot ${look}`} aria-hidden="true" />{text}</p>;
}

function CostToday() {
  const sums = (status.value?.deployments ?? []).reduce<Sum[]>((all, one) => {
    if (one.cost === undefined || one.cost === null) return all;
    return addSum(all, { currency: one.cost.currency, micros: one.cost.today_micros });
  }, []);
  if (sums.length === 0) return null;
  return (
    <p class="nowrap">
      <span class="soft cost-label">{words().top.costToday} </span>
      <strong>{sumsText(sums)}</strong>
    </p>
  );
}

export function TopLine() {
  const w = words();
  const isDark = shownTheme.value === "dark";
  return (
    <header class="top">
      <Who />
      <CostToday />
      <button type="button" class="plain" lang={language.value === "zh" ? "en" : "zh-CN"}
        onClick={() => { language.value = language.value === "zh" ? "en" : "zh"; }}>
        {language.value === "zh" ? "English" : "中文"}
      </button>
      <button type="button" class="icon" aria-label={`${w.top.theme}: ${isDark ? w.top.themeLight : w.top.themeDark}`}
        onClick={() => { theme.value = isDark ? "light" : "dark"; }}>
        {isDark ? <SunIcon /> : <MoonIcon />}
      </button>
    </header>
  );
}
