#!/usr/bin/python3
"""Makes small_vocab.txt, small_merges.txt and bpe_golden.json.

An implementation of qwen2 byte-level BPE that shares nothing with ours: Python's own regular-expression engine with the
classes spelled out from unicodedata, and the textbook merge loop (quadratic, on whole pieces).
Invalid UTF-8 goes through Python's surrogateescape, so that each such byte is one character of category Cs.

  tests/golden/text/make_bpe_golden.py [--data ../shared/data] [--check-real N]

--check-real N writes N random texts with their ids under the full vocabulary to real_golden.json (not committed).
"""
import argparse, json, os, random, re, sys, unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, '..', '..', '..'))
WHITE_SPACE = '\t\n\v\f\r \x85\xa0\u1680' + ''.join(map(chr, range(0x2000, 0x200B))) + '\u2028\u2029\u202f\u205f\u3000'


def char_class(wanted):
    """The inside of [...] for every code point whose category begins with `wanted`."""
    parts, start = [], None
    for cp in range(0x110001):
        inside = cp < 0x110000 and unicodedata.category(chr(cp))[0] == wanted
        if inside and start is None:
            start = cp
        if not inside and start is not None:
            parts.append('%s-%s' % (re.escape(chr(start)), re.escape(chr(cp - 1))))
            start = None
    return ''.join(parts)


L, N, S = char_class('L'), char_class('N'), re.escape(WHITE_SPACE)
# Contractions are ASCII, as in llama.cpp: (?i:) would also take U+017F for s.
PATTERN = re.compile(
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
    rf"|[^\r\n{L}{N}]?[{L}]+|[{N}]| ?[^{S}{L}{N}]+[\r\n]*|[{S}]*[\r\n]+|[{S}]+(?![^{S}])|[{S}]+")


def byte_alphabet():
    keep = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    out, extra = {}, 0
    for b in range(256):
        if b in keep:
            out[b] = chr(b)
        else:
            out[b] = chr(0x100 + extra)
            extra += 1
    return out


ALPHABET = byte_alphabet()


def merge_piece(piece, ranks, used=None):
    parts = [ALPHABET[b] for b in piece]
    while len(parts) > 1:
        best = min(range(len(parts) - 1), key=lambda i: (ranks.get((parts[i], parts[i + 1]), 1 << 60), i))
        pair = (parts[best], parts[best + 1])
        if pair not in ranks:
            break
        if used is not None:
            used.add(pair)
        parts[best:best + 2] = [pair[0] + pair[1]]
    return parts


def encode(data, ids, ranks, used=None):
    text = data.decode('utf-8', 'surrogateescape')
    pieces = PATTERN.findall(text)
    assert ''.join(pieces) == text
    out = []
    for piece in pieces:
        out += [ids[t] for t in merge_piece(piece.encode('utf-8', 'surrogateescape'), ranks, used)]
    return out


def encode_parsing(data, ids, ranks, added):
    splitter = re.compile(b'(' + b'|'.join(re.escape(t.encode()) for t in sorted(added, key=len, reverse=True)) + b')')
    out = []
    for i, part in enumerate(splitter.split(data)):
        out += [added[part.decode()]] if i % 2 else encode(part, ids, ranks)
    return out


SAMPLES = [
    '床前明月光，疑是地上霜。举头望明月，低头思故乡。', '春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少？', '写一首关于月亮的诗',
    '你好，世界！这是一个测试。人工智能', 'Привет, мир', '日本語のテキスト', '한국어 텍스트', '🚀 😶‍🌫️ 🦙', 'Äpfel żółw',
    'def main():\n    return 0\n', '{"name": "get_weather", "arguments": {"city": "Paris"}}',
]
TEXTS = SAMPLES + [
    '', ' ', '  ', '   ', '\t', '\n', '\n\n', '\r\n\r\n', '\t\n', ' \n ', '  \n  x', 'a', 'aaaa', 'a' * 7, 'a' * 100, ' ' * 200,
    ' ' * 9 + 'x', '\u3000\u3000全角', 'x\u00a0\u00a0y', 'x\u2028\u2028y', 'x\u0085y', '\x1c\x1dz', '\x00\x01', "I've 'told he's",
    "'RE you'Ve a'lL 'M 'd", "''s", "'", "'x", "x'", "'re", "'r", "'v", "\u017f '\u017f", '1234567890', '3.14', '½ ² Ⅷ ٣',
    'e\u0301\u0301x', '\u0301' * 50, '!!!\r\n\n!', ' !!!\n x', '.\n\n.', '-\n', '===\r\n===', 'The quick brown fox jumps over the lazy dog. ' * 3,
    "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～", '<|im_start|>user\nhi<|im_end|>\n', '<think>\n\n</think>\n\n',
    'http://example.com/a_b?c=d&e=f#g', 'price: ¥12,345.67', '\ufeffBOM', '\U0010ffff\U000e0001', 'a\u200bb', '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚', 'ʼn İ ı ß ẞ',
]
RAW = [b'\xff', b'\xc3', b'\xe4\xbd', b'a\xffb', b' \xff\xfe x', b'\xed\xa0\x80', b'\xc0\x80', b'\xf4\x90\x80\x80', b'\xe4\xbda',
       b'\xf0\x9f\x98', bytes(range(256)), b'\xe4\xbd\xa0\xe5\xa5', b'\x80' * 70]


