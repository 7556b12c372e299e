// Text to take away, with a button that copies it. A page that did not come over TLS or from this machine has no
// clipboard of its own: there the text is selected and copied as a hand would, and if even that is refused, it says so.
import { useRef, useState } from "preact/hooks";
import { words } from "../words";

const kToldMs = 2000;

type Done = "copied" | "selected" | undefined;

async function copied(text: string, shown: HTMLElement): Promise<Done> {
  if (navigator.clipboard !== undefined) {
    try {
      await navigator.clipboard.writeText(text);
      return "copied";
    } catch {
      // refused: the other way is left
    }
  }
  getSelection()?.selectAllChildren(shown);
  return document.execCommand("copy") ? "copied" : "selected";
}

export function CodeBox({ text, label }: { text: string; label: string }) {
  const shown = useRef<HTMLPreElement>(null);
  const [done, setDone] = useState<Done>(undefined);
  const w = words().common;
  const copy = async (): Promise<void> => {
    if (shown.current === null) return;
    setDone(await copied(text, shown.current));
    setTimeout(() => setDone(undefined), kToldMs);
  };
  return (
    <div class="code-box">
      <pre class="code wrap" ref={shown} tabIndex={0} role="group" aria-label={label}>{text}</pre>
      <button type="button" onClick={() => void copy()}>{done === undefined ? w.copy : w[done]}</button>
      <span class="hidden-text" role="status">{done === undefined ? "" : w[done]}</span>
    </div>
  );
}
