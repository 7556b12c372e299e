"""Qwen3 (dense) in PyTorch: RMSNorm, grouped-query attention with per-head norms of Q and K before RoPE, SwiGLU, tied embedding."""
import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Config:
    vocab: int = 4096
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 128     # as in every Qwen3, and not width / heads: the same code paths are used
    ffn: int = 768
    eps: float = 1e-6
    theta: float = 10000.0
    context: int = 1024


class _RMSNorm(torch.autograd.Function):
    """One saved tensor and few passes over memory: on a CPU the plain composition costs as much as a matrix product."""

    @staticmethod
    def forward(ctx, x, w, eps):
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, w, r)
        return (x * r).mul_(w)

    @staticmethod
    def backward(ctx, g):
        x, w, r = ctx.saved_tensors
        xhat = x * r
        gw = (g * xhat).view(-1, w.shape[0]).sum(0)
        gx = g * w
        dot = (gx * xhat).mean(-1, keepdim=True)
        return gx.addcmul_(xhat, dot, value=-1).mul_(r), gw, None


class RMSNorm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))
        self.eps = eps

    def forward(self, x):
        return _RMSNorm.apply(x, self.weight, self.eps)


def rope_tables(c, n):
    freq = c.theta ** (-torch.arange(0, c.head_dim, 2).double() / c.head_dim)
    angle = torch.outer(torch.arange(n).double(), freq)
    angle = torch.cat([angle, angle], 1)
    sin = angle.sin()
    sin[:, :c.head_dim // 2] *= -1      # so that rotate(x) is a plain swap of the halves
    return angle.cos().float(), sin.float()


def rotate(x, cos, sin):
    h = x.shape[-1] // 2
    return (x * cos).addcmul_(torch.cat([x[..., h:], x[..., :h]], -1), sin)     # NEOX pairs: (i, i + d/2)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.attn_norm, self.ffn_norm = RMSNorm(c.width, c.eps), RMSNorm(c.width, c.eps)
        self.attn_q_norm, self.attn_k_norm = RMSNorm(c.head_dim, c.eps), RMSNorm(c.head_dim, c.eps)
        lin = lambda i, o: nn.Linear(i, o, bias=False)      # noqa: E731
        self.attn_q, self.attn_k = lin(c.width, c.heads * c.head_dim), lin(c.width, c.kv_heads * c.head_dim)
        self.attn_v, self.attn_output = lin(c.width, c.kv_heads * c.head_dim), lin(c.heads * c.head_dim, c.width)
        self.ffn_gate, self.ffn_up, self.ffn_down = lin(c.width, c.ffn), lin(c.width, c.ffn), lin(c.ffn, c.width)

    def attention(self, x, cos, sin, mask):
        c, (b, t, _) = self.c, x.shape
        q = self.attn_q_norm(self.attn_q(x).view(b, t, c.heads, c.head_dim))
        k = self.attn_k_norm(self.attn_k(x).view(b, t, c.kv_heads, c.head_dim))
        v = self.attn_v(x).view(b, t, c.kv_heads, c.head_dim)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        g = c.heads // c.kv_heads       # query head h reads KV head h // g
        q = q.view(b, t, c.kv_heads, g, c.head_dim).permute(0, 2, 3, 1, 4).reshape(b * c.kv_heads, g * t, c.head_dim)
        k = k.transpose(1, 2).reshape(b * c.kv_heads, t, c.head_dim)
        v = v.transpose(1, 2).reshape(b * c.kv_heads, t, c.head_dim)
        s = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=c.head_dim ** -0.5)     # mask: [g * t, t], -inf above the diagonal
        y = torch.bmm(torch.softmax(s, -1), v)
        y = y.view(b, c.kv_heads, g, t, c.head_dim).permute(0, 3, 1, 2, 4).reshape(b, t, c.heads * c.head_dim)
        return self.attn_output(y)

    def forward(self, x, cos, sin, mask):
        x = x + self.attention(self.attn_norm(x), cos, sin, mask)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Qwen3(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.vocab, c.width)
        self.blk = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.output_norm = RMSNorm(c.width, c.eps)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        for name, p in self.named_parameters():
            if p.dim() == 2 and "embd" not in name:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=p.shape[1] ** -0.5 * (0.5 / (2 * c.layers) ** 0.5 if last else 0.5))
        self._tables = {}

    def tables(self, t):
        if t not in self._tables:
            cos, sin = rope_tables(self.c, t)
            mask = torch.full((t, t), float("-inf")).triu_(1).repeat(self.c.heads // self.c.kv_heads, 1)
            self._tables[t] = cos[:, None, :], sin[:, None, :], mask
        return self._tables[t]

    def hidden(self, ids):
        x = F.embedding(ids, self.token_embd.weight)
        tables = self.tables(ids.shape[1])
        for layer in self.blk:
            x = layer(x, *tables)
        return self.output_norm(x)

    def logits(self, ids):
        return self.hidden(ids) @ self.token_embd.weight.t()

    def loss(self, ids, targets, learned):
        """Mean cross-entropy over the learned positions; logits are computed for those alone."""
        h = self.hidden(ids)[learned]
        return F.cross_entropy(h @ self.token_embd.weight.t(), targets[learned])
