#!/usr/bin/env bash
# Builds the console into OUT_DIR: web/build.sh OUT_DIR
set -euo pipefail
rm -rf "$1"
mkdir -p "$1"
cp "$(dirname "$0")/index.html" "$1/"
