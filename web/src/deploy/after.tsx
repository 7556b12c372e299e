// After the deed: the live log, the ready line, and a box to try it.
import { useEffect, useState } from "preact/hooks";
import { deploymentPath, getText, send } from "../api/client";
import { refresh, status } from "../api/events";
import { now } from "../base/clock";
import { moneyText } from "../base/money";
import { figure } from "../base/number";
import { href } from "../base/route";
import { ActButton } from "../parts/button";
import { CodeBox } from "../parts/code_box";
import { Panel } from "../parts/panel";
import { reasonText, StateLabel } from "../parts/state";
import { duration, words } from "../words";

const kEveryMs = 2000;

function LiveLog({ name }: { name: string }) {
  const w = words();
  const [text, setText] = useState("");
  useEffect(() => {
    const abort = new AbortController();
    const look = (): void => {
      if (!document.hidden) getText(deploymentPath(name, "logs"), abort.signal).then(setText, () => {});
    };
    look();
    const timer = setInterval(look, kEveryMs);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [name]);
  return (
    <pre class="code wrap log" tabIndex={0} role="log" aria-label={w.deploy.log}>
      {text === "" ? w.logs.emptyLog : text}
    </pre>
  );
}

interface Generated {
  text: string;
  tokens_per_second: number;
  generation_time: number;
  wake_time: number;
  cost?: number | string;
  currency?: string;
}

function TestBox({ name }: { name: string }) {
  const w = words();
  const [prompt, setPrompt] = useState(w.deploy.testPrompt);
  const [answer, setAnswer] = useState<Generated | undefined>(undefined);
  const ask = async (): Promise<void> => {
    setAnswer(await send<Generated>("POST", "/generate", { model: name, prompt, max_tokens: 128 }));
  };
  return (
    <div class="stack tight">
      <label class="field">
        {w.deploy.test}
        <textarea rows={2} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
      </label>
      <div class="row"><ActButton act={ask} kind="primary">{w.deploy.ask}</ActButton></div>
      {answer !== undefined && (
        <div class="turn" data-answer>
          <p class="text">{answer.text}</p>
          <p class="receipt">
            <span>{w.deploy.answerTime(duration(answer.generation_time), figure(answer.tokens_per_second))}</span>
            {answer.wake_time > 0 && <span>{w.playground.woke(duration(answer.wake_time))}</span>}
            {answer.cost !== undefined && (
              <span>{w.playground.cost(moneyText(Math.round(Number(answer.cost) * 1e6), answer.currency ?? ""))}</span>
            )}
          </p>
        </div>
      )}
    </div>
  );
}

export function After({ name, another }: { name: string; another: () => void }) {
  const w = words();
  const found = status.value?.deployments.find((one) => one.name === name);
  const url = status.value?.urls[0] ?? location.origin;
  const curl = `curl ${url}/generate -d '${JSON.stringify({ model: name, prompt: w.deploy.testPrompt, max_tokens: 64 })}'`;
  const wake = async (): Promise<void> => {
    await send("POST", deploymentPath(name, "wake"));
    await refresh();
  };
  return (
    <div class="stack">
      <Panel title={w.common.pair(name, w.deploy.ready)} actions={
        <>
          {found?.state === "asleep" && <ActButton act={wake}>{w.deploy.wakeNow}</ActButton>}
          <a class="button" href={href("playground", name)}>{w.deploy.openPlayground}</a>
          <button type="button" onClick={another}>{w.deploy.another}</button>
        </>
      }>
        <div class="stack">
          {found !== undefined && <p><StateLabel state={found.state}>{reasonText(found, now.value)}</StateLabel></p>}
          <h3>{w.deploy.curl}</h3>
          <CodeBox text={curl} label={w.deploy.curl} />
          <TestBox name={name} />
        </div>
      </Panel>
      <Panel title={w.deploy.log}><LiveLog name={name} /></Panel>
    </div>
  );
}
