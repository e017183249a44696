"""The six nets in PyTorch, as one would write them there, and how the texts' weights become theirs.

In: a net's name and constants. Out: a module; and from weights by path the module's parameters by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.workloads import Array, Arrays

Module: TypeAlias = Any  # nn.Module; torch is not typed where it is missing
Sizes: TypeAlias = Mapping[str, int]


class Basic(nn.Module):
    """Two convolutions and a skip (He et al. 2015)."""

    def __init__(self, i: int, o: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(*_conv_norm(i, o, 3, stride), nn.ReLU(), *_conv_norm(o, o, 3, 1))
        same = stride == 1 and i == o
        self.skip = nn.Identity() if same else nn.Sequential(*_conv_norm(i, o, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.main(x) + self.skip(x))


def _conv_norm(i: int, o: int, taps: int, stride: int) -> tuple[Module, Module]:
    return nn.Conv2d(i, o, taps, stride, taps // 2, bias=False), nn.BatchNorm2d(o)


class ResNet(nn.Module):
    """Three stages of `s["R"]` blocks, of which the second and third halve the picture."""

    def __init__(self, s: Sizes):
        super().__init__()
        width = s["C0"]
        layers, i = [*_conv_norm(3, width, 3, 1), nn.ReLU()], width
        for stage in range(3):
            for k in range(s["R"]):
                o = width * 2**stage
                layers.append(Basic(i, o, 2 if stage and not k else 1))
                i = o
        self.body, self.head = nn.Sequential(*layers), nn.Linear(i, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class CharLstm(nn.Module):
    def __init__(self, s: Sizes):
        super().__init__()
        self.embed = nn.Embedding(s["V"], s["D"])
        self.lstm = nn.LSTM(s["D"], s["N"], batch_first=True)
        self.head = nn.Linear(s["N"], s["V"])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(x))[0]).flatten(0, 1)


class Positions(nn.Module):
    def __init__(self, length: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(length, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight[: x.shape[1]]


class CausalTransformer(nn.Module):
    mask: Tensor

    def __init__(self, s: Sizes):
        super().__init__()
        d = s["D"]
        self.embed, self.positions = nn.Embedding(s["V"], d), Positions(s["L"], d)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(d, s["H"], 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(s["R"])
        )
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, s["V"])
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(s["L"]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.positions(self.embed(x))
        for block in self.blocks:
            h = block(h, src_mask=self.mask[: x.shape[1], : x.shape[1]], is_causal=True)
        return self.head(self.norm(h)).flatten(0, 1)


def _spirals(s: Sizes) -> Module:
    h = s["H"]
    return nn.Sequential(nn.Linear(2, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, 2))


def _mlp(s: Sizes) -> Module:
    f, h = s["F"], s["H"]
    return nn.Sequential(nn.Linear(f, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 10))


def _lenet(s: Sizes) -> Module:
    c1, c2, n = s["C1"], s["C2"], s["N"]
    layers: list[Module] = []
    for i, o in ((1, c1), (c1, c2)):
        layers += [nn.Conv2d(i, o, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)]
    flat = c2 * (s["S"] // 4) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, n), nn.ReLU(), nn.Linear(n, 10))


NETS: dict[str, Callable[[Sizes], Module]] = {
    "spirals": _spirals,
    "mlp": _mlp,
    "lenet": _lenet,
    "resnet20": ResNet,
    "lstm": CharLstm,
    "transformer": CausalTransformer,
}


# ---------------------------------------------------------------- weights: both sides in the order of use
def carried(module: Module, arrays: Arrays) -> Arrays:
    """Weights by path as the module's parameters by name.

    Raises:
        AssertionError: there are more or fewer than the module has.
    """
    left = iter(arrays.values())
    found = dict(_walk(module, left, ""))
    assert not list(left), "the module has fewer weights"
    return found


def _walk(module: Module, left: Iterator[Array], prefix: str) -> Iterator[tuple[str, Array]]:
    rule = RULES.get(type(module))
    if rule is not None:
        yield from ((prefix + name, np.ascontiguousarray(x)) for name, x in rule(module, left).items())
        return
    for name in ORDER.get(type(module), tuple(module._modules)):
        yield from _walk(getattr(module, name), left, f"{prefix}{name}.")


def _conv(module: Module, left: Iterator[Array]) -> Arrays:
    return {"weight": next(left)} | ({"bias": next(left)} if module.bias is not None else {})


def _norm(module: Module, left: Iterator[Array]) -> Arrays:
    return {"weight": next(left), "bias": next(left)}


def _lstm(module: Module, left: Iterator[Array]) -> Arrays:
    """[D, G, N] → [(G, N), D]; the text has the gates in PyTorch's order."""
    found = {f"weight_{name}_l0": _rows(next(left)) for name in ("ih", "hh")}
    return found | {f"bias_{name}_l0": next(left).ravel() for name in ("ih", "hh")}


def _attention(module: Module, left: Iterator[Array]) -> Arrays:
    """[D, H, E] for query, key and value → [3 (H, E), D]."""
    q, k, v, o, bq, bk, bv, bo = (next(left) for _ in range(8))
    return {
        "in_proj_weight": np.concatenate([_rows(x) for x in (q, k, v)]),
        "in_proj_bias": np.concatenate([x.ravel() for x in (bq, bk, bv)]),
        "out_proj.weight": o.reshape(-1, o.shape[-1]).T,
        "out_proj.bias": bo,
    }


def _rows(x: Array) -> Array:
    return x.reshape(len(x), -1).T


RULES: dict[Any, Callable[[Module, Iterator[Array]], Arrays]] = {
    nn.Linear: lambda module, left: {"weight": next(left).T, "bias": next(left)},
    nn.Conv2d: _conv,
    nn.Embedding: lambda module, left: {"weight": next(left)},
    Positions: lambda module, left: {"weight": next(left)},
    nn.BatchNorm2d: _norm,
    nn.LayerNorm: _norm,
    nn.LSTM: _lstm,
    nn.MultiheadAttention: _attention,
}
ORDER = {
    nn.TransformerEncoderLayer: ("norm1", "self_attn", "norm2", "linear1", "linear2"),
    ResNet: ("body", "head"),
}
