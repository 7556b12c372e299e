#!/usr/bin/env bash
# Arm without an Arm machine: cross-compiles the I/O-free libraries and the engine (preset aarch64) and runs their tests
# under qemu-user. Speed there means nothing.
# Then the demo model on both sides: same logits to the bit, same greedy texts, whichever kernels computed them.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh aarch64
tools/build.sh release peer_probe
tools/build.sh aarch64 pure_tests engine_test engine_allocation_test pack_test peer_probe

arm=build/aarch64
ctest --test-dir $arm -j 2 --output-on-failure -L pure
ctest --test-dir $arm --output-on-failure -R '^(engine_test|engine_allocation_test|pack_test)$'

model=models/qwen3-demo-q8_0.gguf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
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
  echo "aarch64 $isa: $(stat -c %s "$scratch/logits") bytes of logits and $(wc -l <"$scratch/greedy") texts equal x86's"
done
