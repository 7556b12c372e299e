#!/usr/bin/env python3
"""Decode of one stream where CPUs are short: bench/quota.py MODEL.gguf [--rounds N] [--only CASE,...]. Pack it first.

Cases, interleaved in every round; the figure is all tokens over all time (a median of steps does not see a throttled
period), the median of the rounds:
  alone        a thread a CPU, nobody else
  neighbours-N beside N spinning processes of the same priority; fair is what as many equal threads would each get
  one-cpu      bound to one CPU, as many threads asked for as the machine has
  quota-N      in a cgroup with a CPU quota of N % of one CPU, threads left to the default
  quota-N-ask  the same, as many threads asked for as the machine has
  quota-N-late started without the quota and moved under it while it decodes: too many threads are there already
Fair is the share of CPU time the case has of the machine's, times the alone figure. The quota cases need a cgroup (v2,
or the cpu controller of v1) that may be made, so root as a rule; without one they are left out, and the output says so.
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CPUS = len(os.sched_getaffinity(0))
MOUNT = "/sys/fs/cgroup"
PERIOD_US = 100_000
LOADED_S = 0.1  # from the packed file's mapping to the first tokens


def cgroup_parent():
    """(folder to make groups in, is it v2), or the reason why not."""
    v2 = os.path.join(MOUNT, "cgroup.controllers")
    if os.path.exists(v2):
        if "cpu" not in open(os.path.join(MOUNT, "cgroup.subtree_control")).read().split():
            return None, "cgroup v2 without the cpu controller in its root's subtree_control"
        return (MOUNT, True), ""
    if os.path.exists(os.path.join(MOUNT, "cpu", "cpu.cfs_quota_us")):
        return (os.path.join(MOUNT, "cpu"), False), ""
    return None, "no cpu controller below " + MOUNT


@contextlib.contextmanager
def cgroup(parent, percent):
    """The group's cgroup.procs; the group is gone at the end, when all in it have ended."""
    folder, is_v2 = parent
    group = os.path.join(folder, f"dormouse-quota-{os.getpid()}")
    os.mkdir(group)
    try:
        quota_us = percent * PERIOD_US // 100
        if is_v2:
            settings = {"cpu.max": f"{quota_us} {PERIOD_US}"}
        else:
            settings = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
        for name, value in settings.items():
            with open(os.path.join(group, name), "w") as file:
                file.write(value)
        yield os.path.join(group, "cgroup.procs")
    finally:
        os.rmdir(group)


@contextlib.contextmanager
def neighbours(count):
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
        for spinner in spinners:
            spinner.wait()


def wait_for_quiet():
    """Until the CPUs were nearly idle for half a second, 10 s at most: others may use this machine too. Niced work does
    not count: it steps aside."""
    def busy_ticks():
        fields = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
        return sum(fields) - fields[1] - fields[3] - fields[4]  # nice, idle, iowait
    for _ in range(20):
        before = busy_ticks()
        time.sleep(0.5)
        if busy_ticks() - before <= 0.1 * 0.5 * CPUS * os.sysconf("SC_CLK_TCK"):
            return


def wait_for_mapping(process):
    """Until it has mapped its packed weights: it chooses its threads within milliseconds of that."""
    while process.poll() is None:
        with open(f"/proc/{process.pid}/maps") as file:
            if ".dpack" in file.read():
                return
        time.sleep(0.002)


def decode(args, threads, tokens, prefix=(), late=None):
    """{"speed": tokens/s, "threads": what the engine took}."""
    command = [*prefix, args.program, "bench", args.model, "--prefill", "0", "--streams", "1", "--json", "--tokens",
               str(tokens)]
    if threads:
        command += ["--threads", str(threads)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if late is not None:
            wait_for_mapping(process)
            time.sleep(LOADED_S)
            if process.poll() is None:
                with open(late, "w") as file:
                    file.write(str(process.pid))
        out, err = process.communicate()
    except BaseException:  # stopped: nothing may stay in the cgroup
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: {err}")
    result = json.loads(out)
    return {"speed": result["decode_tps"]["1"]["mean"], "threads": result["threads"]}


def join(procs):
    return ["sh", "-c", f'echo $$ > "{procs}" && exec "$@"', "sh"]


def cases(args):
    """{name: (fair share, how to run it)}."""
    out = {"alone": (1.0, lambda: decode(args, CPUS, args.tokens))}

    def beside(count):
        with neighbours(count):
            return decode(args, CPUS, args.tokens)

    for count in (1, CPUS, 2 * CPUS):
        out[f"neighbours-{count}"] = (CPUS / (CPUS + count), lambda n=count: beside(n))
    out["one-cpu"] = (1 / CPUS, lambda: decode(args, CPUS, args.tokens, ["taskset", "-c", str(min(
        os.sched_getaffinity(0)))]))
    parent, why_not = cgroup_parent()
    if parent is not None and not os.access(parent[0], os.W_OK):
        parent, why_not = None, parent[0] + " is not writable"
    if parent is None:
        print(f"quota cases left out, not measured: {why_not}")
        return out

    def under(percent, threads):
        with cgroup(parent, percent) as procs:
            return decode(args, threads, args.tokens, join(procs))

    def moved_under(percent):
        with cgroup(parent, percent) as procs:
            return decode(args, CPUS, args.tokens, late=procs)

    for percent in (50, 100, 150):
        share = percent / 100 / CPUS
        out[f"quota-{percent}"] = (share, lambda p=percent: under(p, 0))
        out[f"quota-{percent}-ask"] = (share, lambda p=percent: under(p, CPUS))
        out[f"quota-{percent}-late"] = (share, lambda p=percent: moved_under(p))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases, with commas; alone always runs")
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/dormouse-worker"))
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that spinners and cgroups go too
    chosen = cases(args)
    if args.only:
        chosen = {name: case for name, case in chosen.items() if name == "alone" or name in args.only.split(",")}
    results = {name: [] for name in chosen}
    threads = {}
    for _ in range(args.rounds):
        for name, (_, run) in chosen.items():
            wait_for_quiet()
            result = run()
            results[name].append(result["speed"])
            print(f"{name}: {result['speed']:.1f}", file=sys.stderr, flush=True)
            threads[name] = result["threads"]
    alone = statistics.median(results["alone"])
    print(f"{'case':<16} {'threads':>7} {'tokens/s':>9} {'spread':>14} {'fair':>7} {'of fair':>8}")
    for name, (share, _) in chosen.items():
        speeds = results[name]
        median = statistics.median(speeds)
        spread = f"{min(speeds):.1f}..{max(speeds):.1f}"
        print(f"{name:<16} {threads[name]:>7} {median:>9.1f} {spread:>14} {share * alone:>7.1f} "
              f"{100 * median / (share * alone):>6.0f} %")


if __name__ == "__main__":
    main()
