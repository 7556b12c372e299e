#!/usr/bin/env bash
# Goal: `dormouse` links no engine code and `dormouse-worker` no gateway code. Method: read both binaries' symbols.
#   tower_symbols.sh BUILD_DIR
set -euo pipefail
check() {  # binary, namespaces that must be there, namespaces that must not
  local binary=$1 present=$2 absent=$3 names
  names=$(nm -C --defined-only "$binary" | grep -oE 'dormouse::[a-z_]+::' | sort -u)
  for namespace in $present; do
    grep -qx "dormouse::$namespace::" <<<"$names" || { echo "$binary: no dormouse::$namespace, is it stripped?"; exit 1; }
  done
  for namespace in $absent; do
    if grep -qx "dormouse::$namespace::" <<<"$names"; then echo "$binary links dormouse::$namespace"; exit 1; fi
  done
}
check "$1/dormouse" "gateway fleet policy ledger cli" "engine kernels text quant gguf sched pack worker"
check "$1/dormouse-worker" "engine text sched worker gguf" "gateway fleet policy ledger planner catalog cli"
echo "both towers stand apart"
