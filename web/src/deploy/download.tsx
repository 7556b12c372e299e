// An image that is not on this machine yet: its download, begun, watched, stopped and taken up again. The same height in
// every state, so that nothing jumps.
import { pullPath, send } from "../api/client";
import { refresh, status } from "../api/events";
import { mayChange } from "../api/session";
import type { Image, Pull } from "../api/types";
import { bytesText } from "../base/number";
import { ActButton } from "../parts/button";
import { duration, words } from "../words";
import { reference } from "./wish";

export const pullOf = (name: string): Pull | undefined => status.value?.pulls.find((pull) => pull.reference === name);
export const isUnderWay = (pull: Pull | undefined): boolean => pull?.state === "queued" || pull?.state === "running";

// Whether a download can bring it, and may be begun by us: what a server fetches itself, or nobody knows a source of, it
// cannot.
export const canPull = (image: Image): boolean =>
  mayChange() && !image.is_present && !image.is_pulled_by_runtime && image.sources.length > 0;

function progressText(pull: Pull): string {
  const w = words().deploy;
  if (pull.state === "queued") return w.waitsForTurn;
  const stage = w.stage[pull.stage ?? "asking"];
  if (pull.total === null) return stage;
  const parts = [`${stage} ${Math.floor((pull.done / pull.total) * 100)} %`,
    `${bytesText(pull.done)} / ${bytesText(pull.total)}`];
  if (pull.bytes_per_second > 0) parts.push(w.perSecond(bytesText(pull.bytes_per_second)));
  if (pull.seconds_left !== null) parts.push(w.timeLeft(duration(Math.round(pull.seconds_left))));
  return parts.join(" · ");
}

function failureText(pull: Pull): string {
  if (pull.error === null) return words().common.failed;
  return words().deploy.pullFailed[pull.error.code] ?? pull.error.message;
}

function Progress({ name, pull }: { name: string; pull: Pull }) {
  const w = words().deploy;
  const percent = pull.total === null ? 0 : Math.floor((pull.done / pull.total) * 100);
  const text = progressText(pull);
  return (
    <>
      <p class="small soft">{text}</p>
      <span class="meter" role="progressbar" aria-label={w.loadingOf(name)} aria-valuemin={0} aria-valuemax={100}
        aria-valuenow={percent} aria-valuetext={text}>
        <div class="fill-accent moves" style={{ width: `${percent}%` }} />
      </span>
      <div class="row"><ActButton act={() => send("DELETE", pullPath(name)).then(refresh)}>{w.cancel}</ActButton></div>
    </>
  );
}

interface Offer {
  image: Image;
  freeBytes: number | null;
  begin: () => void; // it is begun here
  begun: () => void; // it may have come already
}

function Still({ image, pull, freeBytes, begin, begun }: Offer & { pull: Pull | undefined }) {
  const w = words().deploy;
  const name = reference(image);
  const kept = Math.max(image.part_bytes ?? 0, pull?.state === "cancelled" ? pull.done : 0);
  const start = async (): Promise<void> => {
    begin();
    await send("POST", pullPath(name));
    await refresh();
    begun();
  };
  const size = image.bytes > 0 ? bytesText(image.bytes) : "";
  const button = pull?.state === "failed" ? w.tryAgain : kept > 0 ? w.goOn(bytesText(kept)) : w.getIt(size);
  const facts = [pull === undefined ? "" : w.stopped, freeBytes === null ? "" : w.room(bytesText(freeBytes))];
  return (
    <>
      {pull?.state === "failed"
        ? <p class="small trouble" role="alert" title={pull.error?.detail}>{failureText(pull)}</p>
        : <p class="small soft">{facts.filter((fact) => fact !== "").join(" ")}</p>}
      <div class="row"><ActButton act={start}>{button.trim()}</ActButton></div>
    </>
  );
}

export function Download(offer: Offer) {
  const name = reference(offer.image);
  const pull = pullOf(name);
  return (
    <div class="download" data-pull={pull?.state ?? "none"} data-image={name}>
      {pull !== undefined && isUnderWay(pull) ? <Progress name={name} pull={pull} />
        : <Still {...offer} pull={pull} />}
    </div>
  );
}
