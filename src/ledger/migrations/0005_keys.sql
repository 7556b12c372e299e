-- API keys (docs/keys.md). No secret is here: mac is HMAC-SHA-256 of the whole key under the pepper of that version,
-- which lies in a file of its own. A key that was rotated keeps its row; the secret before it is good until
-- previous_until_us. Rows are never deleted: usage and the audit refer to them.

CREATE TABLE api_keys (
  kid TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('inference', 'read', 'admin')),
  models TEXT NOT NULL,                       -- JSON array of deployments' names; []: every one
  mac TEXT NOT NULL CHECK (length(mac) = 64), -- lowercase hex
  pepper_version INTEGER NOT NULL CHECK (pepper_version > 0),
  hint TEXT NOT NULL,                         -- the key's last four characters, a part of its checksum
  previous_mac TEXT NOT NULL DEFAULT '',
  previous_pepper_version INTEGER NOT NULL DEFAULT 0,
  previous_hint TEXT NOT NULL DEFAULT '',
  previous_until_us INTEGER NOT NULL DEFAULT 0,
  previous_used_us INTEGER NOT NULL DEFAULT 0,
  requests_per_minute INTEGER NOT NULL CHECK (requests_per_minute >= 0),  -- of these four: 0: no limit
  tokens_per_minute INTEGER NOT NULL CHECK (tokens_per_minute >= 0),
  concurrency INTEGER NOT NULL CHECK (concurrency >= 0),
  budget_micros INTEGER NOT NULL CHECK (budget_micros >= 0),
  budget_currency TEXT NOT NULL,
  budget_period TEXT NOT NULL CHECK (budget_period IN ('day', 'month')),
  parent TEXT NOT NULL,                       -- the key it was made with; '': over run/admin.sock
  created_us INTEGER NOT NULL,
  expires_us INTEGER,                         -- NULL: never
  rotated_us INTEGER,
  revoked_us INTEGER,
  used_us INTEGER NOT NULL DEFAULT 0          -- to a minute; 0: never
) STRICT;
CREATE INDEX api_keys_revoked ON api_keys (revoked_us) WHERE revoked_us IS NOT NULL;
