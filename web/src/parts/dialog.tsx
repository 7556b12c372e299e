// A question that has to be answered before anything else: the browser's own dialog, which traps focus and hears Escape.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { words } from "../words";
import { ActButton } from "./button";

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={close}>
      <div class="stack">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface Confirm {
  title: string;
  text: string;
  verb: string;
  typed?: string; // what has to be typed first; nothing: a click is enough
  isDanger?: boolean;
  act: () => Promise<unknown>;
  close: () => void;
  children?: ComponentChildren;
}

export function ConfirmDialog({ title, text, verb, typed, isDanger = false, act, close, children }: Confirm) {
  const [entered, setEntered] = useState("");
  const w = words();
  return (
    <Dialog title={title} close={close}>
      {text !== "" && <p>{text}</p>}
      {children}
      {typed !== undefined && (
        <label class="field">
          {w.overview.typeName(typed)}
          <input value={entered} autocomplete="off" spellcheck={false}
            onInput={(event) => setEntered(event.currentTarget.value)} />
        </label>
      )}
      <div class="actions">
        <button type="button" onClick={close}>{w.common.cancel}</button>
        <ActButton kind={isDanger ? "danger" : "primary"} isDisabled={typed !== undefined && entered !== typed}
          act={async () => {
            await act();
            close();
          }}>
          {verb}
        </ActButton>
      </div>
    </Dialog>
  );
}
