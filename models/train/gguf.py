"""GGUF v3, written and read by hand, with the three tensor types the demo model uses."""
import struct

import numpy as np

F32, F16, Q8_0 = 0, 1, 8
_U32, _F32, _BOOL, _STR, _ARR, _I32 = 4, 6, 7, 8, 9, 5
ALIGN = 32


def _s(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _value(v):
    if isinstance(v, bool):
        return struct.pack("<I?", _BOOL, v)
    if isinstance(v, int):
        return struct.pack("<II", _U32, v)
    if isinstance(v, float):
        return struct.pack("<If", _F32, v)
    if isinstance(v, str):
        return struct.pack("<I", _STR) + _s(v)
    if isinstance(v[0], str):
        return struct.pack("<IIQ", _ARR, _STR, len(v)) + b"".join(map(_s, v))
    return struct.pack("<IIQ", _ARR, _I32, len(v)) + struct.pack(f"<{len(v)}i", *v)


def quantize_q8_0(x):
    """Blocks of 32 along a row: a float16 scale and 32 signed bytes."""
    b = x.astype(np.float32).reshape(-1, 32)
    d = np.abs(b).max(1) / 127.0
    inv = np.divide(1.0, d, out=np.zeros_like(d), where=d > 0)
    q = b * inv[:, None]
    q = np.trunc(q + np.copysign(0.5, q)).astype(np.int8)       # half away from zero, as roundf
    out = np.empty((len(b), 34), np.uint8)
    out[:, :2] = d.astype("<f2")[:, None].view(np.uint8)
    out[:, 2:] = q.view(np.uint8)
    return out.tobytes()


def dequantize_q8_0(raw, shape):
    b = np.frombuffer(raw, np.uint8).reshape(-1, 34)
    d = b[:, :2].copy().view("<f2").astype(np.float32)
    return (d * b[:, 2:].view(np.int8).astype(np.float32)).reshape(shape)


def encode(x, kind):
    if kind == Q8_0:
        return quantize_q8_0(x)
    return x.astype("<f2" if kind == F16 else "<f4").tobytes()


def write(path, meta, tensors):
    """meta: key -> value in order; tensors: (name, array [rows, columns] or [n], type)."""
    info, blobs, at = b"", [], 0
    for name, x, kind in tensors:
        raw = encode(x, kind)
        dims = x.shape[::-1]        # GGUF counts the contiguous dimension first
        info += _s(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, at)
        raw += b"\0" * (-len(raw) % ALIGN)
        blobs.append(raw)
        at += len(raw)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta))
    head += b"".join(_s(k) + _value(v) for k, v in meta.items()) + info
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGN))
        for raw in blobs:
            f.write(raw)


class Reader:
    """meta: key -> value; tensor(name) -> float32 array, dequantised."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.raw = f.read()
        self.at = 4
        version, n_tensors, n_meta = self._take("<IQQ")
        if self.raw[:4] != b"GGUF" or version != 3:
            raise ValueError(f"{path}: not a GGUF v3 file")
        self.meta = {}
        for _ in range(n_meta):
            key = self._str()
            self.meta[key] = self._val(self._take("<I")[0])
        self.info = {}
        for _ in range(n_tensors):
            name = self._str()
            dims = self._take(f"<{self._take('<I')[0]}Q")
            self.info[name] = (dims[::-1], *self._take("<IQ"))
        self.base = -(-self.at // ALIGN) * ALIGN

    def _take(self, fmt):
        got = struct.unpack_from(fmt, self.raw, self.at)
        self.at += struct.calcsize(fmt)
        return got

    def _str(self):
        n, = self._take("<Q")
        self.at += n
        return self.raw[self.at - n:self.at].decode("utf-8")

    def _val(self, kind):
        if kind == _STR:
            return self._str()
        if kind == _ARR:
            sub, n = self._take("<IQ")
            return [self._val(sub) for _ in range(n)]
        return self._take({_U32: "<I", _F32: "<f", _BOOL: "<?", _I32: "<i"}[kind])[0]

    def tensor(self, name):
        shape, kind, at = self.info[name]
        n, at = int(np.prod(shape)), self.base + at
        if kind == Q8_0:
            return dequantize_q8_0(self.raw[at:at + n // 32 * 34], shape)
        size, dtype = (2, "<f2") if kind == F16 else (4, "<f4")
        return np.frombuffer(self.raw[at:at + n * size], dtype).astype(np.float32).reshape(shape)
