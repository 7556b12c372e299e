#!/usr/bin/env python3
"""Wake and memory of a real file: bench/wake.py MODEL.gguf [CYCLES]

Starts `dormouse serve` with the model, then alternates: put it to sleep, ask one token (cold), ask one token again
(awake), reading the first streamed token's time each. Prints medians, their difference, and resident memory.
"""
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build/release/dormouse")
PORT = 18080


def first_token_s():
    """Seconds from sending a one-token prompt to the first chunk that carries text."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    body = json.dumps({"model": "m", "prompt": [1000], "max_tokens": 1, "temperature": 0, "stream": True,
                       "ignore_eos": True})
    started = time.monotonic()
    connection.request("POST", "/v1/completions", body)
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"status {response.status}: {response.read().decode()}")
    took = None
    for line in response:
        if took is None and line.startswith(b"data: {") and json.loads(line[6:])["choices"]:
            took = time.monotonic() - started
    return took


def resident_mb(pid):
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


def worker_pids(gateway):
    out = subprocess.run(["pgrep", "-P", str(gateway)], capture_output=True, text=True).stdout
    return [int(pid) for pid in out.split()]


def sleep_now(data_dir, gateway):
    subprocess.run([PROGRAM, "sleep", "m", "--data-dir", data_dir], check=True, capture_output=True)
    while worker_pids(gateway):
        time.sleep(0.01)


def main():
    model, cycles = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with open(model, "rb") as file:  # into the page cache: that is the promise's condition
        while file.read(1 << 24):
            pass
    data_dir = tempfile.mkdtemp(prefix="dormouse-wake-")
    command = [PROGRAM, "serve", "--model", model, "--name", "m", "--listen", f"127.0.0.1:{PORT}", "--data-dir", data_dir]
    gateway = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        print(f"gateway asleep, before any request: {resident_mb(gateway.pid):.1f} MB")
        print(f"first wake of all (full golden run): {first_token_s():.3f} s")
        cold, awake = [], []
        for _ in range(cycles):
            sleep_now(data_dir, gateway.pid)
            cold.append(first_token_s())
            awake.append(first_token_s())
        worker = worker_pids(gateway.pid)[0]
        size = os.path.getsize(model) / 2**20
        print(f"worker ready, idle: {resident_mb(worker):.0f} MB, the file {size:.0f} MB")
        sleep_now(data_dir, gateway.pid)
        print(f"gateway asleep, after {2 * cycles + 1} requests: {resident_mb(gateway.pid):.1f} MB")
        difference = statistics.median(cold) - statistics.median(awake)
        print(f"first token, median of {cycles}: cold {statistics.median(cold) * 1e3:.0f} ms, awake "
              f"{statistics.median(awake) * 1e3:.0f} ms, wake adds {difference * 1e3:.0f} ms "
              f"(cold {min(cold) * 1e3:.0f} to {max(cold) * 1e3:.0f})")
    finally:
        gateway.terminate()
        gateway.wait()


if __name__ == "__main__":
    main()
