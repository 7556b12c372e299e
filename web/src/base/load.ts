// What a panel shows while it asks: loading, the answer, or why there is none. A later answer replaces an earlier one
// in place, so nothing jumps; an answer that was overtaken is dropped. What the server could not be asked, it is asked
// again when the connection is back.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { link } from "../api/events";

export interface Load<T> {
  value: T | undefined;
  error: ApiError | undefined;
  isLoading: boolean;
  again: () => void;
}

// Asks whenever a key changes.
export function useLoad<T>(ask: (signal: AbortSignal) => Promise<T>, keys: unknown[]): Load<T> {
  const [value, setValue] = useState<T | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [isLoading, setLoading] = useState(true);
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const abort = new AbortController();
    setLoading(true);
    latest
      .current(abort.signal)
      .then((answer) => {
        if (abort.signal.aborted) return;
        setValue(answer);
        setError(undefined);
      })
      .catch((cause: unknown) => {
        if (!abort.signal.aborted) setError(ApiError.of(cause));
      })
      .finally(() => {
        if (!abort.signal.aborted) setLoading(false);
      });
    return () => abort.abort();
  }, [...keys, turn]);
  const again = (): void => setTurn((now) => now + 1);
  const isLive = link.value === "live";
  useEffect(() => {
    if (isLive && error?.status === 0) again();
  }, [isLive]);
  return { value, error, isLoading, again };
}
