#!/usr/bin/env python3
"""What the front door adds: bench/gateway.py [CYCLES]

Starts `dormouse serve` with ten deployments of the demo model, then measures: its resident memory asleep; wakes (first
token of a cold request less that of an awake one, over CYCLES wake and sleep cycles, with memory, descriptors and
processes before and after); one-token requests through the gateway and straight at the worker's socket, in turn; 64
streams of 64 tokens both ways; and how soon a killed worker is seen.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/dormouse"
MODEL = ROOT / "models/qwen3-demo-q8_0.gguf"
PORT = 18081


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("worker", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def gateway():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)


def ask(connection, tokens, stream=False):
    """Seconds of one request, to the end of its answer."""
    body = json.dumps({"model": "d0", "prompt": "月", "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
                       "stream": stream})
    started = time.perf_counter()
    connection.request("POST", "/v1/completions", body)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        sys.exit(f"status {response.status}: {answer.decode()}")
    return time.perf_counter() - started


def admin(method, path):
    connection = gateway()
    connection.request(method, "/admin/v1/" + path, "")
    response = connection.getresponse()
    return json.loads(response.read())


def first():
    return admin("GET", "deployments/d0")


def state_of_process(pid):
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return int(fields["VmRSS"].split()[0]) / 1000, len(os.listdir(f"/proc/{pid}/fd")), len(children)


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(p * len(values)))]


def wakes(pid, cycles):
    cold, warm = [], []
    before = None
    for number in range(cycles):
        connection = gateway()
        cold.append(ask(connection, 1))
        warm.append(ask(connection, 1))
        connection.close()
        admin("POST", "deployments/d0/sleep")
        if number == min(20, cycles // 2):
            before = state_of_process(pid)
    added = [1e3 * (c - statistics.median(warm)) for c in cold]
    print(f"wake adds to a first token, {cycles} cycles: p50 {percentile(added, .5):.0f} ms, p99 {percentile(added, .99):.0f} ms")
    after = state_of_process(pid)
    names = ("MB resident", "descriptors", "children")
    print("after 20 cycles and at the end: " + ", ".join(f"{a:.4g} -> {b:.4g} {n}" for a, b, n in zip(before, after, names)))


def overhead(worker_socket):
    both = {"gateway": gateway(), "worker": UnixConnection(worker_socket)}
    times = {name: [] for name in both}
    for _ in range(400):
        for name, connection in both.items():
            times[name].append(ask(connection, 1))
    p50 = {name: statistics.median(values) for name, values in times.items()}
    print(f"one token, median of 400 each: worker {1e6 * p50['worker']:.0f} us, through the gateway "
          f"{1e6 * p50['gateway']:.0f} us, it adds {1e6 * (p50['gateway'] - p50['worker']):.0f} us")


def streams(worker_socket, count=64, tokens=64):
    makers = {"worker": lambda: UnixConnection(worker_socket), "gateway": gateway}
    seconds = {name: [] for name in makers}
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for _ in range(5):
            for name, make in makers.items():
                connections = [make() for _ in range(count)]
                started = time.perf_counter()
                list(pool.map(lambda c: ask(c, tokens, stream=True), connections))
                seconds[name].append(time.perf_counter() - started)
    a, b = (statistics.median(seconds[name]) for name in ("worker", "gateway"))
    print(f"{count} streams of {tokens} tokens, median of 5: worker {a:.3f} s, gateway {b:.3f} s, it adds "
          f"{1e6 * (b - a) / (count * tokens):.0f} us a token")


def crash():
    seen = []
    for _ in range(10):
        ask(gateway(), 1)
        os.kill(first()["instances"][0]["pid"], signal.SIGKILL)
        started = time.perf_counter()
        while first()["state"] == "ready":
            pass
        seen.append(1e3 * (time.perf_counter() - started))
        while first()["state"] == "backoff":
            time.sleep(0.05)
    print(f"a killed worker is seen within {max(seen):.0f} ms (slowest of 10)")


def main():
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory(prefix="dormouse-gateway-") as directory:
        entries = "".join(f'[[deployment]]\nname = "d{i}"\nimage = "{MODEL}"\n' for i in range(10))
        pathlib.Path(directory, "dormouse.toml").write_text(entries)
        command = [PROGRAM, "serve", "--listen", f"127.0.0.1:{PORT}", "--data-dir", directory, "--quiet"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    admin("GET", "deployments")
                    break
                except OSError:
                    time.sleep(0.05)
            print(f"asleep, ten deployments: {state_of_process(process.pid)[0]:.1f} MB resident")
            wakes(process.pid, cycles)
            ask(gateway(), 1)
            worker_socket = first()["instances"][0]["address"].removeprefix("unix:") if "address" in first()["instances"][0] \
                else max(map(str, pathlib.Path(directory, "run").glob("w-*.sock")))
            overhead(worker_socket)
            streams(worker_socket)
            crash()
            print(f"at the end: {state_of_process(process.pid)[0]:.1f} MB resident")
        finally:
            process.terminate()
            process.wait(timeout=30)


main()
