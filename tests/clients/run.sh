#!/usr/bin/env bash
# Real peers from npm. Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
cd "$(dirname "$0")"
build=${DORMOUSE_BUILD:-../../build/release}
demo=../../models/qwen3-demo-q8_0.gguf

major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
  echo "skipped: the llama.cpp peers need Node >= 20 (node-llama-cpp), here is $major"
  exit 77
fi
if [ "$(uname -m)" != x86_64 ]; then
  echo "skipped: the llama.cpp peers use node-llama-cpp's x86-64 binaries"
  exit 77
fi
if [ ! -d node_modules/node-llama-cpp ] || [ ! -d node_modules/inference-server ] || [ ! -d node_modules/openai ] ||
  [ ! -d node_modules/ai ] || [ ! -d node_modules/@langchain/openai ] || [ ! -d node_modules/ollama ] ||
  [ ! -d node_modules/@langchain/ollama ] || [ ! -d node_modules/fast-check ]; then
  # Not `npm ci`: it wants an entry for every platform's optional package, and npm writes those of this platform only.
  npm install --no-save --omit=optional --no-audit --no-fund --loglevel=error --ignore-scripts >npm.log 2>&1 ||
    { tail -20 npm.log; exit 1; }
fi
node llama_compare.mjs "$(realpath "$build")" "$(realpath "$demo")"
node convert.mjs "$(realpath "$build")"
node adopt.mjs "$(realpath "$build")" "$(realpath "$demo")"
node limits.mjs "$(realpath "$build")"
# One seed here, so that a run says the same of the same code; tests/long.sh draws others.
node generated.mjs "$(realpath "$build")" "$(realpath "$demo")" 20000 3
node structured.mjs "$(realpath "$build")" "$(realpath "$demo")"
node ollama.mjs "$(realpath "$build")"
node langchain_ollama.mjs "$(realpath "$build")"
for client in openai_chat ai_sdk langchain_openai waking api_page transcripts; do
  node "$client.mjs" "$(realpath "$build")"
done
node openai.mjs "$(realpath "$build")" "$(realpath "$demo")"
