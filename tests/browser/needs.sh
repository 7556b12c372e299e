# Sourced in this folder: `needs TESTS PACKAGE...` sets $chromium and fetches the packages, or skips (exit 77) and says why.
needs() {
  local tests=$1 major package
  shift
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 18 ] || ! command -v npm >/dev/null; then
    echo "skipped: $tests need Node >= 18 with npm"
    exit 77
  fi
  chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
  if [ -z "$chromium" ]; then
    echo "skipped: $tests need Chromium (apt-get install chromium)"
    exit 77
  fi
  for package in "$@"; do
    [ -d "node_modules/$package" ] && continue
    npm ci --no-audit --no-fund --loglevel=error --ignore-scripts >npm.log 2>&1 || { tail -20 npm.log; exit 1; }
    break
  done
}
