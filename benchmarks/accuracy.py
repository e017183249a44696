"""How near float32 gradients are to PyTorch's in float64, tensor by tensor, beside PyTorch's own in float32.

Masks of relu and places of maxima are pinned (`workloads.pinned`) where rounding could flip them, and it is measured on
the float64 net that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.sides.ours import session
from benchmarks.sides.torch_nets import carried
from benchmarks.sides.torch_side import module_of, tensors_of
from benchmarks.workloads import Arrays, Start, pinned

HALF_ULP = 2.0**-25  # of a float32: an error relative to the norm that the best rounding of the result has
DECIDED = 1e-4  # least distance of a mask from flipping, relative to the largest value


@dataclass(frozen=True)
class Accuracy:
    """Of one net.

    Attributes:
        ratio, tensor: the largest error / PyTorch float32's error of a tensor, and whose it is.
        median: of all tensors' ratios.
        ours, theirs: largest relative errors (L2 norm) of a tensor.
        margin: of the mask that is nearest to flipping; infinite where there is none.
    """

    ratio: float
    tensor: str
    median: float
    ours: float
    theirs: float
    margin: float

    @property
    def decided(self) -> bool:
        """Whether no mask can flip, so that the figures say something."""
        return self.margin > DECIDED


def accuracy(start: Start, device: str, threads: int) -> Accuracy:
    """Gradients of a net on a device."""
    torch.set_num_threads(threads)
    start = pinned(start)
    truth, margin = _exact(start)
    theirs = _gradients(start, torch.float32)
    module = module_of(start)
    _, found = session(start, device).value_and_grad(x=start.x, y=start.y)
    ours = carried(module, found)
    assert ours.keys() == truth.keys()
    rows = {name: (_error(ours[name], g), _error(theirs[name], g), _norm(g)) for name, g in truth.items()}
    ratios = {name: o / max(t, HALF_ULP * n, np.finfo(np.float64).tiny) for name, (o, t, n) in rows.items()}
    worst = max(ratios, key=lambda name: ratios[name])
    large = max(n for _, _, n in rows.values())
    told = [(o / n, t / n) for o, t, n in rows.values() if n > 1e-6 * large]
    return Accuracy(
        ratios[worst],
        worst,
        float(np.median(list(ratios.values()))),
        max(o for o, _ in told),
        max(t for _, t in told),
        margin,
    )


def as_json(found: Accuracy) -> dict[str, Any]:
    """For the report; JSON has no infinity."""
    margin = found.margin if np.isfinite(found.margin) else None
    return {**asdict(found), "margin": margin, "decided": found.decided}


def _gradients(start: Start, dtype: torch.dtype, watch: Callable[[Any], None] = lambda module: None) -> Arrays:
    module = module_of(start, dtype)
    watch(module)
    x, y = tensors_of(start, dtype)
    F.cross_entropy(module(x), y).backward()
    return {name: p.grad.numpy() for name, p in module.named_parameters()}


def _exact(start: Start) -> tuple[Arrays, float]:
    """The gradients in float64, and the least margin of a mask there."""
    margins: list[float] = []

    def watch(module: Any) -> None:
        for part in module.modules():
            rule = MARGINS.get(type(part))
            if rule is not None:
                part.register_forward_pre_hook(lambda _, given, rule=rule: margins.extend(rule(given[0].detach())))

    return _gradients(start, torch.float64, watch), min(margins, default=float("inf"))


def _of_relu(x: torch.Tensor) -> Iterator[float]:
    yield float(x.abs().min() / x.abs().max())


def _of_maximum(x: torch.Tensor) -> Iterator[float]:
    """The best of each window of four and the next one, where the best is above 0: elsewhere no gradient passes."""
    b, c, h, w = x.shape
    windows = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 2, 4, 3, 5)
    first, second = windows.flatten(4).topk(2).values.unbind(-1)
    yield float((first - second)[first > 0].min() / x.max())


MARGINS: dict[Any, Callable[[torch.Tensor], Iterator[float]]] = {nn.ReLU: _of_relu, nn.MaxPool2d: _of_maximum}


def _error(found: Any, truth: Any) -> float:
    return _norm(np.asarray(found, np.float64) - truth)


def _norm(x: Any) -> float:
    return float(np.linalg.norm(x.ravel()))
