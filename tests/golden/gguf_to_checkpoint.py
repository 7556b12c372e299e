#!/usr/bin/env python3
"""Turns a GGUF of a Qwen3 in F32, F16 or BF16 into a Hugging Face folder with the same weights: convert's input, made
by code that shares nothing with it.

    python3 gguf_to_checkpoint.py noise.gguf FOLDER [--part-bytes 4000000000]

The folder has the files and the spellings of Qwen3's repositories as transformers 4.51 writes them. Standard library only.
"""
import argparse
import json
import mmap
import pathlib
import re
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
TYPES = {0: ("F32", 4), 1: ("F16", 2), 30: ("BF16", 2)}
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
         "output.weight": "lm_head.weight"}
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
         r"\s+(?!\S)|\s+")


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.scalar("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element = self.scalar("I")
            return [self.value(element) for _ in range(self.scalar("Q"))]
        return self.scalar(SCALARS[kind])


def read_gguf(data):
    """Metadata, and (name, type, shape outermost first, offset in the file) of each tensor."""
    reader = Reader(data)
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", data)
    assert magic == b"GGUF" and version == 3
    reader.at = 24
    metadata = {}
    for _ in range(keys):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("I"))
    out = []
    for _ in range(tensors):
        name = reader.string()
        shape = [reader.scalar("Q") for _ in range(reader.scalar("I"))]
        kind = reader.scalar("I")
        out.append((name, kind, shape[::-1], reader.scalar("Q")))
    alignment = metadata.get("general.alignment", 32)
    start = (reader.at + alignment - 1) // alignment * alignment
    return metadata, [(name, kind, shape, start + offset) for name, kind, shape, offset in out]


def hf_name(name):
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    return f"model.layers.{match[1]}.{LAYER_NAMES[match[2]]}.weight" if match else NAMES[name]


def byte_count(kind, shape):
    count = TYPES[kind][1]
    for size in shape:
        count *= size
    return count


def write_part(path, data, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, kind, shape, _ in tensors:
        end = at + byte_count(kind, shape)
        header[hf_name(name)] = {"dtype": TYPES[kind][0], "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, kind, shape, offset in tensors:
            out.write(memoryview(data)[offset:offset + byte_count(kind, shape)])


def write_weights(folder, data, tensors, part_bytes):
    parts, room = [[]], part_bytes
    for tensor in tensors:
        size = byte_count(tensor[1], tensor[2])
        if size > room and parts[-1]:
            parts.append([])
            room = part_bytes
        parts[-1].append(tensor)
        room -= size
    if len(parts) == 1:
        write_part(folder / "model.safetensors", data, parts[0])
        return
    weight_map = {}
    for index, part in enumerate(parts, 1):
        name = f"model-{index:05}-of-{len(parts):05}.safetensors"
        write_part(folder / name, data, part)
        weight_map.update({hf_name(tensor[0]): name for tensor in part})
    total = sum(byte_count(kind, shape) for _, kind, shape, _ in tensors)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))


def config_of(m, tensors):
    return {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": m["qwen3.attention.key_length"],
        "hidden_act": "silu", "hidden_size": m["qwen3.embedding_length"],
        "intermediate_size": m["qwen3.feed_forward_length"], "max_position_embeddings": m["qwen3.context_length"],
        "model_type": "qwen3", "num_attention_heads": m["qwen3.attention.head_count"],
        "num_hidden_layers": m["qwen3.block_count"], "num_key_value_heads": m["qwen3.attention.head_count_kv"],
        "rms_norm_eps": m["qwen3.attention.layer_norm_rms_epsilon"], "rope_scaling": None,
        "rope_theta": m["qwen3.rope.freq_base"], "sliding_window": None,
        "tie_word_embeddings": all(name != "output.weight" for name, *_ in tensors), "use_sliding_window": False,
        "vocab_size": len(m["tokenizer.ggml.tokens"]), "bos_token_id": m["tokenizer.ggml.bos_token_id"],
        "eos_token_id": m["tokenizer.ggml.eos_token_id"],
    }


def write_tokenizer(folder, m):
    tokens, types = m["tokenizer.ggml.tokens"], m["tokenizer.ggml.token_type"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = {i: {"content": tokens[i], **flags, "special": kind == CONTROL}
             for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0",
        "added_tokens": [{"id": i, **token} for i, token in added.items()],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens) if types[i] == NORMAL},
                  "merges": [merge.split(" ") for merge in m["tokenizer.ggml.merges"]]},
    }, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "add_bos_token": m["tokenizer.ggml.add_bos_token"], "added_tokens_decoder": added, "bos_token": None,
        "chat_template": m["tokenizer.chat_template"], "eos_token": tokens[m["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[m["tokenizer.ggml.padding_token_id"]], "tokenizer_class": "Qwen2Tokenizer",
    }))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--part-bytes", type=int, default=4_000_000_000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with open(args.gguf, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        metadata, tensors = read_gguf(data)
        write_weights(args.folder, data, tensors, args.part_bytes)
    (args.folder / "config.json").write_text(json.dumps(config_of(metadata, tensors), indent=2))
    write_tokenizer(args.folder, metadata)


if __name__ == "__main__":
    main()
