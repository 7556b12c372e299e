// What the admin API says, as far as the console reads it. Names are the API's own. Money: micro-units.

export interface Session {
  scope: "admin" | "read";
  expires_at: number | string | null;
  is_open: boolean;
}

export type State =
  "asleep" | "starting" | "loading" | "ready" | "draining" | "stopping" | "backoff" | "failed";

export interface Instance {
  instance_id: string;
  state: State;
  isa: string;
  alive_s: number;
  context_length: number;
  running: number;
  note: string;
  reachable: boolean;
  wake_provider_s: number;
  wake_boot_s: number;
  wake_load_s: number;
  cpu_cores?: number;
  resident_bytes?: number;
}

export interface Deployment {
  name: string;
  image: string;
  state: State;
  awake_because: string;
  in_state_s: number;
  load_fraction: number;
  running: number;
  waiting: number;
  idle_timeout_s: number;
  idle_timeout: string;
  idle_left_s?: number;
  backoff_left_s?: number;
  failure: string;
  wakes: number;
  instances: Instance[];
  defined_by: string;
  source: "file" | "api" | "demo";
  runtime: string;
  driver: string;
  instance_type: string;
  billing: string;
  exposure: "private" | "public";
  min: number;
  max: number;
  requests_per_minute: number;
  since_ms?: number;
  tokens_per_second?: number | null;
  reason?: { code: string; detail: string } | null;
  today?: { requests: number; output_tokens: number; ttft_p50_ms: number | null; ttft_p95_ms: number | null };
  cost?: {
    currency: string;
    today_micros: number;
    month_micros: number;
    forecast_micros: number | null;
    saved_micros: number | null;
  } | null;
}

export interface Status {
  version: string;
  uptime_s: number;
  draining: boolean;
  resident_bytes: number;
  listen: string[];
  urls: string[];
  notices: string[];
  machine: { cores: number; cpu?: number; memory_available_bytes?: number; gpus: { name: string }[] };
  deployments: Deployment[];
  pulls: Pull[];
}

// A download that waits, runs, failed or was cancelled; one that has come is no more there.
export interface Pull {
  reference: string;
  state: "queued" | "running" | "failed" | "cancelled";
  stage: "asking" | "loading" | "checking" | "copying" | null;
  done: number;
  total: number | null;
  bytes_per_second: number;
  seconds_left: number | null;
  source: string | null;
  error: { code: string; message: string; detail: string } | null;
}

export interface Latencies {
  requests: number;
  mean_us: number;
  p50_us: number;
  p95_us: number;
  p99_us: number;
}

export interface UsageRow {
  time: string | null;
  bucket_us: number;
  weekday: number; // 0 is Monday
  hour: number;
  deployment: string;
  key_id: string;
  requests: number;
  failed: number;
  cold_requests: number;
  refused: number;
  input_tokens: number;
  cached_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  request_busy_us: number;
  waking_us: number;
  busy_us: number;
  idle_us: number;
  duration: Latencies | null;
  ttft: Latencies | null;
  money: { currency: string; cost_micros: number; billed_micros: number }[];
}

export interface Usage {
  time_zone: string;
  begin: string | null;
  end: string;
  rows: UsageRow[];
  total: UsageRow;
}

export interface ErrorRow {
  kind: string;
  deployment: string;
  requests: number;
  last_us: number;
}

export interface Errors {
  errors: ErrorRow[];
  refusals: ErrorRow[];
}

export interface BillTotal {
  currency: string;
  total_micros: number;
  fee_micros: number;
  busy_micros: number;
  waking_micros: number;
  idle_micros: number;
  busy_us: number;
  waking_us: number;
  idle_us: number;
  requests: number;
}

export interface Bill {
  month: string;
  time_zone: string;
  begin_us: number;
  end_us: number;
  so_far: boolean;
  lines: (BillTotal & { deployment: string })[];
  totals: BillTotal[];
  unpriced: { deployment: string; awake_us: number; requests: number }[];
}

