#!/usr/bin/env python3
"""Corpus -> samples.

  prepare.py clean   texts worth learning from, simplified, one JSON object a line   -> OUT/clean.jsonl
  prepare.py pack    chat turns with requests, tokenized and packed into windows     -> OUT/{train,val}{256,1024}.npz
  prepare.py held    the ci and the English that were kept out of training, as text  -> OUT/held_out.txt
`train_tokenizer.py` runs between the first two. `clean` needs Debian's `opencc`.
"""
import argparse
import collections
import json
import os
import random
import re
import subprocess
import zlib

import requests_for

COMMON = 4200           # poems with a character outside the 4,200 commonest of the corpus are left out
BAD = re.compile(r"[□■●○\[\]（）()【】〖〗{}/a-zA-Z0-9・…—〔〕]")
HAN = re.compile("[\u4e00-\u9fff]")
PRIMERS = {"三字经", "千字文", "弟子规", "声律启蒙", "增广贤文", "朱子家训"}


def blocks(path, convert):
    if convert:     # traditional to simplified: readers type simplified
        text = subprocess.run(["opencc", "-c", "t2s.json", "-i", path], check=True, capture_output=True).stdout.decode("utf-8")
    else:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    for block in text.split("\n\n"):
        lines = [x.strip() for x in block.strip().split("\n")]
        if len(lines) > 2:
            yield lines


def tang(corpus):
    """Whole poems of equal lines of five or seven characters, a couplet a line."""
    couplet = re.compile("^([\u4e00-\u9fff]{5}|[\u4e00-\u9fff]{7})[，？]([\u4e00-\u9fff]{5}|[\u4e00-\u9fff]{7})[。？！]$")
    for title, _, *body in blocks(os.path.join(corpus, "tang_poems_zh.txt"), True):
        match = [couplet.match(x) for x in body]
        if not all(match) or not 2 <= len(body) <= 8 or title.startswith("句"):
            continue
        n = {len(g) for m in match for g in m.groups()}
        if len(n) == 1:
            name = re.sub(r"[ 　].*$|(其|二首|三首|四首|五首|六首|十首).*$", "", title)
            yield {"kind": "tang", "n": n.pop(), "lines": 2 * len(body), "title": name, "text": "\n".join(body)}


def song(corpus):
    for title, _, *body in blocks(os.path.join(corpus, "song_ci_zh.txt"), False):
        text = "\n".join(body)
        if 24 <= len(text) <= 110 and re.fullmatch("[\u4e00-\u9fff，。、？！\n]+", text) and len(body) > 1:
            yield {"kind": "ci", "title": re.split("[・（ ]", title)[0], "text": text}


def primers(corpus):
    for title, _, *body in blocks(os.path.join(corpus, "mengxue_zh.txt"), True):
        if title not in PRIMERS:
            continue
        body = [x for x in body if re.fullmatch("[\u4e00-\u9fff，。；：？！、]{8,40}", x) and x[-1] in "。；？！"]
        for i in range(0, len(body) - 3, 2):
            text = "\n".join(body[i:i + 4])
            if len(text) <= 100:
                yield {"kind": "primer", "title": title, "text": text[:-1] + "。"}


def english(corpus):
    """Runs of four to eight lines of blank verse that end with a sentence."""
    with open(os.path.join(corpus, "tinyshakespeare.txt"), encoding="utf-8") as f:
        speeches = f.read().split("\n\n")
    for speech in speeches:
        lines = speech.split("\n")[1:]
        i = 0
        while i + 4 <= len(lines):
            ends = [k for k in (4, 6, 5, 8, 7) if i + k <= len(lines) and lines[i + k - 1][-1:] in ".!?"]
            ends = [k for k in ends if all(28 <= len(x) <= 58 and x[0].isupper() for x in lines[i:i + k])]
            if not ends:
                i += 1
                continue
            yield {"kind": "en", "text": "\n".join(lines[i:i + ends[0]])}
            i += ends[0]


def clean(a):
    items, seen = [], set()
    for item in [*tang(a.corpus), *song(a.corpus), *primers(a.corpus), *english(a.corpus)]:
        if item["text"] not in seen and (item["kind"] == "en" or not BAD.search(item["text"])):
            seen.add(item["text"])
            items.append(item)
    count = collections.Counter(c for x in items for c in x["text"] if HAN.match(c))
    common = {c for c, _ in count.most_common(COMMON)}
    items = [x for x in items if all(c in common for c in x["text"] if HAN.match(c))]
    for x in items:
        if x["kind"] == "tang":
            t = x["title"]
            x["title"] = t if 1 <= len(t) <= 7 and all(c in common for c in t) else ""
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "clean.jsonl"), "w", encoding="utf-8") as f:
        for x in items:
            f.write(json.dumps(x, ensure_ascii=False) + "\n")
    by = collections.Counter((x["kind"], x.get("n", 0), x.get("lines", 0)) for x in items)
    chars = collections.Counter()
    for x in items:
        chars[x["kind"]] += len(x["text"])
    print(sorted(by.items()), dict(chars), sep="\n")


def is_held_out(text):
    return zlib.crc32(text.encode()) % 50 == 0      # 2 %, whatever the order


def held(a):
    texts = [x["text"] for x in [*song(a.corpus), *english(a.corpus)]]
    texts = sorted({x for x in texts if is_held_out(x)})
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "held_out.txt"), "w", encoding="utf-8") as f:
        f.write("\n\n".join(texts) + "\n")
    print(len(texts), "texts,", sum(len(x) for x in texts), "characters")


def pack(a):
    import bpe
    import pack_windows
    rng = random.Random(1)
    os.makedirs(a.out, exist_ok=True)
    with open(a.clean or os.path.join(a.out, "clean.jsonl"), encoding="utf-8") as f:
        items = [json.loads(x) for x in f]
    learn = [x for x in items if not is_held_out(x["text"])]
    tok = bpe.Tokenizer.load(a.tokenizer)
    ask = requests_for.Asker(items, rng, a.focus)
    val = ask.samples([x for x in items if is_held_out(x["text"])], chat=0.0)
    pack_windows.write(os.path.join(a.out, "val256.npz"), val, tok, 256, rng)
    train, long = [], []
    for _ in range(a.epochs):       # every pass asks for the same poem in other words
        part = ask.samples(learn, chat=0.035)
        cut = len(part) // 12       # a twelfth in windows of 1,024, so that a long chat still works
        train += part[cut:]
        long += part[:cut]
    pack_windows.write(os.path.join(a.out, "train256.npz"), train, tok, 256, rng)
    pack_windows.write(os.path.join(a.out, "train1024.npz"), long, tok, 1024, rng)
    for s in rng.sample(train, 12):
        print(s)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("step", choices=["clean", "pack", "held"])
    ap.add_argument("--corpus", default="../shared/data/corpus")
    ap.add_argument("--out", default="models/train/out")
    ap.add_argument("--tokenizer", default="models/train/tokenizer.json")
    ap.add_argument("--focus", action="store_true", help="mostly quatrains on a subject, for a short training")
    ap.add_argument("--clean", help="clean.jsonl elsewhere")
    ap.add_argument("--epochs", type=int, default=5)
    a = ap.parse_args()
    {"clean": clean, "pack": pack, "held": held}[a.step](a)


if __name__ == "__main__":
    main()
