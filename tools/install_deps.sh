#!/usr/bin/env bash
# Installs what building and testing need, on Debian 12, as root or with sudo. Prints nothing when all is there.
#   tools/install_deps.sh build   compile and run (run.sh)
#   tools/install_deps.sh test    also what the tests use (test.sh)
#   tools/install_deps.sh aarch64 cross-compile for Arm and run that here (tests/aarch64.sh): registers the arm64
#                                 architecture with dpkg and installs its libraries beside this machine's
set -euo pipefail

build=(g++ cmake ninja-build pkg-config git ca-certificates libboost1.81-dev libboost-json1.81-dev libexpected-dev
       libspdlog-dev libfmt-dev libsqlite3-dev libtomlplusplus-dev libcli11-dev libutf8proc-dev libssl-dev
       libgtest-dev libbenchmark-dev)
# slurm-wlm and munge: the Slurm driver is tested against a real cluster on loopback (docs/drivers.md). chromium: a real
# browser at the front door (tests/browser). prometheus: it reads our /metrics and judges the alert rules
# (tests/metrics).
test=(python3 python3-numpy python3-jinja2 sqlite3 curl jq procps binutils slurm-wlm munge chromium prometheus)
# The libraries come from Debian in both architectures at one version, so apt may bring this machine's up to date too.
aarch64=(g++-aarch64-linux-gnu qemu-user curl libboost1.81-dev:arm64 libboost-json1.81-dev:arm64
         libspdlog-dev:arm64 libfmt-dev:arm64 libsqlite3-dev:arm64 libtomlplusplus-dev:arm64 libutf8proc-dev:arm64
         libssl-dev:arm64 libgtest-dev:arm64 libbenchmark-dev:arm64)

mode=${1:-build}
want=("${build[@]}")
[ "$mode" = test ] && want+=("${test[@]}")
[ "$mode" = aarch64 ] && want+=("${aarch64[@]}")

# A library may be there for Arm too, or only for it: the architecture is part of the question.
native=$(dpkg --print-architecture)
installed() {
  local wanted=$native
  case $1 in *:*) wanted=${1#*:} ;; esac
  dpkg-query -W -f='${db:Status-Abbrev}${Architecture}\n' "$1" 2>/dev/null | grep -qxE "ii ($wanted|all)"
}
missing=()
for package in "${want[@]}"; do
  installed "$package" || missing+=("$package")
done
# Node, for the web console and its tests: what is there if >= 18 with npm, else Debian's (18).
if [ "$mode" != aarch64 ]; then
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 18 ] || ! command -v npm >/dev/null; then missing+=(nodejs npm); fi
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ]; then sudo=(); elif command -v sudo >/dev/null; then sudo=(sudo); else
  echo "These Debian packages are missing and neither root nor sudo is at hand:" >&2
  echo "  apt-get install ${missing[*]}" >&2
  exit 1
fi
if [ "$mode" = aarch64 ] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
  "${sudo[@]}" dpkg --add-architecture arm64
fi
echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
# The tests want the program, not a service that listens on every address of this machine: it is masked before its package
# comes, unless it was set up here by somebody.
case " ${missing[*]} " in
  *" prometheus "*)
    unit=/etc/systemd/system/prometheus.service
    if [ ! -e "$unit" ] && [ ! -L "$unit" ]; then
      "${sudo[@]}" mkdir -p /etc/systemd/system
      "${sudo[@]}" ln -s /dev/null "$unit"
    fi
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      "${sudo[@]}" sh -c 'printf "#!/bin/sh\ncase \$1 in prometheus*) exit 101 ;; esac\n" >/usr/sbin/policy-rc.d
                          chmod 755 /usr/sbin/policy-rc.d'
      trap '"${sudo[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    ;;
esac
# The list may be old on a fresh machine: try with it first, refresh when that fails.
install() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
if ! install >/tmp/dormouse-apt.log 2>&1; then
  "${sudo[@]}" apt-get update -qq >>/tmp/dormouse-apt.log 2>&1 || true
  install >>/tmp/dormouse-apt.log 2>&1 || { tail -20 /tmp/dormouse-apt.log >&2; exit 1; }
fi
