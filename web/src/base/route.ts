// Where we are: "#/logs/chat" is the screen "logs" with the argument "chat".
import { signal } from "@preact/signals";

export const screens = ["overview", "deploy", "playground", "usage", "cost", "keys", "logs", "settings"] as const;
export type Screen = (typeof screens)[number];

export interface Route {
  screen: Screen;
  argument: string;
}

function read(): Route {
  const [name = "", argument = ""] = location.hash.replace(/^#\/?/, "").split("/");
  const screen = screens.find((one) => one === name) ?? "overview";
  return { screen, argument: safely(argument) };
}

function safely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(read());
export function followRoute(): void {
  addEventListener("hashchange", () => {
    route.value = read();
  });
}

export function href(screen: Screen, argument = ""): string {
  return argument === "" ? `#/${screen}` : `#/${screen}/${encodeURIComponent(argument)}`;
}
