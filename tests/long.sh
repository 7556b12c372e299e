#!/usr/bin/env bash
# The long forms: Arm under emulation, the Kubernetes manifests against the API's schemas, the script for a GPU rehearsed
# without one, every fuzz target for FUZZ_SECONDS (default 300) each, 60,000 requests made of /openapi.json, and the slow
# tests ten times over.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-300}
tests/aarch64.sh
tests/kubernetes/run.sh
tests/cuda/on_a_card.sh --rehearse
command -v clang++ >/dev/null || { echo "fuzzing needs clang++ and libclang-rt (apt-get install clang libclang-rt-14-dev)"; exit 1; }
mkdir -p build
cmake --preset fuzz >build/fuzz.log 2>&1
targets=$(ninja -C build/fuzz -t targets all | sed -nE 's/^([a-z_0-9]+_fuzz): phony$/\1/p' | sort -u)
ninja -C build/fuzz $targets >build/fuzz.log 2>&1 || { tail -40 build/fuzz.log; exit 1; }
for target in $targets; do
  binary=$(find build/fuzz/src -name "$target" -type f -perm -u+x)
  scratch=$(mktemp -d)
  echo "fuzz $target for $seconds s"
  # The fuzzer's own status counts: behind a pipe and `|| true` a crash would read as success.
  log=build/fuzz-$target.log
  status=0
  "$binary" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "$scratch" \
    "tests/corpus/$target" >"$log" 2>&1 || status=$?
  grep -E 'stat::number_of_executed_units|ERROR|SUMMARY' "$log" || true
  [ "$status" -eq 0 ] || { tail -40 "$log"; echo "$target failed with $status"; exit 1; }
  rm -rf "$scratch"
done
node tests/clients/generated.mjs build/release models/qwen3-demo-q8_0.gguf 60000
ctest --test-dir build/release -L slow --repeat until-fail:10 --output-on-failure
