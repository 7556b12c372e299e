#!/usr/bin/env bash
# The long forms: every fuzz target for FUZZ_SECONDS (default 300) each, and the slow tests ten times over.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-300}
command -v clang++ >/dev/null || { echo "fuzzing needs clang++ and libclang-rt (apt-get install clang libclang-rt-14-dev)"; exit 1; }
cmake --preset fuzz >build/fuzz.log 2>&1
targets=$(ninja -C build/fuzz -t targets all | sed -nE 's/^([a-z_0-9]+_fuzz): phony$/\1/p' | sort -u)
ninja -C build/fuzz $targets >build/fuzz.log 2>&1 || { tail -40 build/fuzz.log; exit 1; }
for target in $targets; do
  binary=$(find build/fuzz/src -name "$target" -type f -perm -u+x)
  scratch=$(mktemp -d)
  echo "fuzz $target for $seconds s"
  "$binary" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "$scratch" "tests/corpus/$target" 2>&1 |
    grep -E 'stat::|ERROR|SUMMARY' || true
  [ "${PIPESTATUS[0]}" -eq 0 ] || { echo "$target failed"; exit 1; }
  rm -rf "$scratch"
done
ctest --test-dir build/release -L slow --repeat until-fail:10 --output-on-failure
