"""The forward pass in numpy, from a GGUF file alone: what the export is checked with, and a reference for other engines.

Written from the file's metadata, token by token with a KV cache, and sharing no code with model.py on purpose.
"""
import numpy as np


class Reference:
    def __init__(self, reader):
        m = reader.meta
        g = lambda k: m["qwen3." + k]       # noqa: E731
        self.layers, self.heads, self.kv_heads = g("block_count"), g("attention.head_count"), g("attention.head_count_kv")
        self.dim, self.eps, self.theta = g("attention.key_length"), g("attention.layer_norm_rms_epsilon"), g("rope.freq_base")
        self.w = {name: reader.tensor(name) for name in reader.info}
        self.reset()

    def reset(self):
        self.k = [[] for _ in range(self.layers)]
        self.v = [[] for _ in range(self.layers)]

    def norm(self, x, w):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * w

    def rope(self, x, pos):
        half = self.dim // 2
        angle = pos * self.theta ** (-np.arange(half) * 2.0 / self.dim)
        c, s = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        a, b = x[:, :half], x[:, half:]
        return np.concatenate([a * c - b * s, a * s + b * c], 1)

    def attention(self, i, x):
        w = lambda n: self.w[f"blk.{i}.{n}.weight"]     # noqa: E731
        pos = len(self.k[i])
        q = self.norm((w("attn_q") @ x).reshape(self.heads, self.dim), w("attn_q_norm"))
        k = self.norm((w("attn_k") @ x).reshape(self.kv_heads, self.dim), w("attn_k_norm"))
        self.k[i].append(self.rope(k, pos))
        self.v[i].append((w("attn_v") @ x).reshape(self.kv_heads, self.dim))
        q, k, v = self.rope(q, pos), np.stack(self.k[i]), np.stack(self.v[i])
        out = []
        for h in range(self.heads):
            kv = h * self.kv_heads // self.heads
            s = k[:, kv] @ q[h] / np.sqrt(self.dim)
            p = np.exp(s - s.max())
            out.append((p / p.sum()) @ v[:, kv])
        return w("attn_output") @ np.concatenate(out)

    def step(self, token):
        """Logits after one more token."""
        x = self.w["token_embd.weight"][token]
        for i in range(self.layers):
            w = lambda n: self.w[f"blk.{i}.{n}.weight"]     # noqa: E731,B023
            x = x + self.attention(i, self.norm(x, w("attn_norm")))
            h = self.norm(x, w("ffn_norm"))
            gate = w("ffn_gate") @ h
            x = x + w("ffn_down") @ (gate / (1 + np.exp(-gate)) * (w("ffn_up") @ h))
        head = self.w.get("output.weight", self.w["token_embd.weight"])     # tied
        return head @ self.norm(x, self.w["output_norm.weight"])

    def run(self, tokens):
        self.reset()
        return np.stack([self.step(t) for t in tokens])
