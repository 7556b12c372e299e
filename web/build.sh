#!/usr/bin/env bash
# Builds the console into OUT_DIR: web/build.sh OUT_DIR. Needs Node >= 18 with npm; fetches packages only when the lock
# file is newer than what is installed. Fails when a first load is over 300 KB gzipped.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: web/build.sh OUT_DIR" >&2; exit 2; }
mkdir -p "$1"
out=$(realpath "$1")
cd "$(dirname "$0")"

stamp=node_modules/.package-lock.json
if [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
  npm ci --no-audit --no-fund --loglevel=error --ignore-scripts
fi
node_modules/.bin/tsc --noEmit
node_modules/.bin/vite build --logLevel warn --outDir "$out" --emptyOutDir

limit=307200
bytes=0
while IFS= read -r file; do
  bytes=$((bytes + $(gzip -9 -c "$file" | wc -c)))
done < <(find "$out" -type f)
echo "console: $bytes bytes gzipped, $limit allowed"
[ "$bytes" -le "$limit" ]
