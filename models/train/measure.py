#!/usr/bin/env python3
"""How often a GGUF writes what was asked: form and subject, over many samples."""
import argparse
import re

import numpy as np

import bpe
import gguf
import sample
from reference import Reference
from subjects import ZH

COUPLET = re.compile("([\u4e00-\u9fff]+)[，？]([\u4e00-\u9fff]+)[。？！]")
FORMS = {"五言绝句": (5, 2), "七言绝句": (7, 2), "五言律诗": (5, 4), "七言律诗": (7, 4)}


def form(text):
    """(characters a line, couplets) of regular verse, else None."""
    rows = [COUPLET.fullmatch(x) for x in text.split("\n")]
    if not all(rows):
        return None
    sizes = {len(g) for r in rows for g in r.groups()}
    return (sizes.pop(), len(rows)) if len(sizes) == 1 else None


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--file", default="models/qwen3-demo-q8_0.gguf")
    ap.add_argument("--n", type=int, default=40, help="samples of each of the two kinds")
    a = ap.parse_args()
    a.temperature, a.top_k, a.top_p, a.tokens = 0.7, 40, 0.9, 160
    reader = gguf.Reader(a.file)
    tok = bpe.Tokenizer(reader.meta["tokenizer.ggml.tokens"], [m.split(" ") for m in reader.meta["tokenizer.ggml.merges"]])
    ref, rng = Reference(reader), np.random.default_rng(5)
    right = regular = 0
    names = list(FORMS)
    for i in range(a.n):
        f = names[i % len(names)]
        got = form(sample.answer(ref, tok, f"写一首{f}", rng, a))
        right += got == FORMS[f]
        regular += got is not None
    print(f"a form asked by name: {regular}/{a.n} regular verse, {right}/{a.n} in that very form")
    on = regular = chance = 0
    for i in range(a.n):
        row = ZH[i * len(ZH) // a.n]
        text = sample.answer(ref, tok, f"写一首关于{row[0][0]}的诗", rng, a)
        regular += form(text) is not None
        on += any(k in text for k in row[1])
        # The same text against another subject: what the words of verse would hit by themselves.
        chance += any(k in text for k in ZH[(i * len(ZH) // a.n + len(ZH) // 2) % len(ZH)][1])
    print(f"a subject: {regular}/{a.n} regular verse, {on}/{a.n} hold a word of the subject ({chance}/{a.n} hold one of an unrelated subject)")


if __name__ == "__main__":
    main()
