#!/usr/bin/env python3
"""Checkpoint + tokenizer -> GGUF that llama.cpp and Dormouse load, with a self-test that reads the file back."""
import argparse
import os

import numpy as np
import torch

import bpe
import gguf
from model import Config, Qwen3
from reference import Reference

PROMPTS = ["写一首关于月亮的诗", "作一首五言绝句，题为山中", "Write a verse about the sea"]
# Largest difference of a logit between torch and the file's numpy forward; logits have a standard deviation of 2 to 3.
# f32: the order of sums alone. f16: eleven bits of mantissa in each weight; 0.003 measured. q8_0: a weight is rounded to
# 1/254 of the largest of its 32, about 0.4 % of a typical one, and the errors of four layers add up; 0.07 measured.
TOLERANCE = {"f32": 2e-3, "f16": 3e-2, "q8_0": 3e-1}
KINDS = {"f32": (gguf.F32, 0), "f16": (gguf.F16, 1), "q8_0": (gguf.Q8_0, 7)}       # tensor type, general.file_type


def load(path):
    state = torch.load(path, map_location="cpu")
    model = Qwen3(Config(**state["config"]))
    model.load_state_dict(state["model"])
    return model.eval(), state["info"]


def chat(prompt):
    return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"


def metadata(c, tok, template, file_type, n):
    kind = [3 if t in bpe.CONTROL else 4 if t in tok.special else 1 for t in tok.tokens]
    return {
        "general.architecture": "qwen3", "general.type": "model", "general.name": "Dormouse demo (verse)",
        "general.size_label": f"{n / 1e6:.0f}M", "general.license": "apache-2.0",
        "general.description": "Writes verse. Made to try the server, not to answer questions.",
        "general.file_type": file_type, "general.quantization_version": 2,
        "qwen3.block_count": c.layers, "qwen3.context_length": c.context, "qwen3.embedding_length": c.width,
        "qwen3.feed_forward_length": c.ffn, "qwen3.attention.head_count": c.heads,
        "qwen3.attention.head_count_kv": c.kv_heads, "qwen3.attention.key_length": c.head_dim,
        "qwen3.attention.value_length": c.head_dim, "qwen3.attention.layer_norm_rms_epsilon": float(c.eps),
        "qwen3.rope.freq_base": float(c.theta),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": tok.tokens,
        "tokenizer.ggml.token_type": kind, "tokenizer.ggml.merges": [" ".join(m) for m in tok.merges],
        "tokenizer.ggml.eos_token_id": tok.special["<|im_end|>"],
        "tokenizer.ggml.padding_token_id": tok.special["<|endoftext|>"],
        "tokenizer.ggml.bos_token_id": tok.special["<|endoftext|>"], "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template}


def tensors(model, kind):
    """llama.cpp's names; norms stay float32. No output.weight: the embedding is tied."""
    for name, p in model.state_dict().items():
        yield name, p.numpy(), gguf.F32 if p.dim() == 1 else kind


def self_test(path, model, tok, kind):
    """The file alone, through numpy, must say what torch says, and its text must survive the tokenizer."""
    reader = gguf.Reader(path)
    ref = Reference(reader)
    again = bpe.Tokenizer(reader.meta["tokenizer.ggml.tokens"], [m.split(" ") for m in reader.meta["tokenizer.ggml.merges"]])
    for text in PROMPTS + ["鱻龘 □ émigré 🐭\n\n  x  1234 don't"]:
        assert again.decode(again.encode(text)) == text == tok.decode(tok.encode(text)), text
    worst = 0.0
    for p in PROMPTS:
        ids = tok.encode(chat(p))
        with torch.no_grad():       # continue a little, so that the cache is longer than the prompt
            for _ in range(24):
                ids.append(int(model.logits(torch.tensor([ids]))[0, -1].argmax()))
            want = model.logits(torch.tensor([ids]))[0].numpy()
        got = ref.run(ids)
        diff = float(np.abs(got - want).max())
        same = float((got.argmax(1) == want.argmax(1)).mean())
        worst = max(worst, diff)
        print(f"  {p}: largest logit difference {diff:.2g} (spread {want.std():.1f}), same best token {same:.1%}")
    assert worst < TOLERANCE[kind], f"{worst} >= {TOLERANCE[kind]}"


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", default="models/train/out", help="folder of model.pt")
    ap.add_argument("--checkpoint", help="model.pt elsewhere")
    ap.add_argument("--tokenizer", default="models/train/tokenizer.json")
    ap.add_argument("--template", default="../shared/data/templates/Qwen3-4B-Instruct-2507.jinja")
    ap.add_argument("--type", choices=list(KINDS), default="q8_0")
    ap.add_argument("--file", default="models/qwen3-demo-q8_0.gguf")
    a = ap.parse_args()
    torch.set_num_threads(1)
    model, info = load(a.checkpoint or os.path.join(a.out, "model.pt"))
    tok = bpe.Tokenizer.load(a.tokenizer)
    with open(a.template, encoding="utf-8") as f:
        template = f.read()
    kind, file_type = KINDS[a.type]
    n = sum(p.numel() for p in model.parameters())
    gguf.write(a.file, metadata(model.c, tok, template, file_type, n), list(tensors(model, kind)))
    print(f"{a.file}: {os.path.getsize(a.file)} bytes, {n} parameters, {info}")
    self_test(a.file, model, tok, a.type)


if __name__ == "__main__":
    main()
