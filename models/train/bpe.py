"""Byte-level BPE with the Qwen2 pre-tokenizer, in plain Python.

The pre-tokenizer is the regular expression
  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+
Python's `re` knows no \\p{..}, so the classes are spelled out from unicodedata as ranges.
"""
import functools
import json
import re
import sys
import unicodedata

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>",
            "<tool_response>", "</tool_response>", "<think>", "</think>"]
CONTROL = SPECIALS[:3]      # the others are text that a reader may see: USER_DEFINED, as in Qwen3
# White_Space of Unicode; Python's own \s would add U+001C..U+001F.
_SPACE = [(9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
          (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]


def _ranges(major):
    out, start = [], None
    for cp in range(sys.maxunicode + 2):
        inside = cp <= sys.maxunicode and unicodedata.category(chr(cp))[0] == major
        if inside and start is None:
            start = cp
        elif not inside and start is not None:
            out.append((start, cp - 1))
            start = None
    return out


def _cls(ranges):
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges)


@functools.lru_cache(None)
def _pattern():
    letter, number, space = _cls(_ranges("L")), _cls(_ranges("N")), _cls(_SPACE)
    return re.compile(
        f"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\\r\\n{letter}{number}]?[{letter}]+|[{number}]"
        f"| ?[^{space}{letter}{number}]+[\\r\\n]*|[{space}]*[\\r\\n]+|[{space}]+(?![^{space}])|[{space}]+")


def pretokenize(text):
    return _pattern().findall(text)


def byte_chars():
    """GPT-2's table: each byte as a printable character, so that tokens are text."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for b in range(256):
        table[b] = chr(b) if b in keep else chr(256 + extra)
        extra += b not in keep
    return table


TO_CHAR = byte_chars()
TO_BYTE = {c: b for b, c in TO_CHAR.items()}


def to_chars(text):
    return "".join(TO_CHAR[b] for b in text.encode("utf-8"))


class Tokenizer:
    def __init__(self, tokens, merges):
        """tokens: strings in GPT-2 characters, specials last; merges: pairs, best first."""
        self.tokens = tokens
        self.merges = merges
        self.ids = {t: i for i, t in enumerate(tokens)}
        self.rank = {tuple(m): i for i, m in enumerate(merges)}
        self.special = {s: self.ids[s] for s in SPECIALS if s in self.ids}
        self._split = re.compile("(" + "|".join(re.escape(s) for s in self.special) + ")") if self.special else None
        self._cache = {}

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        return cls(d["tokens"], [m.split(" ") for m in d["merges"]])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"tokens": self.tokens, "merges": [" ".join(m) for m in self.merges]}, f, ensure_ascii=False)

    def bpe(self, piece):
        got = self._cache.get(piece)
        if got is None:
            got = self._cache[piece] = self.spell(to_chars(piece))
        return got

    def spell(self, chars):
        """The ids of one pre-token, given in GPT-2 characters."""
        word = list(chars)
        while len(word) > 1:
            ranks = [self.rank.get(p, 1 << 30) for p in zip(word, word[1:])]
            best = min(ranks)
            if best == 1 << 30:
                break
            i = ranks.index(best)
            word[i:i + 2] = [word[i] + word[i + 1]]
        return [self.ids[t] for t in word]

    def encode(self, text, special=True):
        out = []
        for part in (self._split.split(text) if special and self._split else [text]):
            if special and part in self.special:
                out.append(self.special[part])
            else:
                for piece in pretokenize(part):
                    out += self.bpe(piece)
        return out

    def decode(self, ids):
        raw = b"".join(t.encode() if t in self.special else bytes(TO_BYTE[c] for c in t)
                       for t in (self.tokens[i] for i in ids))
        return raw.decode("utf-8", errors="replace")
