#!/usr/bin/env python3
"""Trains the demo model on a CPU until a given time of day.

The schedule runs on the clock, not on steps: whatever else the machine is doing, the learning rate reaches its end
when the time does. Matrices learn by Muon (orthogonalised momentum: far fewer tokens than AdamW needs for the same loss
at this size), embeddings and norms by AdamW. Where the machine has AMX, loss and gradient come from step.cc (bfloat16
factors, several times faster); elsewhere from torch in float32.
"""
import argparse
import csv
import dataclasses
import datetime
import math
import os
import time

import numpy as np
import torch

import bpe
import gguf
import native
from model import Config, Qwen3


def orthogonalise(g, steps=5):
    """Newton-Schulz towards the nearest matrix whose singular values are all one."""
    x = g / (g.norm() + 1e-7)
    flip = x.shape[0] > x.shape[1]
    x = x.t() if flip else x
    for _ in range(steps):
        a = x @ x.t()
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.t() if flip else x


class Muon:
    def __init__(self, params, fast, momentum=0.95, decay=0.1):
        self.state = [(p, torch.zeros_like(p)) for p in params]
        self.fast, self.momentum, self.decay = fast, momentum, decay

    @torch.no_grad()
    def step(self, lr):
        updates = [p.grad.lerp(m.lerp_(p.grad, 1 - self.momentum), self.momentum) for p, m in self.state]
        if self.fast:
            self.fast.orthogonalise(updates)
        else:
            updates = [orthogonalise(u) for u in updates]
        for (p, _), u in zip(self.state, updates):
            p.mul_(1 - lr * self.decay).add_(u, alpha=-lr * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


class Windows:
    """Endless shuffled batches of one file of windows; read once, in the order that `pack` shuffled."""

    def __init__(self, path, batch, seed):
        z = np.load(path)
        self.ids, self.mask, self.batch = z["ids"], z["mask"], batch
        self.rng = np.random.default_rng(seed)
        self.order, self.at = np.arange(len(self.ids)), 0

    def next(self):
        if self.at + self.batch > len(self.order):
            self.rng.shuffle(self.order)
            self.at = 0
        rows = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        return self.tensors(rows)

    def tensors(self, rows):
        ids = torch.from_numpy(self.ids[rows].astype(np.int64))
        return ids[:, :-1], ids[:, 1:], torch.from_numpy(self.mask[rows][:, 1:])


def learn(model, fast, batch):
    """Mean loss; every parameter's .grad is set."""
    if fast:
        return fast.loss(*batch, backward=True)
    model.zero_grad(set_to_none=True)
    loss = model.loss(*batch)
    loss.backward()
    return loss.item()


@torch.no_grad()
def evaluate(model, fast, val):
    total = n = 0
    for i in range(0, len(val.ids), 32):
        x, y, m = val.tensors(np.arange(i, min(i + 32, len(val.ids))))
        k = int(m.sum())
        total += (fast.loss(x, y, m, backward=False) if fast else model.loss(x, y, m).item()) * k
        n += k
    return total / n


def save(path, model, info):
    state = {"config": dataclasses.asdict(model.c), "model": model.state_dict(), "info": info}
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)     # a reader never sees half a file


@torch.no_grad()
def warm_start(model, path, tokenizer):
    """Weights from a GGUF of the same shape; a token that its vocabulary lacks starts as the mean of what it was spelled with."""
    reader, tok = gguf.Reader(path), bpe.Tokenizer.load(tokenizer)
    old = bpe.Tokenizer(reader.meta["tokenizer.ggml.tokens"], [m.split(" ") for m in reader.meta["tokenizer.ggml.merges"]])
    for name, p in model.named_parameters():
        p.copy_(torch.from_numpy(reader.tensor(name).copy()))
    table, new = model.token_embd.weight.clone(), 0
    for i, token in enumerate(tok.tokens):
        ids = [old.ids[token]] if token in old.ids else old.spell(token)
        new += len(ids) > 1
        model.token_embd.weight[i] = table[ids].mean(0)
    print(f"{path}: {new} tokens of {len(tok.tokens)} are new", flush=True)


def shape(frac, warm=0.01):
    """Learning-rate factor: a short rise, then a cosine to 2 %."""
    if frac < warm:
        return max(0.05, frac / warm)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (frac - warm) / (1 - warm))))