export interface PlanRow {
  kind: "naive" | "timer" | "window" | "always" | "monthly";
  micros: number;
  awake_s: number;
  busy_s: number;
  waking_s?: number;
  idle_s?: number;
  cold_share?: number;
  p50_s?: number;
  p99_s?: number;
  idle_timeout_s?: number;
  wake_s?: number;
}

export interface Plan {
  instance_type: string;
  currency: string;
  requests_per_day: number | null;
  idle_timeout_s: number;
  wake_s: number;
  months: number;
  tariff: { hour_micros: number; month_micros: number | null };
  asked: number;
  rows: PlanRow[];
  break_even_hours: number | null;
}

export interface Choice {
  kind: "timer" | "monthly";
  micros: number;
  cold_share: number;
  p99_s: number;
  idle_timeout_s?: number;
  awake?: string[];
}

export type Verdict =
  "change" | "best" | "unreachable" | "too_few_days" | "no_requests" | "unpriced" | "several_instances";

export interface Advice {
  verdict: Verdict;
  days: number;
  requests: number;
  currency: string;
  now: Choice | null;
  then: Choice | null;
  monthly: Choice | null;
  saving_micros: number;
  change: { idle_timeout?: string; max?: number; awake?: string[] };
  why: { reason: "waiting" | "office_hours" | "goal" | "unused_instances"; number: number }[];
}

export interface MeasuredPlan {
  deployment: string;
  days: number;
  requests: number;
  most_at_once: number;
  wake: { wakes: number; median_s: number | null };
  rules: { idle_timeout: string; max: number; awake: string[] };
  plan: Plan;
  interval: { low_micros: number; high_micros: number; days: number } | null;
  advice: Advice;
}

export interface KeptAdvice {
  id: number;
  deployment: string;
  kind: "weekly" | "regret";
  paid_micros: number | null;
  best_micros: number | null;
  currency: string;
  body: { month?: string; best?: Choice | null };
}

export interface Key {
  kid: string;
  prefix: string;
  hint: string;
  name: string;
  scope: "inference" | "read" | "admin";
  state: string;
  models: string[];
  rpm: number;
  tpm: number;
  concurrency: number;
  budget: string;
  created_us: number;
  expires_us: number | null;
  revoked_us: number | null;
  used_us: number;
  spent_micros?: number;
}

export interface Request {
  request_id: string;
  deployment: string;
  key_id: string;
  dialect: string;
  at_us: number;
  outcome: "ok" | "client_gone" | "failed" | "interrupted" | "open";
  error_kind: string;
  input_tokens: number;
  output_tokens: number;
  wake_wait_us: number;
  ttft_us: number;
  duration_us: number;
  busy_ns: number;
  cost_micros: number | null;
  currency: string;
}

export interface PublishedLoss {
  of: string;
  kld: number | null;
  same_top: number | null;
  perplexity_rise: number | null;
  source: string;
}

export interface Image {
  name: string;
  tag: string;
  title_en: string;
  title_zh: string;
  suits_en: string;
  suits_zh: string;
  parameters: string;
  quantisation: string;
  runtimes: string[];
  bytes: number;
  memory_bytes: number;
  licence: string;
  is_present: boolean;
  is_pulled_by_runtime: boolean;
  sources: { hub: string }[];
  part_bytes: number | null;
  kld: number | null;
  published_losses: PublishedLoss[];
}

export interface InstanceType {
  id: string;
  title_en: string;
  title_zh?: string;
  hour_micros: number | null;
  month_micros: number | null;
  currency: string | null;
  vram_bytes: number | null;
  memory_bytes: number | null;
  tokens_per_second?: number | null;
  source: string | null;
  as_of: string | null;
}

export interface Strip {
  from: number;
  to: number;
  pieces: { from: number; to: number; kind: "busy" | "waking" | "idle" }[];
  requests: number[];
}
