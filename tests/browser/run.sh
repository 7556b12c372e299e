#!/usr/bin/env bash
# A real browser at the front door: run.sh DORMOUSE FAKE_WORKER.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
dormouse=$(realpath "${1:-build/release/dormouse}")
fake_worker=$(realpath "${2:-build/release/tests/fake_worker/fake_worker}")
cd "$(dirname "$0")"

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 18 ] || ! command -v npm >/dev/null; then
  echo "skipped: the browser tests need Node >= 18 with npm"
  exit 77
fi
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ]; then
  echo "skipped: the browser tests need Chromium (apt-get install chromium)"
  exit 77
fi
if [ ! -d node_modules/playwright-core ]; then
  npm ci --no-audit --no-fund --loglevel=error --ignore-scripts >npm.log 2>&1 || { tail -20 npm.log; exit 1; }
fi
exec node fetch.mjs "$dormouse" "$fake_worker" "$chromium"
