#!/bin/sh
# Acts as podman's or docker's client for container_test.cc. STATE is a folder: `calls` gets one line a call, `image`
# exists when the image is there, `container` holds the pid of what runs. UPSTREAM is the program in the image. MODE
# says what goes wrong. Like a real one, the container is no child of ours to kill: it has a session of its own.
echo "$*" >> "$STATE/calls"

container() { cat "$STATE/container" 2>/dev/null || echo 0; }
lives() { [ "$1" -gt 1 ] && [ -e "/proc/$1/exe" ]; }
end() { # end SIGNAL, for at most TENTHS
  pid=$(container)
  lives "$pid" || return 1
  kill "-$1" "$pid"
  i=0
  while lives "$pid" && [ $i -lt "$2" ]; do sleep 0.1; i=$((i + 1)); done
  ! lives "$pid"
}

case "$1" in
rm)
  end KILL 100
  rm -f "$STATE/container"
  ;;
kill) end KILL 100 ;;
stop) end TERM 100 || end KILL 100 ;;
image) [ -e "$STATE/image" ] || { echo "Error: no such image" >&2; exit 125; } ;;
pull)
  case "$MODE" in
  offline) echo "Error: dial tcp: lookup registry.example: no such host" >&2; exit 125 ;;
  hangs) echo "Trying to pull"; echo $$ > "$STATE/pull"; exec sleep 1000 ;;
  nonsense) head -c 300000 /dev/urandom ;;
  esac
  for part in 1 2 3; do printf 'Copying blob %s\r' $part; done
  echo "Writing manifest"
  touch "$STATE/image"
  ;;
run)
  case "$MODE" in
  taken) echo "Error: rootlessport listen tcp 127.0.0.1:1: bind: address already in use" >&2; exit 126 ;;
  esac
  while [ "$1" != "$IMAGE" ]; do shift; done
  shift
  trap '' PIPE # whoever reads our output may be gone: the shell itself says "Terminated"
  pid=0
  trap '! lives $pid || kill -TERM $pid' TERM
  setsid "$UPSTREAM" "$@" &
  pid=$!
  echo $pid > "$STATE/container"
  wait $pid
  code=$?
  while lives $pid; do wait $pid; code=$?; done
  rm -f "$STATE/container"
  exit $code
  ;;
*) echo "fake engine: $*?" >&2; exit 125 ;;
esac
