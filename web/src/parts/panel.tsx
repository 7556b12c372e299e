// A titled part of a screen. With `load` it shows loading, trouble (with a retry) and emptiness in the same frame, so
// that nothing jumps when data arrives.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { ApiError } from "../api/client";
import type { Load } from "../base/load";
import { words } from "../words";

interface Heading {
  title: string;
  hint?: string | undefined;
  actions?: ComponentChildren;
}

export function Panel({ title, hint, actions, children }: Heading & { children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="panel" aria-labelledby={id}>
      <header>
        <h2 id={id}>
          {title}
          {hint !== undefined && <span class="hint">{hint}</span>}
        </h2>
        {actions !== undefined && <div class="row">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

export function troubleText(error: ApiError): string {
  const w = words().common;
  if (error.status === 0) return w.unreachable;
  if (error.status === 404 && error.code === "not_found") return w.notHere;
  if (error.status === 403) return w.forbidden;
  return error.message === "" ? w.failed : error.message;
}

export function Trouble({ error, again }: { error: ApiError; again?: () => void }) {
  return (
    <div class="waiting" role="alert">
      <p class={error.status === 404 ? "soft" : "trouble"}>{troubleText(error)}</p>
      {again !== undefined && error.status !== 404 && (
        <button type="button" onClick={again}>{words().common.retry}</button>
      )}
    </div>
  );
}

interface Loaded<T> extends Heading {
  load: Load<T>;
  isEmpty?: (value: T) => boolean;
  empty?: string;
  isTall?: boolean;
  children: (value: T) => ComponentChildren;
}

export function LoadPanel<T>({ load, isEmpty, empty, isTall = false, children, ...heading }: Loaded<T>) {
  return <Panel {...heading}>{body({ load, isEmpty, empty, isTall, children })}</Panel>;
}

function body<T>({ load, isEmpty, empty, isTall, children }: {
  load: Load<T>;
  isEmpty: ((value: T) => boolean) | undefined;
  empty: string | undefined;
  isTall: boolean;
  children: (value: T) => ComponentChildren;
}) {
  const look = isTall ? "waiting tall" : "waiting";
  if (load.error !== undefined) return <Trouble error={load.error} again={load.again} />;
  if (load.value === undefined) return <div class={look} role="status">{words().common.loading}</div>;
  if (isEmpty?.(load.value) === true) return <div class={look}>{empty}</div>;
  return children(load.value);
}
