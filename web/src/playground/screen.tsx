// Left the conversation, right the controls.
import { useEffect, useRef, useState } from "preact/hooks";
import { status } from "../api/events";
import { href } from "../base/route";
import { CodeBox } from "../parts/code_box";
import { Panel, Waiting } from "../parts/panel";
import { Segments } from "../parts/segments";
import { words } from "../words";
import { ControlsView } from "./controls_view";
import { snippet, type Dialect } from "./snippets";
import { ask, bodyOf, type Controls, type Turn } from "./talk";
import { TurnView } from "./turn_view";

const kFirst: Controls = {
  model: "", system: "", isThinking: false, maxTokens: 512, temperature: undefined, topP: undefined, seed: undefined,
};

function CodePanel({ controls, turns }: { controls: Controls; turns: Turn[] }) {
  const [dialect, setDialect] = useState<Dialect>("curl");
  const w = words().playground;
  const asked = turns.filter((turn) => turn.text !== "");
  const last = asked.map((turn) => turn.role).lastIndexOf("user");
  const shown = last < 0 ? [{ role: "user", text: "…", thoughts: "", state: "done", failure: "" } as Turn]
    : asked.slice(0, last + 1);
  const origin = status.value?.urls[0] ?? location.origin;
  return (
    <Panel title={w.code} actions={
      <Segments label={w.code} value={dialect} choose={setDialect} choices={[
        { value: "curl", text: "curl" }, { value: "python", text: "Python" }, { value: "javascript", text: "JavaScript" },
      ]} />
    }>
      <CodeBox label={w.code} text={snippet(dialect, origin, bodyOf(controls, shown))} />
    </Panel>
  );
}

// The conversation, and the one answer that may be under way.
function useTalk(controls: Controls) {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [running, setRunning] = useState<AbortController | undefined>(undefined);
  useEffect(() => () => running?.abort(), [running]);
  const send = (text: string): void => {
    const asked: Turn[] = [...turns, { role: "user", text, thoughts: "", state: "done", failure: "" }];
    const abort = new AbortController();
    setTurns(asked);
    setRunning(abort);
    ask(controls, asked, abort, (answer) => setTurns([...asked, answer])).finally(() => setRunning(undefined));
  };
  return { turns, send, running, clear: () => setTurns([]) };
}

function AskBox({ send, running }: { send: (text: string) => void; running: AbortController | undefined }) {
  const [text, setText] = useState("");
  const w = words().playground;
  const go = (): void => {
    if (text.trim() === "" || running !== undefined) return;
    send(text);
    setText("");
  };
  return (
    <form class="ask" onSubmit={(event) => { event.preventDefault(); go(); }}>
      <textarea rows={1} aria-label={w.message} placeholder={w.placeholder} value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          // An input method's Enter chooses a word; it does not send.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          go();
        }} />
      {running === undefined
        ? <button type="submit" class="primary" disabled={text.trim() === ""}>{w.send}</button>
        : <button type="button" onClick={() => running.abort()}>{w.stop}</button>}
    </form>
  );
}

export function PlaygroundScreen({ chosen }: { chosen: string }) {
  const w = words();
  const [controls, setControls] = useState<Controls>(kFirst);
  // Beside the conversation there is place for them; above it they are asked for.
  const [isWide] = useState(() => matchMedia("(min-width: 1081px)").matches);
  const end = useRef<HTMLDivElement>(null);
  const names = status.value?.deployments.map((one) => one.name) ?? [];
  const wanted = names.includes(controls.model) ? controls.model : names.includes(chosen) ? chosen : names[0] ?? "";
  const asked = { ...controls, model: wanted };
  const { turns, send, running, clear } = useTalk(asked);
  useEffect(() => {
    if (turns.length > 0) end.current?.scrollIntoView({ block: "nearest" });
  }, [turns]);
  return (
    <>
      <div class="screen-head">
        <h1>{w.playground.title}</h1>
        {turns.length > 0 && (
          <button type="button" onClick={clear} disabled={running !== undefined}>{w.playground.clear}</button>
        )}
      </div>
      <div class="play">
        <div class="stack">
          <div class="talk">
            {status.value === undefined && <Waiting isTall />}
            {status.value?.deployments.length === 0 && (
              <p class="waiting">{w.playground.none} <a href={href("deploy")}>{w.nav.deploy}</a></p>
            )}
            {names.length > 0 && turns.length === 0 && <p class="waiting tall">{w.playground.empty}</p>}
            {turns.map((turn, index) => <TurnView key={index} turn={turn} />)}
            <div ref={end} />
          </div>
          <AskBox send={send} running={running} />
        </div>
        <aside aria-label={w.playground.controls}>
          <details class="panel" open={isWide}>
            <summary><h2>{w.playground.controls}</h2></summary>
            <ControlsView controls={asked} set={setControls} />
          </details>
        </aside>
      </div>
      <CodePanel controls={asked} turns={turns} />
    </>
  );
}
