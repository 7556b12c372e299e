-- What a request was worth and what came of it; sums that reports read instead of rows; refusals, fees and prices.
-- request_entries is made anew: a further kind (refund) and columns with CHECKs cannot be added in place. Its key is
-- (request_id, kind): ids begin with their time (UUIDv7), so rows are appended in order and no second index is needed.

CREATE TABLE price_versions (
  version INTEGER PRIMARY KEY,
  instance_type TEXT NOT NULL,
  billing TEXT NOT NULL CHECK (billing IN ('hourly', 'monthly')),
  currency TEXT NOT NULL CHECK (length(currency) = 3),
  period_micros INTEGER NOT NULL CHECK (period_micros >= 0),  -- for period_us of one instance
  period_us INTEGER NOT NULL CHECK (period_us > 0),
  increment_us INTEGER NOT NULL CHECK (increment_us > 0),     -- what is paid whole
  source TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  UNIQUE (instance_type, billing, currency, period_micros, period_us, increment_us)
) STRICT;

ALTER TABLE start_intents ADD COLUMN price_version INTEGER REFERENCES price_versions (version);

DROP TRIGGER request_entries_no_update;
DROP TRIGGER request_entries_no_delete;
DROP INDEX request_entries_settled;
ALTER TABLE request_entries RENAME TO request_entries_before;

CREATE TABLE request_entries (
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('reserve', 'settle', 'refund')),
  at_us INTEGER NOT NULL,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  instance_id TEXT REFERENCES instance_spans (instance_id),
  key_id TEXT,
  client_request_id TEXT NOT NULL DEFAULT '',
  dialect TEXT NOT NULL DEFAULT '',
  -- reserve: the most it may come to; settle: billed; refund: given back.
  input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
  cached_tokens INTEGER NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
  output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
  reasoning_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0),  -- of output_tokens
  produced_tokens INTEGER NOT NULL DEFAULT 0 CHECK (produced_tokens >= 0),    -- what the engine made
  outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'ok', 'client_gone', 'failed', 'interrupted')),
  error_code TEXT NOT NULL DEFAULT '',   -- what the client was told
  error_kind TEXT NOT NULL DEFAULT '',   -- what it was: timeout, oom, worker_crashed, ...
  finish_reason TEXT NOT NULL DEFAULT '',
  http_status INTEGER NOT NULL DEFAULT 0,
  queue_us INTEGER NOT NULL DEFAULT 0 CHECK (queue_us >= 0),          -- waited for its turn on an awake instance
  wake_wait_us INTEGER NOT NULL DEFAULT 0 CHECK (wake_wait_us >= 0),
  ttft_us INTEGER NOT NULL DEFAULT 0 CHECK (ttft_us >= 0),
  duration_us INTEGER NOT NULL DEFAULT 0 CHECK (duration_us >= 0),
  busy_ns INTEGER NOT NULL DEFAULT 0 CHECK (busy_ns >= 0),            -- its share of its instance's busy time
  price_version INTEGER REFERENCES price_versions (version),
  cost_micros INTEGER CHECK (cost_micros >= 0),  -- what its share of busy time cost
  micros INTEGER CHECK (micros >= 0),            -- of them billed
  currency TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (request_id, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO request_entries (request_id, kind, at_us, deployment_id, instance_id, key_id, client_request_id, dialect,
    input_tokens, cached_tokens, output_tokens, produced_tokens, outcome, error_code, error_kind, http_status,
    wake_wait_us, ttft_us, duration_us)
  SELECT request_id, kind, at_us, deployment_id, instance_id, key_id, client_request_id, dialect, input_tokens,
    cached_tokens, output_tokens, iif(kind = 'settle', output_tokens, 0), outcome, error_code, error_code, http_status,
    wake_wait_us, ttft_us, duration_us
  FROM request_entries_before;
DROP TABLE request_entries_before;

-- Append-only; retention (which keeps the sums) says so first.
ALTER TABLE ledger_state ADD COLUMN compacting INTEGER NOT NULL DEFAULT 0 CHECK (compacting IN (0, 1));
CREATE TRIGGER request_entries_no_update BEFORE UPDATE ON request_entries
BEGIN SELECT RAISE (ABORT, 'request_entries is append-only'); END;
CREATE TRIGGER request_entries_no_delete BEFORE DELETE ON request_entries
WHEN (SELECT compacting FROM ledger_state) = 0
BEGIN SELECT RAISE (ABORT, 'request_entries is append-only'); END;

-- 'closing': settled, and its last bytes are not known to be written. Recovery gives back what they held.
ALTER TABLE open_requests ADD COLUMN state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'closing'));
ALTER TABLE open_requests ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE open_requests ADD COLUMN produced_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE open_requests ADD COLUMN micros INTEGER;  -- so far; with the two below
ALTER TABLE open_requests ADD COLUMN currency TEXT NOT NULL DEFAULT '';
ALTER TABLE open_requests ADD COLUMN price_version INTEGER;

