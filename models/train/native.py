"""step.cc from Python: loss and gradient of a batch, and Muon's orthogonalisation, on a CPU with AMX.

`load` builds the library with g++ on first use and returns None where the machine or the compiler cannot: the trainer
then does the same with torch.
"""
import ctypes
import os
import subprocess

import torch

SOURCES = ["step.cc", "amx.cc"]
FLAGS = ["-std=c++20", "-O3", "-ffast-math", "-march=sapphirerapids", "-mprefer-vector-width=512", "-shared", "-fPIC", "-pthread"]


class Shape(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int32) for n in ("vocab", "width", "layers", "heads", "kv_heads", "head_dim", "ffn")] + \
               [("eps", ctypes.c_float), ("theta", ctypes.c_float)]


def _pointers(tensors):
    return (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))


class Native:
    def __init__(self, lib, model, threads):
        self.lib, self.threads = lib, threads
        self.shape = Shape(**{n: getattr(model.c, n) for n, _ in Shape._fields_})
        self.params = list(model.parameters())

    def loss(self, ids, targets, learned, backward):
        """Mean loss of the learned positions; with `backward` every parameter's .grad is set, not added to."""
        ids, targets = ids.int().contiguous(), targets.int().contiguous()
        learned = learned.to(torch.uint8).contiguous()
        if backward:
            for p in self.params:
                if p.grad is None:
                    p.grad = torch.empty_like(p)
        grads = _pointers([p.grad for p in self.params]) if backward else None
        return self.lib.native_step(ctypes.byref(self.shape), _pointers(self.params), grads, ctypes.c_void_p(ids.data_ptr()),
                                    ctypes.c_void_p(targets.data_ptr()), ctypes.c_void_p(learned.data_ptr()), *ids.shape, self.threads)

    def orthogonalise(self, matrices):
        """In place."""
        n = len(matrices)
        rows, columns = (ctypes.c_int32 * n)(*(m.shape[0] for m in matrices)), (ctypes.c_int32 * n)(*(m.shape[1] for m in matrices))
        self.lib.native_orthogonalise(_pointers(matrices), rows, columns, n, self.threads)


def load(model, threads, out):
    """out: folder for the library."""
    here, path = os.path.dirname(os.path.abspath(__file__)), os.path.abspath(os.path.join(out, "libstep.so"))
    try:
        with open("/proc/cpuinfo", encoding="ascii") as f:
            if "amx_bf16" not in f.read():
                return None
        subprocess.run(["g++", *FLAGS, *(os.path.join(here, s) for s in SOURCES), "-o", path], check=True)
        lib = ctypes.CDLL(path)
    except (OSError, subprocess.CalledProcessError):
        return None
    lib.native_enable.restype = ctypes.c_bool
    lib.native_step.restype = ctypes.c_double
    return Native(lib, model, threads) if lib.native_enable() else None
