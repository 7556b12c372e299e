// One conversation with a deployment, by the same door as everybody's: POST /v1/chat/completions, streamed. What an
// answer took and cost is asked of the ledger afterwards, by its request id: settled rows are final.
import { get, stream } from "../api/client";
import type { Request } from "../api/types";

export interface Turn {
  role: "user" | "assistant";
  text: string;
  thoughts: string;
  state: "done" | "waking" | "thinking" | "writing" | "stopped" | "cut" | "failed";
  failure: string;
  receipt?: Request | undefined;
}

export interface Controls {
  model: string;
  system: string;
  isThinking: boolean;
  maxTokens: number;
  temperature: number | undefined; // undefined: what the model's makers recommend
  topP: number | undefined;
  seed: number | undefined;
}

interface Chunk {
  choices?: { delta?: { content?: string; reasoning_content?: string }; finish_reason?: string | null }[];
  error?: { message?: string };
}

export function bodyOf(controls: Controls, turns: Turn[]): Record<string, unknown> {
  const messages = turns.map((turn) => ({ role: turn.role, content: turn.text }));
  const system = controls.system.trim() === "" ? [] : [{ role: "system", content: controls.system }];
  const body: Record<string, unknown> = {
    model: controls.model,
    messages: [...system, ...messages],
    max_tokens: controls.maxTokens,
    stream: true,
  };
  if (controls.temperature !== undefined) body["temperature"] = controls.temperature;
  if (controls.topP !== undefined) body["top_p"] = controls.topP;
  if (controls.seed !== undefined) body["seed"] = controls.seed;
  if (controls.isThinking) body["chat_template_kwargs"] = { enable_thinking: true };
  return body;
}

// Whole events of a stream, and the rest that is not one yet. Comments (": waking") are not events.
export function takeEvents(buffer: string): { events: string[]; rest: string } {
  const parts = buffer.split("\n\n");
  const rest = parts.pop() ?? "";
  const events = parts.flatMap((part) =>
    part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()),
  );
  return { events, rest };
}

export function withChunk(turn: Turn, chunk: Chunk): Turn {
  if (chunk.error !== undefined) return { ...turn, state: "failed", failure: chunk.error.message ?? "" };
  const choice = chunk.choices?.[0];
  const content = choice?.delta?.content ?? "";
  const thought = choice?.delta?.reasoning_content ?? "";
  const next: Turn = { ...turn, text: turn.text + content, thoughts: turn.thoughts + thought };
  if (thought !== "") next.state = "thinking";
  if (content !== "") next.state = "writing";
  if (choice?.finish_reason === "length") next.state = "cut";
  else if (choice?.finish_reason != null) next.state = "done";
  return next;
}

// The row appears in the ledger with the stream's end; what was stopped is settled a moment later.
async function receiptOf(id: string, tries = 5): Promise<Request | undefined> {
  for (let attempt = 0; attempt < tries; ++attempt) {
    const page = await get<{ rows: Request[] }>("/admin/v1/requests", { limit: 50 });
    const row = page.rows.find((one) => one.request_id === id);
    if (row !== undefined && row.outcome !== "open") return row;
    await new Promise((resume) => setTimeout(resume, 300));
  }
  return undefined;
}

async function readAll(answer: Response, turn: Turn, show: (turn: Turn) => void): Promise<Turn> {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let buffer = "";
  let now = turn;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    const { events, rest } = takeEvents(buffer + decoder.decode(value, { stream: true }));
    buffer = rest;
    for (const event of events) {
      if (event !== "[DONE]") now = withChunk(now, JSON.parse(event) as Chunk);
    }
    show(now);
  }
  return now;
}

export async function ask(
  controls: Controls, turns: Turn[], abort: AbortController, show: (turn: Turn) => void,
): Promise<void> {
  let now: Turn = { role: "assistant", text: "", thoughts: "", state: "waking", failure: "" };
  const keep = (turn: Turn): void => {
    now = turn;
    show(turn);
  };
  show(now);
  let id = "";
  try {
    const answer = await stream("/v1/chat/completions", bodyOf(controls, turns), abort.signal);
    id = answer.headers.get("x-request-id") ?? "";
    keep(await readAll(answer, now, keep));
  } catch (cause) {
    const failure = cause instanceof Error ? cause.message : String(cause);
    keep({ ...now, state: abort.signal.aborted ? "stopped" : "failed", failure: abort.signal.aborted ? "" : failure });
  }
  if (id === "") return;
  const receipt = await receiptOf(id).catch(() => undefined);
  if (receipt !== undefined) keep({ ...now, receipt });
}
