"""Three training steps written by hand in C, for one machine: what the compiler's kernels are held against.

They need an x86 processor with AVX-512 and a C compiler with OpenMP, run on 1 or 2 threads and only at the sizes that
are measured. Weights are packed into the layouts that their loops read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.native import CannotCompile, library
from benchmarks.workloads import Array, Arrays, Start

SOURCES = Path(__file__).resolve().parent.parent / "hand"
FLAGS = ("-fopenmp", "-mprefer-vector-width=512", "-Wl,-Bsymbolic")
LANES = 16


class HandStep:
    """See `Step`; `views` are the program's own arrays, `carried` fills arrays like them."""

    def __init__(self, start: Start, lib: ctypes.CDLL, layout: Callable[[Arrays], Arrays]):
        self.start, self.lib, self.carried = start, lib, layout

    def __call__(self) -> float:
        self.lib.step()
        return float(ctypes.c_float.in_dll(self.lib, "loss").value)

    def momenta(self) -> Arrays:
        return {name: array.copy() for name, array in self.slots().items()}

    def slots(self) -> Arrays:
        """The momenta as they lie."""
        wanted = self.carried(self.start.params)
        return {name: self.place(MOMENTA.get(name, f"M{name}"), array) for name, array in wanted.items()}

    def place(self, symbol: str, like: Array) -> Array:
        """The array that a pointer of the program points to."""
        return _array(ctypes.c_void_p.in_dll(self.lib, symbol).value, like)

    def begin(self) -> None:
        """Puts weights and data in."""
        for name, array in self.carried(self.start.params).items():
            self.place(name, array)[...] = array
        self._data(self.start.x, self.start.y)

    def _data(self, x: Array, y: Array) -> None:
        self.place("x", x)[...] = x
        self.place("y", y)[...] = y

    def rest(self) -> None:
        self()


MOMENTA = {f"b{k}": f"mb{k}" for k in "123iho"} | {f"W{k}": f"M{k}" for k in "123"}


def _array(address: int | None, like: Array) -> Array:
    kind = ctypes.c_float if like.dtype == np.float32 else ctypes.c_int
    flat = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(kind)), (like.size,))
    return flat.reshape(like.shape)


# ---------------------------------------------------------------- mlp
def _panels(w: Array) -> Array:
    """[K, N] → [N/32][K][32]."""
    return w.reshape(len(w), -1, 32).transpose(1, 0, 2)


def _mlp(p: Arrays) -> Arrays:
    last = np.zeros((len(p["dense3.W"]), LANES), np.float32)
    last[:, : p["dense3.W"].shape[1]] = p["dense3.W"]
    found = {"W1": _panels(p["dense.W"]), "W2": _panels(p["dense2.W"]), "W3": last}
    return found | {f"b{i}": p[path] for i, path in enumerate(("dense.b", "dense2.b", "dense3.b"), 1)}


# ---------------------------------------------------------------- lstm
def _gates(w: Array) -> Array:
    """[K, gates i f g o, N] → [N/16][K][gate][16]."""
    return w.reshape(len(w), 4, -1, LANES).transpose(2, 0, 1, 3)


def _lstm(p: Arrays) -> Arrays:
    found = {"E": p["embed.W"], "Wi": _gates(p["lstm.W"]), "Wh": _gates(p["lstm.U"])}
    found |= {name: _gates(p[f"lstm.{name}"][None]).reshape(-1) for name in ("bi", "bh")}
    return found | {"Wo": p["dense.W"], "bo": p["dense.b"]}


class _Lstm(HandStep):
    def _data(self, x: Array, y: Array) -> None:
        for symbol, array in (("tok", x), ("y", y)):
            self.place(symbol, array.T)[...] = array.T


# ---------------------------------------------------------------- resnet20
def _resnet20(p: Arrays) -> Arrays:
    """Convolutions in the program's order: the first, two for each block, then the projections. [K/16][3][3][C][16]."""
    names = _convolutions(p)
    found = {f"{i}.0": _packed(p[f"{conv}.W"]) for i, (conv, _) in enumerate(names)}
    for what, key in ((2, "gain"), (3, "bias")):
        found |= {f"{i}.{what}": p[f"{norm}.{key}"] for i, (_, norm) in enumerate(names)}
    head = np.zeros((64, LANES), np.float32)
    head[:, :10] = p["dense.W"]
    return found | {"Wh": head, "bh": p["dense.b"]}


def _convolutions(p: Arrays) -> list[tuple[str, str]]:
    """Paths of convolutions and their norms."""
    paths = [path.removesuffix(".W") for path in p if "conv" in path]
    pairs = [(path, path.replace("conv", "batchnorm")) for path in paths]
    return [c for c in pairs if not c[0].endswith("conv3")] + [c for c in pairs if c[0].endswith("conv3")]


def _packed(w: Array) -> Array:
    k, c, r, s = w.shape
    return w.reshape(k // LANES, LANES, c, r, s).transpose(0, 3, 4, 2, 1)


class _Resnet20(HandStep):
    def place(self, symbol: str, like: Array) -> Array:
        if "." not in symbol:
            return super().place(symbol, like)
        number, what = symbol.split(".")
        self.lib.ptr.restype = ctypes.c_void_p
        return _array(self.lib.ptr(int(number), int(what)), like)

    def slots(self) -> Arrays:
        wanted = self.carried(self.start.params)
        slot = {"Wh": "Mh", "bh": "mbh"} | {
            f"{i}.{w}": f"{i}.{m}" for i in range(21) for w, m in ((0, 1), (2, 4), (3, 5))
        }
        return {name: self.place(slot[name], array) for name, array in wanted.items()}

    def _data(self, x: Array, y: Array) -> None:
        padded = np.zeros((len(x), 34, 34, 3), np.float32)
        padded[:, 1:-1, 1:-1] = x.transpose(0, 2, 3, 1)
        super()._data(padded, y)
        self.lib.setwf()


STEPS: dict[str, tuple[type[HandStep], Callable[[Arrays], Arrays]]] = {
    "mlp": (HandStep, _mlp),
    "lstm": (_Lstm, _lstm),
    "resnet20": (_Resnet20, _resnet20),
}


def step(start: Start, threads: int) -> HandStep:
    """The step of a net.

    Raises:
        CannotCompile: this machine or this number of threads is not what they were written for.
    """
    if threads not in (1, 2):
        raise CannotCompile(f"the steps by hand run on 1 or 2 threads, not {threads}")
    if not avx512():
        raise CannotCompile("the steps by hand need AVX-512")
    made, layout = STEPS[start.work.name]
    lib = library(SOURCES / f"{start.work.name}.c", *FLAGS, f"-DNT={threads}")
    found = made(start, lib, layout)
    lib.init()
    found.begin()
    return found


def avx512() -> bool:
    """Whether the processor has 512-bit vectors, where the system says so."""
    info = Path("/proc/cpuinfo")
    return info.exists() and " avx512f " in info.read_text(encoding="utf-8", errors="replace")
