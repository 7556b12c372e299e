-- One `reserve` and one `settle` entry a request, never changed afterwards: a correction will be a further kind, not an
-- update. open_requests is working state: what recovery has to settle, without a scan of the history.

CREATE TABLE request_entries (
  id INTEGER PRIMARY KEY,
  request_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('reserve', 'settle')),
  at_us INTEGER NOT NULL,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  instance_id TEXT REFERENCES instance_spans (instance_id),
  key_id TEXT,
  client_request_id TEXT NOT NULL DEFAULT '',
  dialect TEXT NOT NULL DEFAULT '',
  input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
  cached_tokens INTEGER NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
  output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
  outcome TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'ok', 'client_gone', 'failed', 'interrupted')),
  error_code TEXT NOT NULL DEFAULT '',
  http_status INTEGER NOT NULL DEFAULT 0,
  wake_wait_us INTEGER NOT NULL DEFAULT 0 CHECK (wake_wait_us >= 0),
  ttft_us INTEGER NOT NULL DEFAULT 0 CHECK (ttft_us >= 0),
  duration_us INTEGER NOT NULL DEFAULT 0 CHECK (duration_us >= 0),
  price_version INTEGER,
  micros INTEGER,
  currency TEXT NOT NULL DEFAULT '',
  UNIQUE (request_id, kind)
) STRICT;
CREATE INDEX request_entries_settled ON request_entries (at_us) WHERE kind = 'settle';

CREATE TRIGGER request_entries_no_update BEFORE UPDATE ON request_entries
BEGIN SELECT RAISE (ABORT, 'request_entries is append-only'); END;
CREATE TRIGGER request_entries_no_delete BEFORE DELETE ON request_entries
BEGIN SELECT RAISE (ABORT, 'request_entries is append-only'); END;

CREATE TABLE open_requests (
  request_id TEXT PRIMARY KEY,
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  key_id TEXT,
  dialect TEXT NOT NULL,
  reserved_us INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL DEFAULT 0,   -- the last checkpoint; zero before the first
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
