// What who is not signed in sees: a key, or how to get a one-time link.
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { begin, door, signIn } from "../api/session";
import { language } from "../base/preferences";
import { CodeBox } from "../parts/code_box";
import { TextField } from "../parts/field";
import { troubleText } from "../parts/panel";
import { words } from "../words";

function failureOf(error: ApiError): string {
  const w = words().login;
  if (error.status === 401 || error.status === 403) return w.wrong;
  if (error.status === 429) return w.many;
  return troubleText(error);
}

function KeyForm() {
  const [key, setKey] = useState("");
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const w = words().login;
  const submit = (event: Event): void => {
    event.preventDefault();
    setError(undefined);
    signIn(key.trim()).catch((cause: unknown) => setError(ApiError.of(cause)));
  };
  return (
    <form class="stack" onSubmit={submit}>
      <p class="soft">{w.hint}</p>
      <CodeBox text="dormouse console" label="dormouse console" />
      <TextField label={w.key} value={key} set={setKey} type="password" />
      {error !== undefined && <p class="trouble" role="alert">{failureOf(error)}</p>}
      <button type="submit" class="primary" disabled={key.trim() === ""}>{w.enter}</button>
    </form>
  );
}

export function Login() {
  const w = words();
  return (
    <main class="shut">
      <section class="panel stack" aria-labelledby="login-title">
        <div class="spread">
          <h1 id="login-title">Dormouse · {w.login.title}</h1>
          <button type="button" class="plain"
            onClick={() => { language.value = language.value === "zh" ? "en" : "zh"; }}>
            {language.value === "zh" ? "English" : "中文"}
          </button>
        </div>
        {door.value === "unreachable"
          ? <><p class="trouble">{w.login.unreachable}</p>
              <button type="button" onClick={() => void begin()}>{w.common.retry}</button></>
          : <KeyForm />}
      </section>
    </main>
  );
}
