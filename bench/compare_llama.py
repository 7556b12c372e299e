#!/usr/bin/env python3
"""Our engine against llama.cpp on one file: interleaved rounds, medians, ratios.

  bench/compare_llama.py MODEL.gguf [--rounds 3] [--prefill 512] [--decode 12] [--streams 1,8,64] [--context N] [--isa avx2]

llama.cpp is node-llama-cpp with the best library for this CPU, or, with --isa avx2, its haswell library only. Needs Node >= 20
and tests/clients' packages (./test.sh installs them). Quiet machine: nothing else on these cores.
"""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def peer_folder(isa):
    """A copy of the packages: node-llama-cpp picks the best library that lies beside it, so leave it only one."""
    folder = ROOT / "build" / f"peer-{isa or 'best'}"
    if not (folder / "node_modules").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "tests/clients/node_modules", folder / "node_modules", symlinks=True)
        if isa == "avx2":
            for library in (folder / "node_modules/@node-llama-cpp/linux-x64/bins").rglob("libggml-cpu-*.so"):
                if "haswell" not in library.name:
                    library.unlink()
    shutil.copy(ROOT / "bench/peer_speed.mjs", folder)
    return folder


def bench(args, *more):
    command = [ROOT / "build/release/dormouse-worker", "bench", args.model, "--tokens", str(args.decode), "--json", *more]
    command += ["--isa", args.isa] if args.isa else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ours(args):
    line = bench(args, "--prefill", str(args.prefill), "--streams", args.streams)
    out = {f"decode {streams}": speed["median"] for streams, speed in line["decode_tps"].items()}
    if args.prefill:
        out["prefill"] = line["prefill_tps"]["median"]
    if args.context:
        behind = bench(args, "--prefill", "0", "--streams", args.behind, "--context", str(args.context))
        out[f"decode {args.behind} at {args.context}"] = behind["decode_tps"][args.behind]["median"]
    if "1" in line["decode_tps"]:
        out["read"] = line["decode_tps"]["1"]["read_gb_s"]
        out["weights"] = line["decode_tps"]["1"]["gb_s"]
    return out


def theirs(args, folder):
    command = ["node", folder / "peer_speed.mjs", args.model, str(args.prefill), str(args.decode), args.streams]
    line = json.loads(subprocess.run(command + [str(args.context), args.behind], check=True, capture_output=True, text=True).stdout)
    out = {f"decode {streams}": speed for streams, speed in line["decode_tps"].items()}
    if args.prefill:
        out["prefill"] = line["prefill_tps"]
    if args.context:
        out[f"decode {args.behind} at {args.context}"] = line["context_decode_tps"]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=12)
    parser.add_argument("--streams", default="1,8,64")
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("--behind", default="1", help="streams that decode behind --context tokens each")
    parser.add_argument("--isa", default="")
    args = parser.parse_args()
    args.model = os.path.abspath(args.model)
    folder = peer_folder(args.isa)
    us, them = [], []
    for number in range(args.rounds):
        them.append(theirs(args, folder))
        us.append(ours(args))
        print(f"round {number + 1}: ours {us[-1]}, llama.cpp {them[-1]}", file=sys.stderr)
    if "read" in us[0]:
        read, weights = (statistics.median(u[key] for u in us) for key in ("read", "weights"))
        print(f"plain read {read:.1f} GB/s, one stream {weights:.1f} GB/s = {100 * weights / read:.0f} % (medians of rounds)")
    print(f"{'work':<20} {'ours':>8} {'(spread)':>16} {'llama.cpp':>10} {'(spread)':>16} {'ratio':>6}")
    for key in them[0]:
        a, b = sorted(u[key] for u in us), sorted(t[key] for t in them)
        m, n = statistics.median(a), statistics.median(b)
        print(f"{key:<20} {m:8.2f} {f'{a[0]:.1f}..{a[-1]:.1f}':>16} {n:10.2f} {f'{b[0]:.1f}..{b[-1]:.1f}':>16} {m / n:6.2f}")


main()
