#!/usr/bin/env python3
"""Learns the 4,096 tokens from the cleaned corpus.

Merges never cross from one Chinese character to the next, so that a line of five characters is five tokens and the
model can count: with free merges a poem's length in tokens would say little about its length in characters. Within
ASCII and within a run of punctuation ("。" + newline) they are free. The result is an ordinary merge list.
"""
import argparse
import collections
import heapq
import json
import os

import bpe
import prompts
import subjects

VOCAB = 4096
ENGLISH_WEIGHT = 1      # more would spend the budget on English words at the cost of Chinese characters


def units(piece):
    """The parts of a pre-token inside which merges are allowed."""
    if not any(c.isalpha() for c in piece):
        return [piece]                      # punctuation with its newline, digits, white space
    out, run = [], ""
    for c in piece:
        if c.isascii():
            run += c
            continue
        if run:
            out.append(run)
        out.append(c)
        run = ""
    return out + [run] if run else out


def count_units(corpus):
    counts = collections.Counter()
    with open(corpus, encoding="utf-8") as f:
        for line in f:
            item = json.loads(line)
            weight = ENGLISH_WEIGHT if item["kind"] == "en" else 1
            for piece in bpe.pretokenize(item["text"]):
                for unit in units(piece):
                    counts[unit] += weight
    asked = [s for n, _ in subjects.ZH for s in n] * 20
    asked += [t for group in (prompts.SUBJECT, prompts.SUBJECT_FORM, prompts.TITLE, prompts.FORM, prompts.ANY, prompts.AGAIN, prompts.CI,
                              prompts.CI_SUBJECT, prompts.CI_TUNE, prompts.EN_SUBJECT, prompts.EN_ANY) for t in group] * 50
    asked += [t for asks, answers in prompts.CHAT for t in asks + answers] * 20
    asked += ["user", "assistant", "system", "\n"] * 5000
    for text in asked:
        for piece in bpe.pretokenize(text):
            for unit in units(piece):
                counts[unit] += 1
    return counts


def learn(counts, n_merges):
    words = [list(bpe.to_chars(u)) for u in counts]
    weight = list(counts.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for w, word in enumerate(words):
        for p in zip(word, word[1:]):
            pairs[p] += weight[w]
            where[p].add(w)
    heap = [(-c, p) for p, c in pairs.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        c, p = heapq.heappop(heap)
        if pairs[p] != -c or c == 0:
            if pairs[p] > 0 and pairs[p] != -c:
                heapq.heappush(heap, (-pairs[p], p))    # stale: its count fell since
            continue
        merges.append(p)
        changed = set()
        for w in where.pop(p):
            word = words[w]
            for q in zip(word, word[1:]):
                pairs[q] -= weight[w]
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == p:
                    word[i:i + 2] = [p[0] + p[1]]
                i += 1
            for q in zip(word, word[1:]):
                pairs[q] += weight[w]
                where[q].add(w)
                changed.add(q)
        for q in changed:
            heapq.heappush(heap, (-pairs[q], q))
    return merges


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", default="models/train/out", help="where prepare.py clean wrote")
    ap.add_argument("--tokenizer", default="models/train/tokenizer.json", help="the file to write")
    a = ap.parse_args()
    counts = count_units(os.path.join(a.out, "clean.jsonl"))
    merges = learn(counts, VOCAB - 256 - len(bpe.SPECIALS))
    tokens = [bpe.TO_CHAR[b] for b in range(256)] + [x + y for x, y in merges] + bpe.SPECIALS
    assert len(tokens) == len(set(tokens)) == VOCAB, len(set(tokens))
    bpe.Tokenizer(tokens, merges).save(a.tokenizer)
    han = sum(1 for t in tokens[256:-len(bpe.SPECIALS)] if len(t) == 3 and all(c in bpe.TO_BYTE for c in t)
              and not bytes(bpe.TO_BYTE[c] for c in t).isascii())
    print(f"{VOCAB} tokens, about {han} of them whole Chinese characters; last merge {merges[-1]}")


if __name__ == "__main__":
    main()