def until(text, minutes):
    now = datetime.datetime.now(datetime.timezone.utc)
    if minutes:
        return time.time() + 60 * minutes
    h, m = map(int, text.split(":"))
    end = now.replace(hour=h, minute=m, second=0, microsecond=0)
    return (end if end > now else end + datetime.timedelta(days=1)).timestamp()


def train(a, model, fast, out):
    data = Windows(os.path.join(a.data, "train256.npz"), a.batch, 11 if a.init else 1)
    long = Windows(os.path.join(a.data, "train1024.npz"), max(1, a.batch // 4), 2)
    val = Windows(os.path.join(a.data, "val256.npz"), 32, 3)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embd" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() != 2 or "embd" in n]
    muon = Muon(matrices, fast)
    adam = torch.optim.AdamW(rest, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
    start, end = time.time(), until(a.until, a.minutes)
    log = csv.writer(open(os.path.join(out, "loss.csv"), "a" if a.init else "w", newline="", buffering=1))
    step = tokens = 0
    if a.init:      # weights only: momentum is back within twenty steps, the schedule starts anew
        info = torch.load(a.init)
        model.load_state_dict(info["model"])
        step, tokens = info["info"]["step"], info["info"]["tokens"]
    else:
        log.writerow(["minutes", "step", "tokens", "lr_factor", "train_loss", "val_loss", "tokens_per_s"])
    before = tokens
    recent, next_eval, next_save, best = [], start + a.eval_s, start + a.save_s, None
    while True:
        frac = (time.time() - start) / (end - start)
        f = shape(frac)
        if frac >= 1:
            break
        batch = (long if step % 12 == 11 else data).next()
        recent.append(learn(model, fast, batch))
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        muon.step(a.lr * f)
        for g in adam.param_groups:
            g["lr"] = a.adam_lr * f
        adam.step()
        step, tokens = step + 1, tokens + batch[0].numel()
        now = time.time()
        if now >= next_eval:
            best = evaluate(model, fast, val)
            mean = sum(recent) / len(recent)
            row = [f"{(now - start) / 60:.2f}", step, tokens, f"{f:.4f}", f"{mean:.4f}", f"{best:.4f}", f"{(tokens - before) / (now - start):.0f}"]
            log.writerow(row)
            print(*row, flush=True)
            recent, next_eval = [], time.time() + a.eval_s
        if now >= next_save:
            save(os.path.join(out, "model.pt"), model, {"step": step, "tokens": tokens, "val": best})
            next_save = time.time() + a.save_s
    final = evaluate(model, fast, val)
    mean = sum(recent) / max(1, len(recent))
    log.writerow([f"{(time.time() - start) / 60:.2f}", step, tokens, "end", f"{mean:.4f}", f"{final:.4f}", f"{(tokens - before) / (time.time() - start):.0f}"])
    save(os.path.join(out, "model.pt"), model, {"step": step, "tokens": tokens, "val": final})
    print("done", step, tokens, f"{mean:.4f} {final:.4f}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", default="models/train/out", help="what prepare.py pack wrote")
    ap.add_argument("--out", default="models/train/out")
    ap.add_argument("--until", default="08:25", help="UTC time of day")
    ap.add_argument("--minutes", type=float, default=0, help="instead of --until")
    ap.add_argument("--init", help="go on from this checkpoint; minutes in loss.csv start again")
    ap.add_argument("--warm", help="start from the weights of this GGUF, whatever its tokenizer; steps and tokens are counted from 0")
    ap.add_argument("--tokenizer", default="models/train/tokenizer.json", help="that the data was packed with; for --warm")
    ap.add_argument("--plain", action="store_true", help="torch even where step.cc would run")
    ap.add_argument("--layers", type=int, default=4)
    ap.add_argument("--batch", type=int, default=24, help="windows of 256 a step")
    ap.add_argument("--lr", type=float, default=0.02)
    ap.add_argument("--adam-lr", type=float, default=0.004)
    ap.add_argument("--eval-s", type=float, default=180)
    ap.add_argument("--save-s", type=float, default=240)
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(7)
    os.makedirs(a.out, exist_ok=True)
    model = Qwen3(Config(layers=a.layers))
    if a.warm:
        warm_start(model, a.warm, a.tokenizer)
    fast = None if a.plain else native.load(model, a.threads, a.out)
    print(sum(p.numel() for p in model.parameters()), "parameters,", "step.cc" if fast else "torch", flush=True)
    train(a, model, fast, a.out)


if __name__ == "__main__":
    main()
