#!/usr/bin/env bash
# A real browser at the front door: run.sh DORMOUSE FAKE_WORKER.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
dormouse=$(realpath "${1:-build/release/dormouse}")
fake_worker=$(realpath "${2:-build/release/tests/fake_worker/fake_worker}")
cd "$(dirname "$0")"
. ./needs.sh
needs "the browser tests" playwright-core
exec node fetch.mjs "$dormouse" "$fake_worker" "$chromium"
