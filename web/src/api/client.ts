// The one door to the server. Paths are of this origin; the session is a cookie that scripts cannot read.

interface ErrorBody {
  error?: { message?: string; code?: string; param?: string | null };
}

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: the server could not be reached
    readonly code: string,
    message: string,
    readonly parameter: string = "",
  ) {
    super(message);
  }

  static of(cause: unknown): ApiError {
    if (cause instanceof ApiError) return cause;
    return new ApiError(0, "unreachable", cause instanceof Error ? cause.message : String(cause));
  }

  static async from(answer: Response): Promise<ApiError> {
    const text = await answer.text();
    try {
      const { error } = JSON.parse(text) as ErrorBody;
      return new ApiError(answer.status, error?.code ?? "", error?.message ?? text, error?.param ?? "");
    } catch {
      return new ApiError(answer.status, "", text.slice(0, 200));
    }
  }
}

type Query = Record<string, string | number | undefined>;

export function pathWith(path: string, query: Query): string {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") out.set(key, String(value));
  }
  const text = out.toString();
  return text === "" ? path : `${path}?${text}`;
}

let onSignedOut: () => void = () => {};
// Told when the server no longer knows who we are.
export function whenSignedOut(tell: () => void): void {
  onSignedOut = tell;
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch (cause) {
    throw ApiError.of(cause);
  }
  if (answer.ok) return answer;
  const error = await ApiError.from(answer);
  if (answer.status === 401 && !path.endsWith("/session")) onSignedOut();
  throw error;
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const answer = await ask(pathWith(path, query), signal === undefined ? {} : { signal });
  return (await answer.json()) as T;
}

export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  const answer = await ask(path, signal === undefined ? {} : { signal });
  return answer.text();
}

// POST, PATCH, DELETE. The answer is whatever JSON it has.
export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  const answer = await ask(path, init);
  const text = await answer.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

// The body is the caller's to read, piece by piece.
export function stream(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return ask(path, { method: "POST", body: JSON.stringify(body), headers, signal });
}

export const deploymentPath = (name: string, verb = ""): string =>
  `/admin/v1/deployments/${encodeURIComponent(name)}${verb === "" ? "" : `/${verb}`}`;
export const pullPath = (reference: string): string => `/admin/v1/images/${encodeURIComponent(reference)}/pull`;
