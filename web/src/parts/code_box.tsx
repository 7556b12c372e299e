// Text to take away, with a button that copies it.
import { useState } from "preact/hooks";
import { words } from "../words";

const kToldMs = 2000;

export function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), kToldMs);
  };
  const w = words().common;
  return <button type="button" onClick={() => void copy()}>{isCopied ? w.copied : w.copy}</button>;
}

export function CodeBox({ text, label }: { text: string; label: string }) {
  return (
    <div class="code-box">
      <pre class="code wrap" tabIndex={0} role="region" aria-label={label}>{text}</pre>
      <CopyButton text={text} />
    </div>
  );
}
