#!/usr/bin/env bash
# What to run first on a card, in order of worth (docs/cuda.md): tests/cuda/on_a_card.sh [STEP...], all of them by
# default. Wants a build with the preset `cuda` (BUILD=build/cuda) and takes the first GPU (GPU=0). Model files are made
# where MODELS says (build/on_a_card) and stay there; --make makes them and needs no card.
# --rehearse: every step that has a meaning there on the CPU, with a tiny model, to test this script; its numbers are none.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
all_steps="look tests paths sampling products speed memory races"
gpu=${GPU:-0}
paths=${PATHS:-auto}  # --device-paths of every step but `paths`
config=qwen3-4b
context=4096
# Of one stream of 4,096 tokens, with int8 keys and values, in GB: docs/performance.md.
types=(Q4_K_M=3.5 Q2_K=2.7 Q8_0=5.2 F16=8.9)
device=cuda:$gpu
build=${BUILD:-build/cuda}
case ${1:-} in
  --rehearse)
    device=cpu config=qwen3-tiny context=1024 types=(Q4_K_M=0.2 Q8_0=0.2) build=${BUILD:-build/release}
    all_steps="look tests paths sampling speed memory"
    shift ;;
  --make) all_steps= ;;
esac
models=${MODELS:-$build/on_a_card}
worker=$build/dormouse-worker
steps=${*:-$all_steps}

scratch=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null || true; rm -rf "$scratch"' EXIT

model() { echo "$models/$config-$1.gguf"; }
make_model() {
  [ ! -e "$(model "$1")" ] || return 0
  mkdir -p "$models"
  "$worker" synth --config $config --type "$1" --seed 1 "$scratch/model.gguf" >"$scratch/synth"
  mv "$scratch/model.gguf" "$(model "$1")"
  "$worker" pack "$(model "$1")" >/dev/null
}

[ -x "$worker" ] || { echo "skipped: no $worker (tools/build.sh cuda)"; exit 77; }
if [ "${1:-}" = --make ]; then
  for type in "${types[@]}"; do make_model "${type%=*}" && ls -l "$(model "${type%=*}")"; done
  exit 0
fi
seen=$("$worker" doctor)
if [ $device != cpu ] && ! grep -q "^$device .*--device uses it" <<<"$seen"; then
  echo "skipped: $(tail -1 <<<"$seen")"
  exit 77
fi

# MiB of the card that anybody uses: a process of its own is not to be told apart in a container.
used_mib() { [ $device = cpu ] && echo 0 || nvidia-smi -i "$gpu" --query-gpu=memory.used --format=csv,noheader,nounits; }

# The worker's log where it ends before its model is there, or takes more than a minute.
until_loaded() {
  for _ in $(seq 120); do
    if curl -sS --fail -o "$scratch/health" "$@" 2>"$scratch/curl"; then return 0; fi
    kill -0 $pid 2>/dev/null || break
    sleep 0.5
  done
  cat "$scratch/curl" "$scratch/log"
  return 1
}
serve() {
  "$worker" serve --model "$(model "$1")" --served-model-name m --listen "unix:$scratch/socket" --device $device \
    --golden-dir "$scratch" --device-paths "$paths" "${@:2}" >"$scratch/log" 2>&1 &
  pid=$!
  until_loaded --unix-socket "$scratch/socket" http://worker/health
}
stop() {
  kill -TERM $pid
  wait $pid || true
  pid=
}
# The answer's text to a sampled request; $1: its seed, $2: fields besides.
text() {
  curl -sS --fail --unix-socket "$scratch/socket" http://worker/v1/completions -H 'content-type: application/json' \
    -d '{"model":"m","prompt":"白日依山盡，黃河入海流。","temperature":1.3,"top_k":20,"seed":'"$1"',"max_tokens":40,"ignore_eos":true'"$2"'}' |
    python3 -c 'import json, sys; print(repr(json.load(sys.stdin)["choices"][0]["text"]))'
}

