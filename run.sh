#!/usr/bin/env bash
# From a clone to the first token: installs what is missing, builds, starts Dormouse with its demo model, offline.
#   ./run.sh                         http://127.0.0.1:8080
#   ./run.sh --listen 127.0.0.1:9090 any `dormouse serve` switch goes through
set -euo pipefail
cd "$(dirname "$0")"
tools/install_deps.sh build
tools/build.sh release dormouse dormouse-worker
exec build/release/dormouse serve --demo "$@"
