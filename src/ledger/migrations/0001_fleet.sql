-- What is deployed, every start that was ever intended, and the life of every instance.
-- STRICT: a column declared INTEGER holds integers. Times: *_us is wall time (microseconds since 1970, never
-- decreasing), *_after_us a duration on the boot clock since the instance was requested.

CREATE TABLE ledger_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  last_wall_us INTEGER NOT NULL  -- the last time at which the ledger is known to have been written
) STRICT;
INSERT INTO ledger_state (id, last_wall_us) VALUES (1, 0);

CREATE TABLE audit_events (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL,            -- clock_jump | recovery
  detail TEXT NOT NULL
) STRICT;

-- Removing one keeps the row: history refers to it. A name used again is a new row.
CREATE TABLE deployments (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  image TEXT NOT NULL,
  model_path TEXT NOT NULL,
  driver TEXT NOT NULL,
  runtime TEXT NOT NULL,
  exposure TEXT NOT NULL,
  idle_timeout_ms INTEGER NOT NULL CHECK (idle_timeout_ms >= 0),
  min_instances INTEGER NOT NULL CHECK (min_instances >= 0),
  max_instances INTEGER NOT NULL CHECK (max_instances >= min_instances),
  source TEXT NOT NULL CHECK (source IN ('file', 'api', 'demo')),
  created_us INTEGER NOT NULL,
  changed_us INTEGER NOT NULL,
  removed_us INTEGER
) STRICT;
CREATE UNIQUE INDEX deployments_by_name ON deployments (name) WHERE removed_us IS NULL;

CREATE TABLE start_intents (
  instance_id TEXT PRIMARY KEY,  -- also the idempotency key given to the driver
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  driver TEXT NOT NULL,
  lease_sha256 TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  cause TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  UNIQUE (deployment_id, epoch)
) STRICT;

CREATE TABLE instance_spans (
  instance_id TEXT PRIMARY KEY REFERENCES start_intents (instance_id),
  deployment_id INTEGER NOT NULL REFERENCES deployments (id),
  requested_us INTEGER NOT NULL,
  up_us INTEGER,
  ready_us INTEGER,
  drain_us INTEGER,
  down_us INTEGER,
  confirmed_us INTEGER,
  up_after_us INTEGER,
  ready_after_us INTEGER,
  drain_after_us INTEGER,
  down_after_us INTEGER,
  confirmed_after_us INTEGER,
  alive_us INTEGER NOT NULL DEFAULT 0 CHECK (alive_us >= 0),
  busy_us INTEGER NOT NULL DEFAULT 0 CHECK (busy_us >= 0),
  reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX instance_spans_by_time ON instance_spans (requested_us);
CREATE INDEX instance_spans_open ON instance_spans (instance_id) WHERE down_us IS NULL;
