// Who is looking: a session by a one-time link or a key, or a server that no key shuts yet.
import { signal } from "@preact/signals";
import { ApiError, get, send, whenSignedOut } from "./client";
import { connect, disconnect } from "./events";
import type { Session } from "./types";

export type Door = "asking" | "shut" | "in" | "unreachable";

export const door = signal<Door>("asking");
export const session = signal<Session | undefined>(undefined);

const kPath = "/admin/v1/session";
const kLogin = /^#login=([\w.~-]+)$/;

function enter(found: Session): void {
  session.value = found;
  door.value = "in";
  connect();
}

function shut(): void {
  disconnect();
  session.value = undefined;
  door.value = "shut";
}

// The token leaves the address line, and so the history, before anything else happens.
function takeLoginToken(): string | undefined {
  const token = kLogin.exec(location.hash)?.[1];
  if (token !== undefined) history.replaceState(null, "", `${location.pathname}#/overview`);
  return token;
}

export async function begin(): Promise<void> {
  whenSignedOut(shut);
  const token = takeLoginToken();
  try {
    if (token !== undefined) return enter(await send<Session>("POST", kPath, { login: token }));
    enter(await get<Session>(kPath));
  } catch (cause) {
    const error = ApiError.of(cause);
    if (token !== undefined && error.status !== 0) return begin();  // used before: a session may still be there
    if (error.status === 0) door.value = "unreachable";
    else shut();
  }
}

// A link that is opened where the console is open already: the browser only changes what is behind the #.
export function followLoginLinks(): void {
  addEventListener("hashchange", () => {
    if (kLogin.test(location.hash)) void begin();
  });
}

// Errors: ApiError, whose status is 401 for a wrong key and 429 after too many.
export async function signIn(key: string): Promise<void> {
  enter(await send<Session>("POST", kPath, { key }));
}

export async function signOut(): Promise<void> {
  await send("DELETE", kPath);
  shut();
}

export const mayChange = (): boolean => session.value?.scope === "admin";