def random_texts(count, seed):
    rng = random.Random(seed)
    atoms = list(" \t\n\r'sStTreveEmMlLdD0123456789aAzZ.,!?-_=<>|") + SAMPLES + \
        ['\u00a0', '\u3000', '\u0301', '中', '文', '月', '光', 'é', '😁', '\u200d', 'ſ', '٣', '½', ' the', "'ll", '\r\n', '<|im_end|>', '<think>', 'ing']
    out = []
    for _ in range(count):
        data = ''.join(rng.choice(atoms) for _ in range(rng.randint(1, 24))).encode()
        if rng.random() < 0.2:
            data = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = bytes(data)
        out.append(data)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--data', default=os.path.join(ROOT, '..', 'shared', 'data'))
    parser.add_argument('--check-real', type=int, default=0)
    args = parser.parse_args()
    folder = os.path.join(args.data, 'tokenizer')
    vocab = json.load(open(os.path.join(folder, 'vocab.json'), encoding='utf-8'))
    added = json.load(open(os.path.join(folder, 'qwen3_added_tokens.json'), encoding='utf-8'))
    special = json.load(open(os.path.join(folder, 'qwen3_added_tokens_special_flag.json')))
    lines = open(os.path.join(folder, 'merges.txt'), encoding='utf-8').read().split('\n')[1:]
    merges = [tuple(line.split(' ')) for line in lines if line]
    ranks = {pair: rank for rank, pair in enumerate(merges)}

    if args.check_real:
        cases = [t.encode() for t in TEXTS] + RAW + random_texts(args.check_real, 2)
        golden = [{'hex': data.hex(), 'ids': encode(data, vocab, ranks),
                   'parsed': encode_parsing(data, vocab, ranks, added)} for data in cases]
        json.dump(golden, open(os.path.join(HERE, 'real_golden.json'), 'w'))
        return

    # The head of the table, and whatever the samples need of the rest: a subset in order is a valid table.
    used = set()
    for text in SAMPLES:
        encode(text.encode(), vocab, ranks, used)
    small = [pair for rank, pair in enumerate(merges) if rank < 1500 or pair in used]
    base = sorted((token for token in vocab if vocab[token] < 256), key=vocab.get)
    tokens = [(1, token) for token in base] + [(1, a + b) for a, b in small]
    tokens += [(3 if special[str(i)] or token.startswith('<|') else 4, token) for token, i in sorted(added.items(), key=lambda x: x[1])]
    tokens += [(5, '[PAD%d]' % i) for i in range(len(tokens), (len(tokens) + 15) // 16 * 16)]
    with open(os.path.join(HERE, 'small_vocab.txt'), 'w', encoding='utf-8') as f:
        f.writelines('%d\t%s\n' % pair for pair in tokens)
    with open(os.path.join(HERE, 'small_merges.txt'), 'w', encoding='utf-8') as f:
        f.writelines('%s %s\n' % pair for pair in small)
    ids = {token: i for i, (kind, token) in enumerate(tokens) if kind == 1}
    small_added = {token: i for i, (kind, token) in enumerate(tokens) if kind in (3, 4)}
    small_ranks = {pair: rank for rank, pair in enumerate(small)}
    cases = [t.encode() for t in TEXTS] + RAW + random_texts(150, 1)
    with open(os.path.join(HERE, 'bpe_golden.json'), 'w') as f:
        rows = [json.dumps({'hex': data.hex(), 'ids': encode(data, ids, small_ranks),
                            'parsed': encode_parsing(data, ids, small_ranks, small_added)}, separators=(',', ':')) for data in cases]
        f.write('[\n' + ',\n'.join(rows) + '\n]\n')
    print(len(tokens), 'tokens', len(small), 'merges', len(cases), 'texts', file=sys.stderr)


main()
