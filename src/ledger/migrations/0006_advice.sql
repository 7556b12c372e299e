-- What was advised, and what hindsight said of a month: one row a deployment, kind and period, so that making one again
-- after a crash changes nothing. Names as they were: a deployment may be gone.

CREATE TABLE advice (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  deployment TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('weekly', 'regret')),
  period_begin_us INTEGER NOT NULL,
  period_end_us INTEGER NOT NULL CHECK (period_end_us > period_begin_us),
  body TEXT NOT NULL,        -- a JSON object; whoever writes it reads it
  paid_micros INTEGER,       -- in the period, or what the rules as they are come to in a month; NULL: not known
  best_micros INTEGER,       -- what the best plan comes to
  currency TEXT NOT NULL,    -- '': neither is known
  UNIQUE (deployment, kind, period_end_us)
) STRICT;
