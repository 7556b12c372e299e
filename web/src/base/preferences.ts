// Language and theme: what was chosen last, else what the browser says.
import { effect, signal } from "@preact/signals";

export type Language = "en" | "zh";
export type Theme = "system" | "light" | "dark";

const kLanguage = "dormouse.language";
const kTheme = "dormouse.theme";

function firstLanguage(): Language {
  const kept = localStorage.getItem(kLanguage);
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function firstTheme(): Theme {
  const kept = localStorage.getItem(kTheme);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const language = signal<Language>(firstLanguage());
export const theme = signal<Theme>(firstTheme());
const systemDark = matchMedia("(prefers-color-scheme: dark)");
// What is shown: charts take their colours anew when it changes.
export const shownTheme = signal<"light" | "dark">("light");

export function followPreferences(): void {
  const apply = (): void => {
    shownTheme.value = theme.value === "system" ? (systemDark.matches ? "dark" : "light") : theme.value;
    document.documentElement.dataset["theme"] = shownTheme.value;
  };
  systemDark.addEventListener("change", apply);
  effect(() => {
    localStorage.setItem(kTheme, theme.value);
    apply();
  });
  effect(() => {
    localStorage.setItem(kLanguage, language.value);
    document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
  });
}
