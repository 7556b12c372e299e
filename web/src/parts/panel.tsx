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
  isBusy?: boolean;
}

export function Panel({ title, hint, actions, isBusy = false, children }: Heading & { children: ComponentChildren }) {
  const id = useId();
  return (
    <section class="panel" aria-labelledby={id} aria-busy={isBusy}>
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

export function Trouble({ error, again, isTall = false }: { error: ApiError; again?: () => void; isTall?: boolean }) {
  return (
    <div class={isTall ? "waiting tall" : "waiting"} role="alert">
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
  rows?: number;
  children: (value: T) => ComponentChildren;
}

export function LoadPanel<T>({ load, isEmpty, empty, isTall = false, rows, children, ...heading }: Loaded<T>) {
  return <Panel {...heading} isBusy={load.isLoading}>{body({ load, isEmpty, empty, isTall, rows, children })}</Panel>;
}

const kRowHeight = 37;

// `rows`: of the table that is expected; its place is kept.
export function Waiting({ isTall = false, rows }: { isTall?: boolean; rows?: number | undefined }) {
  const style = rows === undefined ? {} : { minHeight: `${(rows + 1) * kRowHeight}px` };
  return <div class={isTall ? "waiting tall" : "waiting"} role="status" style={style}>{words().common.loading}</div>;
}

function body<T>({ load, isEmpty, empty, isTall, rows, children }: {
  load: Load<T>;
  isEmpty: ((value: T) => boolean) | undefined;
  empty: string | undefined;
  isTall: boolean;
  rows: number | undefined;
  children: (value: T) => ComponentChildren;
}) {
  if (load.error !== undefined) return <Trouble error={load.error} again={load.again} isTall={isTall} />;
  if (load.value === undefined) return <Waiting isTall={isTall} rows={rows} />;
  if (isEmpty?.(load.value) === true) return <div class={isTall ? "waiting tall" : "waiting"}>{empty}</div>;
  return children(load.value);
}
