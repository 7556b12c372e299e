#!/bin/sh
# A provider in thirty lines: it "rents" processes of this machine, to try a [driver.NAME] of kind "command" with
# (examples/grow.toml) and to write your own after. A real one creates, deletes and lists machines instead.
#   this-machine.sh start INSTANCE OWNER SCRIPT   runs SCRIPT apart from the caller, once for an INSTANCE
#   this-machine.sh stop INSTANCE                 ends it
#   this-machine.sh list OWNER                    [{"instance": ..., "state": "starting" | "running"}, ...]
set -eu
home=${DORMOUSE_PROVIDER_DIR:-${TMPDIR:-/tmp}/dormouse-this-machine}
umask 077
mkdir -p "$home"

is_running() {
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  state=$(ps -o stat= -p "$pid" 2>/dev/null) || return 1
  case $state in Z*) return 1 ;; esac
}

case $1 in
  start)
    dir=$home/$2
    if mkdir "$dir" 2>/dev/null; then # the instance's id is the key: asked twice, it starts once
      echo "$3" >"$dir/owner"
      cp "$4" "$dir/script" # the caller's copy goes when this command ends; it holds the lease
      setsid sh "$dir/script" >"$dir/log" 2>&1 </dev/null &
      pid=$!
      until [ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
      echo "$pid" >"$dir/pid"
    fi
    printf '{"id": "%s"}\n' "$2"
    ;;
  stop)
    dir=$home/$2
    if is_running "$dir"; then kill -TERM "-$pid" 2>/dev/null || true; fi
    is_running "$dir" || rm -rf "$dir"
    ;;
  list)
    separator=
    printf '['
    for dir in "$home"/*/; do
      [ "$(cat "$dir/owner" 2>/dev/null)" = "$2" ] || continue
      if [ ! -e "$dir/pid" ]; then
        state=starting
      elif is_running "$dir"; then
        state=running
      else
        rm -rf "$dir" # it has ended by itself, and costs nothing any more
        continue
      fi
      printf '%s{"instance": "%s", "state": "%s"}' "$separator" "$(basename "$dir")" "$state"
      separator=', '
    done
    printf ']\n'
    ;;
  *)
    echo "this-machine.sh: start, stop or list, not '$1'" >&2
    exit 2
    ;;
esac
