// Step 1: the image. Search is the server's, which knows both languages. One that is not here can be fetched from here.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import { status } from "../api/events";
import type { Image, PublishedLoss } from "../api/types";
import { useLoad } from "../base/load";
import { bytesText, memoryText, percentText } from "../base/number";
import { SelectField, TextField } from "../parts/field";
import { Trouble } from "../parts/panel";
import { inLanguage, words } from "../words";
import { canPull, Download, isUnderWay } from "./download";
import { reference } from "./wish";

const kPauseMs = 200;  // after a key, before the server is asked
const kFirstShown = 6;

const distinct = (texts: string[]): string[] => [...new Set(texts)].filter((one) => one !== "").sort();

function useLater(text: string): string {
  const [later, setLater] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setLater(text), kPauseMs);
    return () => clearTimeout(timer);
  }, [text]);
  return later;
}

function publishedText(loss: PublishedLoss): string {
  const w = words().deploy;
  const parts = [
    loss.kld === null ? "" : loss.kld < 0.001 ? w.lossUnder("0.001") : `${loss.kld.toFixed(3)} nats`,
    loss.same_top === null ? "" : w.sameTop(`${(loss.same_top * 100).toFixed(1)} %`),
    loss.perplexity_rise === null ? ""
      : w.perplexity(`${loss.perplexity_rise < 0 ? "−" : "+"}${percentText(Math.abs(loss.perplexity_rise))}`),
  ];
  return w.lossOf(loss.of, parts.filter((part) => part !== ""));
}

// What was measured of these weights, and what others published of the quantisation: never one for the other.
function Loss({ image }: { image: Image }) {
  const w = words().deploy;
  const measured = image.kld === null ? w.kldUnknown : w.kld(String(image.kld));
  if (image.published_losses.length === 0) return <>{measured}</>;
  const sources = image.published_losses.map((loss) => `${loss.of}: ${loss.source}`).join("\n");
  return <span title={sources}>{w.published(image.published_losses.map(publishedText), measured)}</span>;
}

interface Gallery {
  images: Image[];
  free_bytes: number | null;
}

function ImageChoice({ image, isChosen, most, choose, children }: {
  image: Image;
  isChosen: boolean;
  most: number;
  choose: () => void;
  children?: ComponentChildren;
}) {
  const w = words().deploy;
  const name = reference(image);
  const where = image.is_present ? w.here : image.is_pulled_by_runtime ? w.byRuntime
    : canPull(image) ? w.away : w.notHere(name);
  return (
    <div class="choice moves">
      <label>
        <input type="radio" name="image" value={name} checked={isChosen} onChange={choose} />
        <span class="spread"><strong>{name}</strong><span class="tag">{image.quantisation}</span></span>
        <span class="small">{inLanguage(image.title_en, image.title_zh)}</span>
        <span class="small soft">{inLanguage(image.suits_en, image.suits_zh)}</span>
        <span class="meter" aria-hidden="true">
          <div class="fill-accent" style={{ width: `${Math.max(1, (image.memory_bytes / Math.max(1, most)) * 100)}%` }} />
        </span>
        <span class="small soft">
          {w.memory} {memoryText(image.memory_bytes)} · {w.download} {bytesText(image.bytes)} · {image.licence}
        </span>
        <span class="small soft"><Loss image={image} /></span>
        <span class="small soft"><span class={image.is_present ? "awake" : ""}>{where}</span></span>
      </label>
      {children}
    </div>
  );
}

function Choices({ images, wasAway, chosen, choose, download }: {
  images: Image[];
  wasAway: Set<string>;
  chosen: string;
  choose: (image: Image) => void;
  download: (image: Image) => ComponentChildren;
}) {
  const w = words().deploy;
  const [shown, setShown] = useState(kFirstShown);
  const most = Math.max(...images.map((image) => image.memory_bytes), 1);
  // What was there needs no download: it comes first. What comes meanwhile stays where it is.
  const isAway = (image: Image): number => Number(wasAway.has(reference(image)));
  const sorted = [...images].sort((a, b) => isAway(a) - isAway(b));
  if (images.length === 0) return <p class="waiting">{w.noImage}</p>;
  return (
    <div class="stack tight">
      <div class="choices" role="radiogroup" aria-label={w.image}>
        {sorted.slice(0, shown).map((image) => (
          <ImageChoice key={reference(image)} image={image} most={most} isChosen={reference(image) === chosen}
            choose={() => choose(image)}>
            {canPull(image) && download(image)}
          </ImageChoice>
        ))}
      </div>
      {sorted.length > shown && (
        <div><button type="button" class="plain" onClick={() => setShown(sorted.length)}>{w.more(sorted.length - shown)}</button></div>
      )}
    </div>
  );
}

export function ImageStep({ chosen, choose, type }: {
  chosen: string;
  choose: (image: Image) => void;
  type: (name: string) => void;
}) {
  const w = words();
  const [query, setQuery] = useState("");
  const [quantisation, setQuantisation] = useState("");
  const [runtime, setRuntime] = useState("");
  const asked = useLater(query.trim());
  // One that has come, failed or was stopped: what is here has changed.
  const underWay = (status.value?.pulls ?? []).filter(isUnderWay).map((pull) => pull.reference).join(" ");
  const load = useLoad((signal) => get<Gallery>("/admin/v1/images", { q: asked }, signal), [asked, underWay]);
  const images = load.value?.images ?? [];
  const away = useRef(new Set<string>());  // that were not here when they were first seen
  const awaited = useRef(new Set<string>());  // whose download was begun here
  for (const image of images) if (!image.is_present) away.current.add(reference(image));
  useEffect(() => {
    const arrived = images.find((image) => image.is_present && awaited.current.delete(reference(image)));
    const first = arrived ?? (chosen === "" ? images.find((image) => image.is_present) : undefined);
    if (first !== undefined) choose(first);
  }, [load.value]);
  if (load.error?.status === 404) {
    return (
      <div class="stack tight">
        <p class="soft">{w.deploy.noGallery}</p>
        <TextField label={w.deploy.imageName} value={chosen} set={type} />
      </div>
    );
  }
  if (load.error !== undefined) return <Trouble error={load.error} again={load.again} />;
  const found = images.filter((image) =>
    (quantisation === "" || image.quantisation === quantisation) && (runtime === "" || image.runtimes.includes(runtime)));
  const options = (all: string[]): { value: string; text: string }[] =>
    [{ value: "", text: w.common.all }, ...distinct(all).map((one) => ({ value: one, text: one }))];
  return (
    <div class="stack">
      <div class="fields">
        <TextField label={w.deploy.search} value={query} set={setQuery} type="search"
          placeholder={w.deploy.searchSuch} />
        <SelectField label={w.deploy.quantisation} value={quantisation} set={setQuantisation}
          options={options(images.map((image) => image.quantisation))} />
        <SelectField label={w.deploy.runtime} value={runtime} set={setRuntime}
          options={options(images.flatMap((image) => image.runtimes))} />
      </div>
      {load.value === undefined ? <p class="waiting tall" role="status">{w.common.loading}</p>
        : <Choices key={`${asked} ${quantisation} ${runtime}`} images={found} wasAway={away.current} chosen={chosen}
            choose={choose} download={(image) => (
              <Download image={image} freeBytes={load.value?.free_bytes ?? null}
                begin={() => awaited.current.add(reference(image))} begun={load.again} />
            )} />}
    </div>
  );
}
