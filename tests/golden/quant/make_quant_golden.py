#!/usr/bin/env python3
"""Golden blocks for src/quant, from the format's definition and numpy alone (Debian's python3-numpy).

Written separately from src/quant/decode.cc, bit by bit and weight by weight, so that a mistake in one shows.
Each <type>.bin: 16 blocks of seeded random bytes, then their weights as float32. The first 12 blocks get sane
half-precision factors (normal, denormal, zero, negative); the last 4 keep whatever the random bytes say, infinities
and NaN included.  Usage: make_quant_golden.py [OUT_DIR]
"""
import pathlib
import sys

import numpy as np

BLOCKS = 16
f32 = np.float32


def half(block, at):
    return block[at:at + 2].view(np.float16)[0].astype(f32)


def q8_0(b):
    return [f32(half(b, 0) * f32(np.int8(b[2 + i]))) for i in range(32)]


def q2_k(b):
    d, dmin = half(b, 80), half(b, 82)
    out = []
    for i in range(256):
        scale = int(b[i // 16])
        byte = int(b[16 + 32 * (i // 128) + i % 32])
        q = (byte >> (2 * ((i % 128) // 32))) & 3
        out.append(f32(f32(f32(d * f32(scale & 15)) * f32(q)) - f32(dmin * f32(scale >> 4))))
    return out


def q3_k(b):
    d = half(b, 108)
    # The 16 six-bit scales: low nibbles of bytes 96..103 are groups 0..7, high nibbles groups 8..15; bytes 104..107
    # carry the upper two bits, four groups a byte with a stride of four groups.
    scales = []
    for g in range(16):
        low = (int(b[96 + g % 8]) >> (4 * (g // 8))) & 15
        high = (int(b[104 + g % 4]) >> (2 * (g // 4))) & 3
        scales.append(low + 16 * high - 32)
    out = []
    for i in range(256):
        q = (int(b[32 + 32 * (i // 128) + i % 32]) >> (2 * ((i % 128) // 32))) & 3
        if not (int(b[i % 32]) >> (i // 32)) & 1:
            q -= 4
        out.append(f32(f32(d * f32(scales[i // 16])) * f32(q)))
    return out


def six_bit_pairs(s):
    """12 bytes -> 8 scales, 8 minima."""
    scales, mins = [0] * 8, [0] * 8
    for g in range(4):
        scales[g] = int(s[g]) & 63
        mins[g] = int(s[4 + g]) & 63
        scales[4 + g] = (int(s[8 + g]) & 15) + 16 * (int(s[g]) >> 6)
        mins[4 + g] = (int(s[8 + g]) >> 4) + 16 * (int(s[4 + g]) >> 6)
    return scales, mins


def q4_k(b):
    d, dmin = half(b, 0), half(b, 2)
    scales, mins = six_bit_pairs(b[4:16])
    out = []
    for i in range(256):
        q = (int(b[16 + 32 * (i // 64) + i % 32]) >> (4 * ((i // 32) % 2))) & 15
        g = i // 32
        out.append(f32(f32(f32(d * f32(scales[g])) * f32(q)) - f32(dmin * f32(mins[g]))))
    return out


def q5_k(b):
    d, dmin = half(b, 0), half(b, 2)
    scales, mins = six_bit_pairs(b[4:16])
    out = []
    for i in range(256):
        g = i // 32
        q = (int(b[48 + 32 * (i // 64) + i % 32]) >> (4 * (g % 2))) & 15
        q += 16 * ((int(b[16 + i % 32]) >> g) & 1)
        out.append(f32(f32(f32(d * f32(scales[g])) * f32(q)) - f32(dmin * f32(mins[g]))))
    return out


def q6_k(b):
    d = half(b, 208)
    out = []
    for i in range(256):
        h, j = divmod(i, 128)
        k, l = divmod(j, 32)
        low = (int(b[64 * h + 32 * (k % 2) + l]) >> (4 * (k // 2))) & 15
        high = (int(b[128 + 32 * h + l]) >> (2 * k)) & 3
        scale = int(np.int8(b[192 + i // 16]))
        out.append(f32(f32(d * f32(scale)) * f32(low + 16 * high - 32)))
    return out


def f16(b):
    return [half(b, 0)]


def bf16(b):
    return [np.array([0, 0, b[0], b[1]], dtype=np.uint8).view(f32)[0]]


# name: block bytes, offsets of the half factors, decoder, blocks in the file
FORMATS = {
    "f16": (2, [], f16, 512),
    "bf16": (2, [], bf16, 512),
    "q8_0": (34, [0], q8_0, BLOCKS),
    "q2_k": (84, [80, 82], q2_k, BLOCKS),
    "q3_k": (110, [108], q3_k, BLOCKS),
    "q4_k": (144, [0, 2], q4_k, BLOCKS),
    "q5_k": (176, [0, 2], q5_k, BLOCKS),
    "q6_k": (210, [208], q6_k, BLOCKS),
}
FACTORS = [0.01, 0.0003, -0.02, 0.0, 6e-8, 3e-5, 1.0, -1e-3, 65504.0, 0.125, 2e-7, 0.07]


def main():
    out_dir = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    np.seterr(all="ignore")
    for seed, (name, (size, factors, decode, count)) in enumerate(FORMATS.items()):
        rng = np.random.default_rng(20261123 + seed)
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for i in range(min(count, len(FACTORS))):
            for k, at in enumerate(factors):
                value = np.float16(FACTORS[(i + 5 * k) % len(FACTORS)])
                blocks[i, at:at + 2] = np.frombuffer(value.tobytes(), dtype=np.uint8)
        weights = np.array([w for b in blocks for w in decode(b)], dtype=f32)
        (out_dir / f"{name}.bin").write_bytes(blocks.tobytes() + weights.tobytes())
        print(f"{name}: {count} blocks, {weights.size} weights")


if __name__ == "__main__":
    main()
