#!/usr/bin/env bash
# Installs what building and testing need, on Debian 12, as root or with sudo. Prints nothing when all is there.
#   tools/install_deps.sh build   compile and run (run.sh)
#   tools/install_deps.sh test    also what the tests use (test.sh)
set -euo pipefail

build=(g++ cmake ninja-build pkg-config git ca-certificates libboost1.81-dev libboost-json1.81-dev libexpected-dev
       libspdlog-dev libfmt-dev libsqlite3-dev libtomlplusplus-dev libcli11-dev libutf8proc-dev libssl-dev
       libgtest-dev libbenchmark-dev)
test=(python3 python3-numpy python3-jinja2 sqlite3 curl procps binutils)

want=("${build[@]}")
[ "${1:-build}" = test ] && want+=("${test[@]}")

missing=()
for package in "${want[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
# Node: what is there if >= 18 with npm, else Debian's (18).
if [ "${1:-build}" = test ]; then
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 18 ] || ! command -v npm >/dev/null; then missing+=(nodejs npm); fi
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ]; then sudo=(); elif command -v sudo >/dev/null; then sudo=(sudo); else
  echo "These Debian packages are missing and neither root nor sudo is at hand:" >&2
  echo "  apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
# The list may be old on a fresh machine: try with it first, refresh when that fails.
install() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
if ! install >/tmp/dormouse-apt.log 2>&1; then
  "${sudo[@]}" apt-get update -qq >>/tmp/dormouse-apt.log 2>&1 || true
  install >>/tmp/dormouse-apt.log 2>&1 || { tail -20 /tmp/dormouse-apt.log >&2; exit 1; }
fi
