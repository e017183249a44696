"""The sides of a comparison: zhdsl and its peers, each building the same step from the same `Start`.

A training step is everything: copies of inputs, forward, loss, gradients, SGD with momentum 0.9 and decay 1e-4 for all
parameters, running statistics of batch norm. Inference is the forward program with running statistics.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from benchmarks.workloads import Array, Arrays, Start

RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4


class Step(Protocol):
    """A training step that is ready to run."""

    def __call__(self) -> float:
        """One step; returns its loss."""

    def momenta(self) -> Arrays:
        """The optimiser's momenta in the side's own layout: after the first step gradient + decay · weight."""

    def carried(self, arrays: Arrays) -> Arrays:
        """Arrays by path, axes as in the text, in the side's own layout and by its own names."""

    def rest(self) -> None:
        """Gives back what is not needed between steps, and warms up whatever is not part of a step's memory."""


class Forward(Protocol):
    """Inference that is ready to run."""

    def __call__(self) -> Array:
        """The logits, [rows, classes]."""


@dataclass(frozen=True)
class Kind:
    """A side that may be there.

    Attributes:
        key: on the command line.
        label: in tables.
        package: what must be importable, and how it is installed.
        training, inference: make a step from a start and a number of threads; `None` where the side has none.
        nets: the only ones that it has; all, if empty.
    """

    key: str
    label: str
    package: str
    training: Callable[[Start, int], Step] | None
    inference: Callable[[Start, int], Forward] | None
    nets: tuple[str, ...] = ()

    def has(self, net: str, what: str) -> bool:
        """Whether it can do `training` or `inference` of a net."""
        return getattr(self, what) is not None and (not self.nets or net in self.nets)


def _torch_step(mode: str, start: Start, threads: int) -> Step:
    from benchmarks.sides.torch_side import TorchStep

    return TorchStep(start, threads, mode)


def _torch_forward(mode: str, start: Start, threads: int) -> Forward:
    from benchmarks.sides.torch_side import forward

    return forward(start, threads, mode)


def _jax_step(start: Start, threads: int) -> Step:
    from benchmarks.sides.jax_side import JaxStep

    return JaxStep(start)


def _jax_forward(start: Start, threads: int) -> Forward:
    from benchmarks.sides.jax_side import forward

    return forward(start)


def _onnx_forward(start: Start, threads: int) -> Forward:
    from benchmarks.sides.onnx_side import forward

    return forward(start, threads)


def _hand_step(start: Start, threads: int) -> Step:
    from benchmarks.sides.hand import step

    return step(start, threads)


IMAGES = ("lenet", "resnet20")
PEERS = (
    Kind("eager", "PyTorch eager", "torch", partial(_torch_step, "eager"), partial(_torch_forward, "eager")),
    Kind(
        "channels_last",
        "PyTorch channels_last",
        "torch",
        partial(_torch_step, "channels_last"),
        partial(_torch_forward, "channels_last"),
        IMAGES,
    ),
    Kind("compile", "torch.compile", "torch", partial(_torch_step, "compile"), partial(_torch_forward, "compile")),
    Kind("jax", "JAX jit", "jax", _jax_step, _jax_forward),
    Kind("onnx", "ONNX Runtime", "onnxruntime", None, _onnx_forward),
)
HAND = Kind("hand", "by hand in C", "", _hand_step, None, ("mlp", "resnet20", "lstm"))
INSTALL = {
    "torch": "python -m pip install torch",
    "jax": "python -m pip install jax",
    "onnxruntime": "python -m pip install onnx onnxruntime",
}


def zhdsl_on(device: str) -> Kind:
    """zhdsl on a device."""

    def training(start: Start, threads: int) -> Step:
        from benchmarks.sides.ours import OurStep

        return OurStep(start, device)

    def inference(start: Start, threads: int) -> Forward:
        from benchmarks.sides.ours import forward

        return forward(start, device)

    return Kind(device, f"zhdsl {device}", "zhdsl", training, inference)


def installed(package: str) -> bool:
    """Whether a package can be imported; nothing is imported to find out."""
    return not package or importlib.util.find_spec(package) is not None


def missing(kinds: Iterable[Kind], there: Callable[[str], bool] = installed) -> list[str]:
    """A line for each package that is not installed: what is left out, and what installs it."""
    lacking: dict[str, list[str]] = {}
    for kind in kinds:
        if not there(kind.package):
            lacking.setdefault(kind.package, []).append(kind.label)
    return [f"left out: {', '.join(labels)} ({INSTALL.get(p, p)})" for p, labels in sorted(lacking.items())]


def largest_error(found: Arrays, wanted: Arrays) -> tuple[float, str]:
    """The largest relative error of a tensor, as an L2 norm, and whose it is.

    Tensors that are zero but for rounding (the bias of keys under a softmax) are measured by the largest norm per
    element of all tensors.

    Raises:
        AssertionError: the two do not have the same tensors.
    """
    import numpy as np

    assert found.keys() == wanted.keys(), f"tensors differ: {sorted(found.keys() ^ wanted.keys())}"

    def norm(x: Any) -> float:
        return float(np.linalg.norm(np.asarray(x, np.float64)))

    floor = 1e-4 * max(norm(w) / w.size**0.5 for w in wanted.values())
    errors = [
        (norm(np.asarray(found[name], np.float64) - w) / max(norm(w), floor * w.size**0.5), name)
        for name, w in wanted.items()
    ]
    return max(errors, key=lambda e: np.inf if np.isnan(e[0]) else e[0])
