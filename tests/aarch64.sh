#!/usr/bin/env bash
# Arm without an Arm machine: cross-compiles the I/O-free libraries, the engine and the worker (preset aarch64) and runs
# their tests under qemu-user. Speed there means nothing.
# Then the demo model on both sides: same logits to the bit, same greedy texts, whichever kernels computed them; and the
# worker's answer over HTTP.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh aarch64
tools/build.sh release peer_probe dormouse-worker
tools/build.sh aarch64 pure_tests engine_test engine_allocation_test pack_test peer_probe dormouse-worker

arm=build/aarch64
ctest --test-dir $arm -j 2 --output-on-failure -L pure
ctest --test-dir $arm --output-on-failure -R '^(engine_test|engine_allocation_test|pack_test)$'

model=models/qwen3-demo-q8_0.gguf
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
runs_on() { qemu-aarch64 -cpu "$1" $arm/tests/golden/peer_probe logits $model "$2" 1 >/dev/null 2>&1; }

# A CPU takes the tables it has the instructions for, and everything outside cpu/ runs without any of them.
for cpu in cortex-a72 neoverse-n1; do qemu-aarch64 -cpu $cpu $arm/src/kernels/kernels_test --gtest_brief=1; done
for right in cortex-a72=scalar neoverse-n1=neon max=i8mm; do
  runs_on "${right%=*}" "${right#*=}" || { echo "$right does not run"; exit 1; }
done
for wrong in cortex-a72=neon neoverse-n1=i8mm; do
  if runs_on "${wrong%=*}" "${wrong#*=}"; then echo "$wrong is not refused"; exit 1; fi
done

# 100 ids fill four pages of the cache. Rows of generated tokens, which have one arithmetic everywhere (kernels.h).
ids=$(seq -s ' ' 1 7 700)
head -20 tests/clients/texts.txt >"$scratch/texts"
build/release/tests/golden/peer_probe logits $model scalar $ids >"$scratch/logits"
build/release/tests/golden/peer_probe texts $model "$scratch/texts" 96 >"$scratch/greedy"
for isa in scalar neon i8mm; do
  qemu-aarch64 -cpu max $arm/tests/golden/peer_probe logits $model $isa $ids | cmp - "$scratch/logits"
  DORMOUSE_ISA=$isa qemu-aarch64 -cpu max $arm/tests/golden/peer_probe texts $model "$scratch/texts" 96 |
    cmp - "$scratch/greedy"
  echo "$isa: $(stat -c %s "$scratch/logits") bytes of logits and $(wc -l <"$scratch/greedy") texts equal x86's"
done

# What the worker started by the given command answers at temperature 0: text and counts, without id and time.
answer() {
  "$@" serve --model $model --served-model-name demo --listen "unix:$scratch/socket" --packed-dir "$scratch" \
    --golden-dir "$scratch" >"$scratch/log" 2>&1 &
  local pid=$!
  curl -sS --retry 30 --retry-delay 1 --retry-all-errors --unix-socket "$scratch/socket" \
    http://worker/v1/completions -H 'content-type: application/json' \
    -d '{"model":"demo","prompt":"白日依山盡，黃河入海流。","temperature":0,"max_tokens":60,"ignore_eos":true}' \
    2>"$scratch/curl" | sed 's/.*"choices"/"choices"/' || true  # what came is looked at below
  kill -TERM $pid && wait $pid
}
# Scalar on this side: a prompt may be rounded otherwise where a table has an arithmetic for prompts.
DORMOUSE_ISA=scalar answer build/release/dormouse-worker >"$scratch/here"
answer qemu-aarch64 -cpu max $arm/dormouse-worker >"$scratch/arm"
grep -q '"completion_tokens":60' "$scratch/here" || { cat "$scratch/curl" "$scratch/log"; exit 1; }
cmp "$scratch/here" "$scratch/arm" || { cat "$scratch/here" "$scratch/arm" "$scratch/log"; exit 1; }
echo "the worker's text equals x86's"
