#!/usr/bin/env python3
"""Makes model.gguf and logits.bin: a tiny random Qwen3 and what it must answer.

An independent reference: numpy only, float64 throughout, written from the architecture's description (no line of it is
shared with the engine), with a GGUF writer of its own. Deterministic: the same numpy gives the same bytes.

    python3 make_golden.py            # needs numpy (Debian: python3-numpy)
"""
import pathlib
import struct

import numpy as np

SEED = 20261123
LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2, 64, 96, 4, 2, 32, 128
CONTEXT, EPSILON, THETA = 256, 1e-6, 10_000.0
TOKENS = 80  # two and a half pages of 32


def make_weights(rng):
    def matrix(rows, columns, gain=1.0):
        return (rng.standard_normal((rows, columns)) * gain / np.sqrt(columns)).astype(np.float32)

    def norm(length):  # far from 1 and with both signs, so that a forgotten norm cannot pass
        return (1.0 + 0.5 * rng.standard_normal(length)).astype(np.float32)

    w = {"token_embd.weight": matrix(VOCAB, HIDDEN, 4.0), "output_norm.weight": norm(HIDDEN)}
    for i in range(LAYERS):
        p = f"blk.{i}."
        w[p + "attn_norm.weight"] = norm(HIDDEN)
        w[p + "attn_q.weight"] = matrix(HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_k.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_v.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        w[p + "attn_q_norm.weight"] = norm(HEAD_DIM)
        w[p + "attn_k_norm.weight"] = norm(HEAD_DIM)
        w[p + "attn_output.weight"] = matrix(HIDDEN, HEADS * HEAD_DIM)
        w[p + "ffn_norm.weight"] = norm(HIDDEN)
        w[p + "ffn_gate.weight"] = matrix(FFN, HIDDEN)
        w[p + "ffn_up.weight"] = matrix(FFN, HIDDEN)
        w[p + "ffn_down.weight"] = matrix(HIDDEN, FFN)
    return w


def rms_norm(x, weight):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON) * weight


def rope(x, positions):
    """x: [tokens, heads, HEAD_DIM]; element i turns with element i + HEAD_DIM / 2 (the NEOX pairing)."""
    half = HEAD_DIM // 2
    angle = positions[:, None] * THETA ** (-2.0 * np.arange(half) / HEAD_DIM)[None, :]
    cosine, sine = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)


def forward(w, tokens, kv_dtype):
    w = {name: value.astype(np.float64) for name, value in w.items()}
    count = len(tokens)
    positions = np.arange(count, dtype=np.float64)
    visible = np.tril(np.ones((count, count), dtype=bool))
    x = w["token_embd.weight"][tokens]
    for i in range(LAYERS):
        p = f"blk.{i}."
        h = rms_norm(x, w[p + "attn_norm.weight"])
        q = (h @ w[p + "attn_q.weight"].T).reshape(count, HEADS, HEAD_DIM)
        k = (h @ w[p + "attn_k.weight"].T).reshape(count, KV_HEADS, HEAD_DIM)
        v = (h @ w[p + "attn_v.weight"].T).reshape(count, KV_HEADS, HEAD_DIM)
        q = rope(rms_norm(q, w[p + "attn_q_norm.weight"]), positions)
        k = rope(rms_norm(k, w[p + "attn_k_norm.weight"]), positions)
        k, v = k.astype(kv_dtype).astype(np.float64), v.astype(kv_dtype).astype(np.float64)
        attended = np.empty((count, HEADS, HEAD_DIM))
        for head in range(HEADS):
            kv = head // (HEADS // KV_HEADS)
            scores = np.where(visible, q[:, head] @ k[:, kv].T / np.sqrt(HEAD_DIM), -np.inf)
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            attended[:, head] = scores / scores.sum(axis=-1, keepdims=True) @ v[:, kv]
        x = x + attended.reshape(count, HEADS * HEAD_DIM) @ w[p + "attn_output.weight"].T
        h = rms_norm(x, w[p + "ffn_norm.weight"])
        gate = h @ w[p + "ffn_gate.weight"].T
        x = x + (gate / (1.0 + np.exp(-gate)) * (h @ w[p + "ffn_up.weight"].T)) @ w[p + "ffn_down.weight"].T
    return rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T


def gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def write_gguf(path, metadata, tensors):
    """GGUF v3: header, key/value pairs, tensor infos, data aligned to 32. F32 tensors only."""
    kinds = {"u32": (4, "<I"), "f32": (6, "<f")}
    out = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        out += gguf_string(key)
        if kind == "string":
            out += struct.pack("<I", 8) + gguf_string(value)
        else:
            out += struct.pack("<I", kinds[kind][0]) + struct.pack(kinds[kind][1], value)
    offset = 0
    for name, value in tensors.items():
        shape = value.shape[::-1]  # GGUF writes the contiguous dimension first
        out += gguf_string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        out += struct.pack("<IQ", 0, offset)
        offset += (value.nbytes + 31) // 32 * 32
    out += b"\0" * (-len(out) % 32)
    for value in tensors.values():
        out += value.tobytes() + b"\0" * (-value.nbytes % 32)
    path.write_bytes(out)


def main():
    here = pathlib.Path(__file__).parent
    rng = np.random.default_rng(SEED)
    weights = make_weights(rng)
    tokens = rng.integers(0, VOCAB, TOKENS)
    metadata = [
        ("general.architecture", "string", "qwen3"),
        ("general.name", "string", "tiny random Qwen3"),
        ("qwen3.block_count", "u32", LAYERS),
        ("qwen3.context_length", "u32", CONTEXT),
        ("qwen3.embedding_length", "u32", HIDDEN),
        ("qwen3.feed_forward_length", "u32", FFN),
        ("qwen3.attention.head_count", "u32", HEADS),
        ("qwen3.attention.head_count_kv", "u32", KV_HEADS),
        ("qwen3.attention.key_length", "u32", HEAD_DIM),
        ("qwen3.attention.value_length", "u32", HEAD_DIM),
        ("qwen3.attention.layer_norm_rms_epsilon", "f32", EPSILON),
        ("qwen3.rope.freq_base", "f32", THETA),
    ]
    write_gguf(here / "model.gguf", metadata, weights)
    exact = forward(weights, tokens, np.float64)
    half = forward(weights, tokens, np.float16)
    print("relative difference that fp16 keys and values make:", np.linalg.norm(half - exact) / np.linalg.norm(exact))
    (here / "logits.bin").write_bytes(
        struct.pack("<2i", TOKENS, VOCAB)
        + tokens.astype("<i4").tobytes()
        + exact.astype("<f4").tobytes()
        + half.astype("<f4").tobytes()
    )


if __name__ == "__main__":
    main()
