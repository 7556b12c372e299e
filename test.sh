#!/usr/bin/env bash
# Every test: release build, then the I/O-free libraries under ASan+UBSan, then real llama.cpp as the peer.
#   ./test.sh          all of it, under 40 minutes on 2 cores from nothing
#   ./test.sh --fast   tidy and release unit tests only (the daily loop)
#   ./test.sh --long   also soak, chaos and fuzz in their long forms
set -euo pipefail
cd "$(dirname "$0")"
mode=${1:-all}
case $mode in all | --fast | --long) ;; *) echo "usage: ./test.sh [--fast|--long]" >&2; exit 2 ;; esac

tools/install_deps.sh test
passed=0
failed=0
skipped=0

# Runs ctest in a build folder and adds its counts; prints only what failed or was skipped.
run_ctest() {
  local folder=$1 log
  shift
  log=build/ctest-$(basename "$folder").log
  ctest --test-dir "$folder" --output-on-failure "$@" >"$log" 2>&1 || true
  local total bad
  total=$(sed -nE 's/.* tests failed out of ([0-9]+).*/\1/p' "$log")
  bad=$(sed -nE 's/.* ([0-9]+) tests failed out of .*/\1/p' "$log")
  if [ -z "$total" ] || [ "$total" -eq 0 ]; then echo "no test ran in $folder" >&2; failed=$((failed + 1)); return; fi
  passed=$((passed + total - bad))
  failed=$((failed + bad))
  if [ "$bad" -ne 0 ]; then cat "$log"; fi
  # GoogleTest's own skips, with their reasons: unknown is not equal.
  awk '/: Skipped$/ { getline; print "skipped: " $0 }' "$folder/Testing/Temporary/LastTest.log" | sort | uniq -c
  echo "$(basename "$folder"): $((total - bad)) of $total test programs passed"
}

tools/build.sh release
run_ctest build/release -j 2

if [ "$mode" != --fast ]; then
  tools/build.sh dev pure_tests
  run_ctest build/dev -L pure -j 2
  for suite in tests/clients/run.sh; do
    [ -x "$suite" ] || continue
    status=0
    "$suite" || status=$?
    case $status in 0) passed=$((passed + 1)) ;; 77) skipped=$((skipped + 1)) ;; *) failed=$((failed + 1)) ;; esac
  done
fi
if [ "$mode" = --long ]; then
  tests/long.sh && passed=$((passed + 1)) || failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
