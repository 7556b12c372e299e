#!/usr/bin/env bash
# Our engine against llama.cpp's AVX2-only library (haswell) on one file: interleaved runs, medians, the ratio.
#   bench/compare_llama.sh MODEL.gguf [ROUNDS] [PREFILL] [DECODE]
# Needs Node >= 20 and tests/clients' packages (./test.sh does that). Quiet machine: nothing else on these cores.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$(realpath "$1")
rounds=${2:-3} prefill=${3:-512} decode=${4:-24}
bench=build/release/bench/engine_bench
tools/build.sh release engine_bench >/dev/null

# node-llama-cpp picks the best library that lies beside it: leave it haswell's only.
peer=build/peer-avx2
if [ ! -d $peer/node_modules ]; then
  mkdir -p $peer && cp -a tests/clients/node_modules $peer/
  find $peer/node_modules/@node-llama-cpp/linux-x64/bins -name 'libggml-cpu-*.so' ! -name '*haswell*' -delete
fi
cp bench/peer_speed.mjs $peer/

ours=() theirs=()
for _ in $(seq "$rounds"); do
  theirs+=("$(node $peer/peer_speed.mjs "$model" "$prefill" "$decode")")
  ours+=("$(DORMOUSE_ISA=avx2 $bench "$model" --prefill "$prefill" --tokens "$decode" --streams 1)")
done
printf '%s\n' "${ours[@]}" >build/compare-ours.txt
printf '%s\n' "${theirs[@]}" >build/compare-theirs.txt
python3 - <<'P'
import json, re, statistics
ours = open("build/compare-ours.txt").read()
theirs = [json.loads(line) for line in open("build/compare-theirs.txt")]
median = statistics.median
us_prefill = median([float(x) for x in re.findall(r"prefill \d+: .*?([\d.]+) \(median\)", ours)])
us_decode = median([float(x) for x in re.findall(r"decode 1 streams?: ([\d.]+) tokens", ours)])
read = median([float(x) for x in re.findall(r"read bandwidth: ([\d.]+)", ours)])
share = re.findall(r"\((\d+) % of read\)", ours)
them_prefill = median([t["prefill_tps"] for t in theirs])
them_decode = median([t["decode_tps"] for t in theirs])
print(f"read bandwidth {read:.1f} GB/s; our decode at {share} % of it")
print(f"prefill tokens/s: ours {us_prefill:.1f}, llama.cpp avx2 {them_prefill:.1f}, ratio {us_prefill / them_prefill:.2f}")
print(f"decode  tokens/s: ours {us_decode:.2f}, llama.cpp avx2 {them_decode:.2f}, ratio {us_decode / them_decode:.2f}")
P