step_look() {
  [ $device = cpu ] || nvidia-smi -i "$gpu" --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv
  echo "$seen"
}
# The whole engine against the CPU, to the bit however rows come; the likeliest tokens against a sort.
step_tests() {
  if [ $device = cpu ]; then
    "$build/src/engine/engine_cuda_test" --gtest_brief=1 --gtest_filter='*Likeliest*'
  else
    DORMOUSE_TEST_GPU=$gpu "$build/src/engine/engine_cuda_test" --gtest_brief=1
  fi
}
step_products() { "$build/src/kernels/cuda_product_bench" 1 8 64 256; }
step_speed() {
  make_model Q4_K_M
  if [ $device = cpu ]; then
    "$worker" bench "$(model Q4_K_M)" --prefill 64 --streams 1,8 --tokens 4
    return
  fi
  "$worker" bench "$(model Q4_K_M)" --device $device --device-paths "$paths" --prefill 512 --streams 1,8
  "$worker" bench "$(model Q4_K_M)" --device $device --device-paths "$paths" --prefill 4096 --streams 64,256 \
    --context 512 --kv-type q8
}
# Each path beside none, one after the other and again: what is it worth? `tests` says whether its bits are right, and
# `memory` with PATHS=small-stacks what that saves.
decode_with() {
  for with in none "$1" none "$1"; do
    "$worker" bench "$(model "$2")" --device $device --device-paths "$with" --prefill 0 "${@:3}" --json |
      python3 -c 'import json, sys
for streams, one in json.load(sys.stdin)["decode_tps"].items():
  print("%-16s %s, %s streams: %.0f t/s" % (sys.argv[1], " ".join(sys.argv[2:]), streams, one["median"]))' \
        "$with" "${@:2}"
  done
}
prefill_with() {
  for with in none "$1" none "$1"; do
    "$worker" bench "$(model "$2")" --device $device --device-paths "$with" --prefill "$3" --streams 1 --tokens 4 --json |
      python3 -c 'import json, sys
print("%-16s %s, prompt of %s: %.0f t/s" % (*sys.argv[1:], json.load(sys.stdin)["prefill_tps"]["median"]))' \
        "$with" "${@:2}"
  done
}
step_paths() {
  types_of_one_row=(Q8_0 F16)
  prompts=(512 4096)
  [ $device = cpu ] && types_of_one_row=(Q8_0) && prompts=(64)
  for type in "${types_of_one_row[@]}"; do
    make_model $type
    decode_with one-row $type --streams 1
    for prompt in "${prompts[@]}"; do prefill_with wide-products $type $prompt; done
  done
  make_model Q4_K_M
  decode_with whole-step Q4_K_M --streams 1
  [ $device != cpu ] || return 0
  decode_with whole-step Q4_K_M --streams 1 --context 4000
  decode_with shared-prefixes Q4_K_M --streams 64,256 --context 2048 --shared --kv-type q8
}
# Turned on: no card does it by itself before this has passed there. logprobs change no token, but take the whole row to
# the host: both must sample the same text, and seeds differ. Then what a service makes of a batch, with it and without,
# against `bench`'s row of step_speed.
step_sampling() {
  make_model Q4_K_M
  serve Q4_K_M --device-sampling on
  [ $device = cpu ] || grep -q 'event=device_ready.* sampling=device' "$scratch/log" || { cat "$scratch/log"; return 1; }
  for seed in 1 2 3; do
    text $seed '' >"$scratch/top"
    text $seed ',"logprobs":1' >"$scratch/whole"
    cmp "$scratch/top" "$scratch/whole" || { cat "$scratch/top" "$scratch/whole"; return 1; }
    cat "$scratch/top" >>"$scratch/texts"
  done
  [ "$(sort -u "$scratch/texts" | wc -l)" = 3 ] || { echo "three seeds gave fewer than three texts"; return 1; }
  echo "three sampled texts are the same from the likeliest tokens and from whole rows"
  stop
  [ $device != cpu ] || return 0
  for sampling in on off; do
    echo "--device-sampling $sampling"
    "$worker" serve --model "$(model Q4_K_M)" --listen 127.0.0.1:18082 --device $device --kv-type q8 \
      --device-sampling $sampling >"$scratch/log" 2>&1 &
    pid=$!
    until_loaded http://127.0.0.1:18082/health
    "$build/dormouse" bench http://127.0.0.1:18082/v1 --concurrency 1,64,256 --duration 20s --input-tokens 64 \
      --output-tokens 128 --ignore-eos --data-dir "$scratch/data"
    stop
  done
}
step_memory() {
  for type in "${types[@]}"; do
    make_model "${type%=*}"
    before=$(used_mib)
    serve "${type%=*}" --max-num-seqs 1 --max-model-len $context --kv-type q8
    text 1 '' >/dev/null
    used=$(($(used_mib) - before))
    stop
    awk -v type="${type%=*}" -v mib=$used -v asked="${type#*=}" 'BEGIN {
      gb = mib * 1048576 / 1e9
      printf "%-7s %5d MiB = %.2f GB, %s GB asked: %s\n", type, mib, gb, asked, gb <= asked ? "met" : "missed" }'
  done
  echo "left behind: $(($(used_mib) - before)) MiB"
}
step_races() {
  command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer here (it comes with the toolkit)"; return 0; }
  for tool in racecheck synccheck memcheck; do
    DORMOUSE_TEST_GPU=$gpu compute-sanitizer --tool $tool --error-exitcode 9 "$build/src/engine/engine_cuda_test" \
      --gtest_brief=1 --gtest_filter='*Likeliest*:*CudaPaths*:*CudaSharing*'
  done
}

for step in $steps; do
  declare -F "step_$step" >/dev/null || { echo "no step '$step': there are $all_steps"; exit 1; }
  echo "== $step"
  begin=$(date +%s)
  "step_$step"
  echo "== $step took $(($(date +%s) - begin)) s"
done
