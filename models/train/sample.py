#!/usr/bin/env python3
"""Writes verse from a GGUF through the chat format, with numpy alone (tens of tokens a second)."""
import argparse

import numpy as np

import bpe
import gguf
from reference import Reference

PROMPTS = ["写一首关于月亮的诗", "写一首关于春天的诗", "作一首五言绝句，题为山中", "写一首七言律诗", "写一首词", "请以秋天为题写一首五言律诗", "写一首关于睡鼠的诗",
           "你好", "Write a verse about the sea", "Write a poem about love"]


def choose(logits, rng, temperature, top_k, top_p):
    if temperature == 0:
        return int(logits.argmax())
    best = np.argsort(-logits)[:top_k]
    p = np.exp((logits[best] - logits[best[0]]) / temperature)
    p /= p.sum()
    keep = np.cumsum(p) - p < top_p     # the token that crosses top_p is kept
    p = p[keep] / p[keep].sum()
    return int(rng.choice(best[keep], p=p))


def answer(ref, tok, prompt, rng, a):
    stop = {tok.special["<|im_end|>"], tok.special["<|endoftext|>"]}
    ref.reset()
    for t in tok.encode(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"):
        logits = ref.step(t)
    out = []
    while len(out) < a.tokens:
        t = choose(logits, rng, a.temperature, a.top_k, a.top_p)
        if t in stop:
            break
        out.append(t)
        logits = ref.step(t)
    return tok.decode(out) + ("" if len(out) < a.tokens else " [cut]")


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--file", default="models/qwen3-demo-q8_0.gguf")
    ap.add_argument("--temperature", type=float, default=0.7)
    ap.add_argument("--top-k", type=int, default=40)
    ap.add_argument("--top-p", type=float, default=0.9)
    ap.add_argument("--tokens", type=int, default=160)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("prompts", nargs="*", default=PROMPTS)
    a = ap.parse_args()
    reader = gguf.Reader(a.file)
    tok = bpe.Tokenizer(reader.meta["tokenizer.ggml.tokens"], [m.split(" ") for m in reader.meta["tokenizer.ggml.merges"]])
    ref, rng = Reference(reader), np.random.default_rng(a.seed)
    for p in a.prompts:
        print(f"> {p}\n{answer(ref, tok, p, rng, a)}\n")


if __name__ == "__main__":
    main()
