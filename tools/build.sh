#!/usr/bin/env bash
# Configures (once) and builds a preset: tools/build.sh release [target ...]. Progress on a terminal, a summary otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
log=build/$preset.log
mkdir -p build
# A cache from another place or a compiler that went away would fail in confusing ways: configure again then.
if [ ! -f "build/$preset/build.ninja" ] ||
   ! grep -q "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD\$" "build/$preset/CMakeCache.txt" 2>/dev/null; then
  cmake --preset "$preset" --fresh >"$log" 2>&1 || { tail -30 "$log" >&2; exit 1; }
fi
start=$(date +%s)
if [ -t 1 ]; then
  ninja -C "build/$preset" "$@"
else
  ninja -C "build/$preset" "$@" >"$log" 2>&1 || { grep -A 20 -E 'FAILED|error' "$log" | head -80 >&2; exit 1; }
fi
echo "built $preset${*:+ ($*)} in $(($(date +%s) - start)) s"
