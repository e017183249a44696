"""The six nets: their texts, sizes, data and first weights. Every side starts from the same arrays.

In: a net's name, and sizes where they shall be smaller. Out: a `Start`, from which each side builds its own step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]

TEXTS = Path(__file__).resolve().parent / "nets"


@dataclass(frozen=True)
class Workload:
    """One net as it is measured.

    Attributes:
        name: of its text, `nets/<name>.zh`.
        title: what it is, for tables.
        batch, time: samples, and positions in each (0 where there is no time).
        shape: axes of a sample where it is no text; the text's constants where they are strings.
        classes: how many there are; a text's symbols are as many.
        sizes: constants of the text that sides need, as the text has them.
        small: other constants, for tests.
        noise: largest relative error (L2 norm, per tensor) between float32 gradients of two sides. With relu and
            pooling a rounding error may flip a mask, which moves a whole gradient to another place.
    """

    name: str
    title: str
    batch: int
    shape: tuple[int | str, ...]
    classes: int
    sizes: Mapping[str, int]
    small: Mapping[str, int] = field(default_factory=dict)
    time: int = 0
    noise: float = 1e-4


WORKLOADS = {
    w.name: w
    for w in (
        Workload("spirals", "MLP 2-32-32-2, tanh, batch 194", 194, (2,), 2, {"H": 32}, {"H": 8}),
        Workload(
            "mlp",
            "MLP 784-512-512-10, relu, batch 128",
            128,
            ("F",),
            10,
            {"F": 784, "H": 512},
            {"F": 12, "H": 8},
            noise=1e-3,
        ),
        Workload(
            "lenet",
            "2 convolutions, 2 dense layers on 28 × 28, batch 128",
            128,
            (1, "S", "S"),
            10,
            {"S": 28, "C1": 32, "C2": 64, "N": 128},
            {"S": 8, "C1": 4, "C2": 6, "N": 8},
            noise=1e-2,
        ),
        Workload(
            "resnet20",
            "ResNet-20 on 32 × 32, batch 128",
            128,
            (3, "S", "S"),
            10,
            {"S": 32, "C0": 16, "R": 3},
            {"S": 8, "C0": 4, "R": 1},
            noise=5e-2,
        ),
        Workload(
            "lstm",
            "character LSTM: 64 symbols, 128 → 256, 128 steps, batch 32",
            32,
            (),
            64,
            {"V": 64, "D": 128, "N": 256},
            {"V": 11, "D": 6, "N": 5},
            time=128,
        ),
        Workload(
            "transformer",
            "4 pre-norm layers, width 128, 4 heads, causal, 128 positions, batch 16",
            16,
            (),
            64,
            {"V": 64, "D": 128, "H": 4, "L": 128, "R": 4},
            {"V": 11, "D": 8, "H": 2, "L": 6, "R": 2},
            time=128,
        ),
    )
}


# A deeper net of the same text: how compile time grows is measured with it. Name: (text, constants).
VARIANTS = {"resnet110": ("resnet20", {"R": 18})}


@dataclass(frozen=True)
class Start:
    """Where every side starts.

    Attributes:
        work: which net.
        sizes: its constants.
        params, states: first weights and first states by path, axes as in the text.
        x, y: one batch. Pictures are [B, C, H, W]; texts and labels int32.
    """

    work: Workload
    sizes: Mapping[str, int]
    params: Arrays
    states: Arrays
    x: Array
    y: Array

    @property
    def batch(self) -> dict[str, Array]:
        return {"x": self.x, "y": self.y}


def start_of(name: str, sizes: Mapping[str, int] | None = None, batch: int = 0, time: int = 0, seed: int = 0) -> Start:
    """First weights and a batch.

    Args:
        name: a key of `WORKLOADS` or `VARIANTS`.
        sizes: constants of the text; by default those that are measured.
        batch, time: samples and positions; by default those that are measured.
        seed: of weights and data.
    """
    name, more = VARIANTS.get(name, (name, {}))
    work = WORKLOADS[name]
    known = {**work.sizes, **more, **(sizes or {})}
    rng = np.random.default_rng(seed)
    m = load(work, known, "numpy", "float32")
    params = {path: _moved(array, rng) for path, array in m.params.items()}
    x, y = _data(work, known, batch or work.batch, time or work.time, rng)
    return Start(work, known, params, {path: array.copy() for path, array in m.states.items()}, x, y)


def load(work: Workload, sizes: Mapping[str, int], device: str, dtype: str) -> Any:
    """The net's text as a session."""
    import zhdsl as zh

    return zh.load(TEXTS / f"{work.name}.zh", set=dict(sizes), device=device, dtype=dtype)


