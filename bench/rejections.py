#!/usr/bin/env python3
"""What turning a request away costs: bench/rejections.py [SECONDS] [CONNECTIONS] [--key]

Starts `dormouse serve` on one core with a deployment of the fake worker that may be asked once a minute, and asks it
from another core: on many connections at once (how many refusals a second one core holds, and how much processor time
each takes) and on one (how long a caller waits). Every answer must be a 429 with Retry-After. With --key the limit
is a key's, whose refusals need no look at the body.
"""
import argparse
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("DORMOUSE_BUILD", ROOT / "build/release"))
BODY = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Good morning! 早上好"}], "max_tokens": 64})


def request(port, key):
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    body = BODY.encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{authorization}User-Agent: bench\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def processor_seconds(pid):
    """Of all its threads, to the nanosecond: the clock ticks of /proc/PID/stat miss short turns on a busy machine."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def whole(answer):
    """A short answer arrives in one piece; anything else is a reason to stop."""
    if not answer.startswith(b"HTTP/1.1 429 ") or b"retry-after: " not in answer or not answer.endswith(b"}}"):
        raise SystemExit(f"not a refusal: {answer!r}")


def flood(port, text, connections, seconds):
    """Refusals in `seconds`, each connection asking again as soon as it has its answer."""
    sockets = {}
    poll = select.epoll()
    for _ in range(connections):
        s = connect(port)
        sockets[s.fileno()] = (s.send, s.recv, s)
        poll.register(s.fileno(), select.EPOLLIN)
        s.send(text)
    count = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for fd, _ in poll.poll(1):
            send, receive, _ = sockets[fd]
            whole(receive(4096))
            count += 1
            send(text)
    for _, _, s in sockets.values():
        s.close()
    return count


def alone(port, text, seconds):
    s = connect(port)
    waits = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter_ns()
        s.send(text)
        answer = s.recv(4096)
        waits.append((time.perf_counter_ns() - started) / 1000)
        whole(answer)
    s.close()
    return sorted(waits)


def start(directory, keyed):
    model = pathlib.Path(directory) / "demo.gguf"
    model.write_text("fake:load_ms=1,tokens=1")
    data = directory + "/data"
    os.makedirs(data)
    limit = "" if keyed else "requests_per_minute = 1\n"
    pathlib.Path(data, "dormouse.toml").write_text(f'[[deployment]]\nname = "demo"\nimage = "{model}"\n{limit}')
    log = open(directory + "/serve.log", "w")
    process = subprocess.Popen(["taskset", "-c", "0", BUILD / "dormouse", "serve", "--listen", "127.0.0.1:0",
                                "--data-dir", data, "--worker", BUILD / "tests/fake_worker/fake_worker"],
                               stdout=log, stderr=log, cwd=directory)
    control = None
    for _ in range(400):
        time.sleep(0.05)
        status = subprocess.run([BUILD / "dormouse", "ps", "--format", "json", "--data-dir", data], cwd=directory,
                                capture_output=True, text=True)
        if status.returncode == 0 and json.loads(status.stdout).get("listen"):
            control = json.loads(status.stdout)
            break
    if control is None:
        raise SystemExit(open(directory + "/serve.log").read())
    key = ""
    if keyed:
        made = subprocess.run([BUILD / "dormouse", "keys", "create", "--name", "bench", "--rpm", "1", "--data-dir", data],
                              cwd=directory, capture_output=True, text=True, check=True)
        key = made.stdout.strip()
    return process, int(control["listen"][0].rsplit(":", 1)[1]), control["pid"], key


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("seconds", nargs="?", type=float, default=10)
    arguments.add_argument("connections", nargs="?", type=int, default=64)
    arguments.add_argument("--key", action="store_true")
    given = arguments.parse_args()
    os.sched_setaffinity(0, {1} if os.cpu_count() > 1 else {0})
    with tempfile.TemporaryDirectory() as directory:
        process, port, pid, key = start(directory, given.key)
        try:
            text = request(port, key)
            with connect(port) as first:
                first.send(text)
                first.recv(65536)
            alone(port, text, 0.5)
            waits = alone(port, text, given.seconds / 2)
            print(f"one connection: p50 {waits[len(waits) // 2]:.0f} us, p99 {waits[int(len(waits) * 0.99)]:.0f} us, "
                  f"{len(waits)} refusals")
            before = processor_seconds(pid)
            count = flood(port, text, given.connections, given.seconds)
            used = processor_seconds(pid) - before
            print(f"{given.connections} connections: {count / given.seconds:.0f} refusals/s, {used / count * 1e6:.1f} us of "
                  f"processor each, the core busy for {used / given.seconds:.0%}: a whole core is {count / used:.0f} a second")
        finally:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            process.wait(20)


if __name__ == "__main__":
    main()
