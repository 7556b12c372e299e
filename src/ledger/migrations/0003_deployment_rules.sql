-- What else a deployment was told (aliases, limits, windows, ...), as one JSON object: read as a whole at start, never
-- searched. Deployments of older versions were told nothing more.

ALTER TABLE deployments ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';
