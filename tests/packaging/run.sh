#!/usr/bin/env bash
# What a packager and an administrator get: `cmake --install` into a prefix, the Debian package unpacked, and the demo
# served from each; completions in each shell there is; man pages without a warning; the unit's syntax; readiness as
# systemd hears it. Under 30 s. Exit 77: something it needs is missing.
#   tests/packaging/run.sh BUILD_FOLDER
set -euo pipefail
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/../.." && pwd)
for tool in cpack dpkg-deb dpkg-shlibdeps curl python3; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
scratch=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# serves PREFIX: the demo, woken and asked, by nothing but what lies under PREFIX.
serves() {
  local prefix=$1 data socket port answer
  data=$(mktemp -d "$scratch/data.XXXX")
  socket=$data/notify
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  python3 - "$socket" >"$data/heard" <<'PY' &
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
manager.settimeout(20)
print(manager.recv(64).decode(), flush=True)
PY
  local manager=$!
  until [ -S "$socket" ]; do kill -0 "$manager" || fail "no notify socket"; done
  (cd / && NOTIFY_SOCKET=$socket exec "$prefix/bin/dormouse" --data-dir "$data/d" serve --demo --listen "127.0.0.1:$port") \
    >"$data/log" 2>&1 &
  server=$!
  wait "$manager" || { cat "$data/log"; fail "$prefix: never said it was ready"; }
  [ "$(cat "$data/heard")" = READY=1 ] || fail "$prefix: said '$(cat "$data/heard")', want READY=1"
  answer=$(curl -fsS -m 20 "http://127.0.0.1:$port/generate" -d '{"prompt":"月","max_tokens":4}')
  grep -q '"text"' <<<"$answer" || fail "$prefix: /generate answered $answer"
  "$prefix/bin/dormouse" --data-dir "$data/d" ps --format json | grep -q '"name":"demo"' || fail "$prefix: ps"
  completes "$prefix" "$data/d"
  kill "$server"
  wait "$server" || fail "$prefix: serve ended with $?"
  server=
}

# completes PREFIX DATA: a verb and a deployment of the running server, in each shell.
completes() {
  local bash_found
  bash_found=$(PATH=$1/bin:$PATH bash --norc -c '
    [ -r /usr/share/bash-completion/bash_completion ] && source /usr/share/bash-completion/bash_completion
    source "$0/share/bash-completion/completions/dormouse"
    COMP_WORDS=(dormouse dep) COMP_CWORD=1 COMP_LINE="dormouse dep" COMP_POINT=12; _dormouse; echo "${COMPREPLY[@]}"
    COMP_WORDS=(dormouse --data-dir "$1" wake de) COMP_CWORD=4 COMP_LINE="dormouse --data-dir $1 wake de"
    COMP_POINT=${#COMP_LINE}; _dormouse; echo "${COMPREPLY[@]}"' "$1" "$2" 2>&1)
  [ "$bash_found" = $'deploy\ndemo' ] || fail "bash completed: $bash_found"
  if command -v fish >/dev/null; then
    local fish_found
    fish_found=$(HOME=$scratch PATH=$1/bin:$PATH fish --no-config -c "
      source $1/share/fish/vendor_completions.d/dormouse.fish
      complete -C 'dormouse dep'; complete -C 'dormouse --data-dir $2 wake de'" | cut -f 1)
    [ "$fish_found" = $'deploy\ndemo' ] || fail "fish completed: $fish_found"
  else
    echo "skipped: fish is missing"
  fi
  if command -v zsh >/dev/null; then
    zsh -fn "$1/share/zsh/vendor-completions/_dormouse" || fail "zsh cannot read its script"
  else
    echo "skipped: zsh is missing"
  fi
}

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
serves "$scratch/prefix"
(cd "$build" && cpack -G DEB -B "$scratch/package" >"$scratch/cpack.log" 2>&1) || { cat "$scratch/cpack.log"; fail cpack; }
deb=$(echo "$scratch"/package/dormouse_*.deb)
version=$("$scratch/prefix/bin/dormouse" --version)
[ "$(basename "$deb")" = "dormouse_${version#dormouse }_$(dpkg --print-architecture).deb" ] || fail "$deb: of another version than $version"
depends=$(dpkg-deb -f "$deb" Depends)
for library in libc6 libssl3 libsqlite3-0; do
  [[ $depends == *$library* ]] || fail "Depends: $depends lacks $library"
done
dpkg-deb -x "$deb" "$scratch/root"
serves "$scratch/root/usr"
[ ! -e "$scratch/root/etc" ] && [ ! -e "$scratch/root/var" ] || fail "the package holds files outside /usr"
for script in postinst prerm; do
  dpkg-deb --ctrl-tarfile "$deb" | tar -xO "./$script" | sh -n || fail "$script"
done

for page in "$scratch/root/usr/share/man/man1/dormouse.1.gz" "$scratch/root/usr/share/man/zh_CN/man1/dormouse.1.gz"; do
  [ -s "$page" ] || fail "$page is missing"
  if command -v man >/dev/null; then
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)
    [ -z "$warnings" ] || fail "$page: $warnings"
  fi
done
if command -v systemd-analyze >/dev/null; then
  unit=$scratch/dormouse.service
  sed "s|^ExecStart=dormouse|ExecStart=$scratch/prefix/bin/dormouse|; /^Documentation=/d" \
    "$scratch/prefix/lib/systemd/system/dormouse.service" >"$unit"
  problems=$(systemd-analyze verify "$unit" 2>&1) || fail "$problems"
  [ -z "$problems" ] || fail "$problems"
else
  echo "skipped: systemd-analyze is missing"
fi
echo "installed, packaged and served: $(basename "$deb"), $(stat -c %s "$deb") bytes; Depends: $depends"
