#!/usr/bin/env bash
# The console in a real browser: console.sh DORMOUSE WORKER. DORMOUSE_LONG=1 watches a sleeping deployment for 2 minutes.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
dormouse=$(realpath "${1:-build/release/dormouse}")
worker=$(realpath "${2:-build/release/dormouse-worker}")
cd "$(dirname "$0")"

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 18 ] || ! command -v npm >/dev/null; then
  echo "skipped: the console's tests need Node >= 18 with npm"
  exit 77
fi
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$chromium" ] || ! command -v sqlite3 >/dev/null; then
  echo "skipped: the console's tests need Chromium and sqlite3 (apt-get install chromium sqlite3)"
  exit 77
fi
if [ ! -d node_modules/playwright-core ] || [ ! -d node_modules/axe-core ]; then
  npm ci --no-audit --no-fund --loglevel=error --ignore-scripts >npm.log 2>&1 || { tail -20 npm.log; exit 1; }
fi
node ../../web/test.mjs
exec node "${DORMOUSE_SCRIPT:-console.mjs}" "$dormouse" "$worker" "$chromium"
