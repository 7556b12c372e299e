// A button for what takes a moment: it is disabled while that runs, and says what went wrong beside it.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { troubleText } from "./panel";

interface Act {
  act: () => Promise<unknown>;
  kind?: "primary" | "danger" | "plain" | "";
  isDisabled?: boolean;
  children: ComponentChildren;
}

export function ActButton({ act, kind = "", isDisabled = false, children }: Act) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const run = (): void => {
    setBusy(true);
    setError(undefined);
    act().catch((cause: unknown) => setError(ApiError.of(cause))).finally(() => setBusy(false));
  };
  return (
    <>
      <button type="button" class={kind} disabled={isBusy || isDisabled} aria-busy={isBusy} onClick={run}>
        {children}
      </button>
      {error !== undefined && <span class="small trouble" role="alert">{troubleText(error)}</span>}
    </>
  );
}