-- Sums by a quarter of an hour of settlement, kept inside the settle's transaction: a day begins on a quarter in every
-- time zone there is. key_id '': no key. A refund is subtracted from the quarter it is written in, but not from
-- requests. Money of two currencies never meets in a row.
CREATE TABLE usage_quarters (
  slot_us INTEGER NOT NULL,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  key_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  requests INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,        -- of them: failed or interrupted
  client_gone INTEGER NOT NULL DEFAULT 0,
  cold INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  produced_tokens INTEGER NOT NULL DEFAULT 0,
  queue_us INTEGER NOT NULL DEFAULT 0,
  wake_wait_us INTEGER NOT NULL DEFAULT 0,
  ttft_us INTEGER NOT NULL DEFAULT 0,
  first_tokens INTEGER NOT NULL DEFAULT 0,  -- requests that had one: ttft_us is their sum
  duration_us INTEGER NOT NULL DEFAULT 0,
  busy_ns INTEGER NOT NULL DEFAULT 0,
  cost_micros INTEGER NOT NULL DEFAULT 0,
  micros INTEGER NOT NULL DEFAULT 0,
  refunds INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (slot_us, deployment_id, key_id, currency)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_quarters (slot_us, deployment_id, key_id, currency, requests, failed, client_gone, cold, unpriced,
    input_tokens, cached_tokens, output_tokens, produced_tokens, wake_wait_us, ttft_us, first_tokens, duration_us)
  SELECT at_us / 900000000 * 900000000, deployment_id, coalesce(key_id, ''), '', count(*),
    sum(outcome IN ('failed', 'interrupted')), sum(outcome = 'client_gone'), sum(wake_wait_us > 0), count(*),
    sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(produced_tokens), sum(wake_wait_us), sum(ttft_us),
    sum(ttft_us > 0), sum(duration_us)
  FROM request_entries WHERE kind = 'settle' GROUP BY 1, 2, 3;

-- Counts by eighths of an octave (ledger/latency.h), for percentiles without reading rows.
CREATE TABLE latency_quarters (
  slot_us INTEGER NOT NULL,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  what TEXT NOT NULL CHECK (what IN ('duration', 'ttft')),
  bucket INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (slot_us, deployment_id, what, bucket)
) STRICT, WITHOUT ROWID;

-- Settled requests that had an error, by its kind.
CREATE TABLE error_quarters (
  slot_us INTEGER NOT NULL,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  key_id TEXT NOT NULL,
  error_kind TEXT NOT NULL,
  requests INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  PRIMARY KEY (slot_us, deployment_id, key_id, error_kind)
) STRICT, WITHOUT ROWID;

-- Requests that were turned away and reserved nothing. Names as they were asked for: no such deployment may exist.
CREATE TABLE refusal_minutes (
  minute_us INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  deployment TEXT NOT NULL,
  reason TEXT NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (minute_us, key_id, deployment, reason)
) STRICT, WITHOUT ROWID;

-- How an instance's time was spent, by the quarter it was spent in: idle is awake less waking less busy.
CREATE TABLE instance_quarters (
  slot_us INTEGER NOT NULL,
  instance_id TEXT NOT NULL REFERENCES instance_spans (instance_id),
  awake_us INTEGER NOT NULL DEFAULT 0,
  waking_us INTEGER NOT NULL DEFAULT 0,
  busy_us INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (slot_us, instance_id)
) STRICT, WITHOUT ROWID;

-- What is due whether anything runs or not. month: "2026-11", of the server's reporting time zone.
CREATE TABLE fees (
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  month TEXT NOT NULL,
  month_begin_us INTEGER NOT NULL,
  price_version INTEGER NOT NULL REFERENCES price_versions (version),
  micros INTEGER NOT NULL CHECK (micros >= 0),
  currency TEXT NOT NULL,
  booked_us INTEGER NOT NULL,
  PRIMARY KEY (deployment_id, month)
) STRICT, WITHOUT ROWID;

-- Idempotency-Key: which request a client's key of a key stands for. Kept a day.
CREATE TABLE idempotency_keys (
  scope TEXT NOT NULL,          -- key id and route
  client_key TEXT NOT NULL,
  body_sha256 TEXT NOT NULL,
  request_id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (scope, client_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (at_us);