def _moved(array: Array, rng: np.random.Generator) -> Array:
    """Biases and gains start at 0 and 1: moved away from there, so that one that is missing or swapped is seen."""
    if array.ndim > 1 and array.any():
        return array.copy()
    return (array + 0.1 * rng.standard_normal(array.shape)).astype(array.dtype)


def _data(
    work: Workload, sizes: Mapping[str, int], batch: int, time: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    classes = sizes.get("V", work.classes)
    labels = rng.integers(0, classes, (batch, time) if time else batch).astype(np.int32)
    if time:
        return rng.integers(0, classes, (batch, time)).astype(np.int32), labels
    shape = [n if isinstance(n, int) else sizes[n] for n in work.shape]
    return rng.random((batch, *shape), dtype=np.float32), labels


# ---------------------------------------------------------------- relu masks and maxima that rounding cannot change
def pinned(start: Start) -> Start:
    """The same net with weights and data for which every relu and every maximum is far from undecided.

    A mask that flips by rounding moves more of a gradient than all other rounding together, so that accuracy cannot be
    compared. Every fourth unit is shut by its bias, the others are open; `lenet` has pictures that grow to the right
    and down, and weights of one sign per channel, so that maxima are decided as well.
    """
    pin = PINS.get(start.work.name)
    return pin(start) if pin else start


def _gate(count: int, size: float) -> Array:
    return np.where(np.arange(count) % 4 == 0, -size, size).astype(np.float32)


def _pin_mlp(start: Start) -> Start:
    p = {path: array.copy() for path, array in start.params.items()}
    for path in ("dense.b", "dense2.b"):
        p[path] = _gate(len(p[path]), 8.0)
    for path in ("dense2.W", "dense3.W"):
        p[path] /= 8
    return _with(start, p, start.x)


def _pin_lenet(start: Start) -> Start:
    p = {path: array.copy() for path, array in start.params.items()}
    for path in ("conv", "conv2", "dense"):
        shut = _gate(len(p[f"{path}.b"]), 0.1)
        units = shut.reshape((-1, 1, 1, 1) if path != "dense" else (1, -1))
        p[f"{path}.W"] = np.abs(p[f"{path}.W"]) * np.sign(units)
        p[f"{path}.b"] = shut
    p["conv2.W"] /= 8
    p["dense.W"] /= 64
    h, w = start.x.shape[2:]
    ramp = 0.5 + 0.08 * np.arange(h)[:, None] + 0.05 * np.arange(w)
    return _with(start, p, (ramp + 0.002 * start.x).astype(np.float32))


def _pin_resnet20(start: Start) -> Start:
    p = {path: array.copy() for path, array in start.params.items()}
    rng = np.random.default_rng(1)
    for path, array in p.items():
        if path.endswith(".bias"):
            p[path] = _gate(len(array), 8.0)
        elif path.endswith(".gain"):
            p[path] = (0.5 + 0.5 * rng.random(array.shape)).astype(np.float32)
    p["dense.W"] /= 16
    return _with(start, p, start.x)


def _with(start: Start, params: Arrays, x: Array) -> Start:
    return Start(start.work, start.sizes, params, start.states, x, start.y)


PINS: dict[str, Callable[[Start], Start]] = {"mlp": _pin_mlp, "lenet": _pin_lenet, "resnet20": _pin_resnet20}
