#!/usr/bin/env bash
# The console in a real browser: console.sh DORMOUSE WORKER.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
dormouse=$(realpath "${1:-build/release/dormouse}")
worker=$(realpath "${2:-build/release/dormouse-worker}")
if [ -n "${DORMOUSE_CONSOLE_HINDRANCE:-}" ]; then
  echo "skipped: this build has no web console: $DORMOUSE_CONSOLE_HINDRANCE"
  exit 77
fi
cd "$(dirname "$0")"
. ./needs.sh
if ! command -v sqlite3 >/dev/null; then
  echo "skipped: the console's tests need sqlite3 (apt-get install sqlite3)"
  exit 77
fi
needs "the console's tests" playwright-core axe-core
node ../../web/test.mjs
exec node "${DORMOUSE_SCRIPT:-console.mjs}" "$dormouse" "$worker" "$chromium"
