#!/usr/bin/env python3
"""What guesses (n-gram speculation) do for the speed of real answers, by kind of work.

    bench/speculation.py MODEL.gguf [--rounds 3]

The answers are known beforehand and stand in for the sampler (dormouse-worker replay), so the weights may be random, but
the vocabulary must be the real one (dormouse-worker synth --vocab FOLDER). Texts are this repository's own:
  edit       a source file, and the same file with a class renamed: code that is written again with small changes
  implement  a header and a test, and the source file that goes with them
  summarise  a document, and a summary in its words (bench/summary.txt, written by hand)
  translate  the English README, and the Chinese one: command lines come again
  verse      Chinese poems, and other poems: next to nothing comes again
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def cases():
    cache = read("src/sched/prefix_cache.cc")
    poems = read("tests/clients/texts.txt")
    return {
        "edit": ("Rename PrefixCache to PromptTrie and find to lookup.\n\n" + cache,
                 cache.replace("PrefixCache", "PromptTrie").replace("find(", "lookup(")),
        "implement": ("Write kv_cache.cc.\n\n" + read("src/engine/kv_cache.h") + read("src/engine/config.h"),
                      read("src/engine/kv_cache.cc")),
        "summarise": ("Summarise.\n\n" + read("docs/packed_weights.md"), read("bench/summary.txt")),
        "translate": ("Translate into Chinese.\n\n" + read("README.md")[:3000], read("README.zh-CN.md")[:900]),
        "verse": (poems[:600], poems[600:1000]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    worker = ROOT / "build/release/dormouse-worker"
    print(f"{'':<11}{'off':>8}{'auto':>8}{'':>7}{'ngram':>8}{'':>7}   tokens/s; guesses that were right, auto and ngram")
    with tempfile.TemporaryDirectory() as folder:
        for name, (prompt, answer) in cases().items():
            paths = []
            for what, text in (("prompt", prompt), ("answer", answer)):
                path = pathlib.Path(folder) / what
                path.write_text(text, encoding="utf-8")
                paths += [f"--{what}", str(path)]
            done = subprocess.run([worker, "replay", args.model, *paths, "--rounds", str(args.rounds), "--json"],
                                  check=True, capture_output=True, text=True)
            out = json.loads(done.stdout)
            off = out["off"]["tokens_per_s"]
            line = f"{name:<11}{off:8.2f}"
            for mode in ("auto", "ngram"):
                line += f"{out[mode]['tokens_per_s']:8.2f}{out[mode]['tokens_per_s'] / off:6.2f}x"
            right = [100 * out[m]["right"] / max(out[m]["guessed"], 1) for m in ("auto", "ngram")]
            print(f"{line}   {right[0]:.0f} %, {right[1]:.0f} %", flush=True)


if __name__ == "__main__":
    main()
