"""Chats -> windows of a fixed length with nothing wasted.

Every window starts with a chat and holds several, one after the other. A window therefore reads like one long
conversation in exactly the bytes of the chat template, and the model learns to answer a later turn as well as a first.
Only answers (and their <|im_end|>) are learned; `mask` marks them.
"""
import numpy as np

import prompts


def turn_ids(tok, ask, answer):
    head = tok.encode(f"<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n")
    body = tok.encode(f"{answer}<|im_end|>")
    tail = tok.encode("\n")
    return head + body + tail, [0] * len(head) + [1] * len(body) + [0] * len(tail)


def write(path, chats, tok, length, rng):
    encoded = []
    for chat in chats:
        ids, mask = [], []
        for ask, answer in chat:
            i, m = turn_ids(tok, ask, answer)
            ids += i
            mask += m
        if len(ids) <= length + 1:
            encoded.append((ids, mask))
    rng.shuffle(encoded)
    windows = []        # length + 1 tokens: inputs and, shifted by one, targets
    open_windows = []   # the fullest of a few candidates gets the next chat: 1 to 3 % of padding is left
    for ids, mask in encoded:
        fit = [w for w in open_windows if len(w[0]) + len(ids) <= length + 1]
        if fit:
            best = max(fit, key=lambda w: len(w[0]))
        else:
            best = ([], [])
            if rng.random() < 0.06:     # some clients send a system message
                s = tok.encode(f"<|im_start|>system\n{rng.choice(prompts.SYSTEM)}<|im_end|>\n")
                if len(s) + len(ids) <= length + 1:
                    best = (list(s), [0] * len(s))
            open_windows.append(best)
        best[0].extend(ids)
        best[1].extend(mask)
        if len(open_windows) > 24:
            open_windows.sort(key=lambda w: len(w[0]))
            windows.append(open_windows.pop())
    windows += open_windows
    pad = tok.special["<|endoftext|>"]
    n = len(windows)
    ids = np.full((n, length + 1), pad, np.uint16)
    mask = np.zeros((n, length + 1), np.bool_)
    for k, (i, m) in enumerate(windows):
        ids[k, :len(i)] = i
        mask[k, :len(m)] = m
    order = np.array(rng.sample(range(n), n))
    np.savez(path, ids=ids[order], mask=mask[order])
    used = sum(len(i) for i, _ in windows)
    print(f"{path}: {n} windows of {length}, {used} tokens, {used / (n * (length + 1)):.3f} full, {mask.mean():.3f} learned")
