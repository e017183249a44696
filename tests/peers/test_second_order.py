"""Derivatives of derivatives against PyTorch's: of the sum of squared gradients, by all inputs and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import F, Tensor, torch
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, apply
from zhdsl.runtime import pipeline, spec

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(22)
CONVOLUTION = """
block M(x: [B, C=2, H=5, W=4], w: [N=3, C=2, H'=3, W'=3]) {
  p = window[H, W, size = 3, stride = 2, pad = "same"](x)
  return sum(tanh(sum[C, H', W'](p * w)) ^ 2)
}"""
LSTM = """
block M(x: [B, T=6, D=3], w: [D=3, G=4, N=2], u: [N'=2, G=4, N=2]) {
  y = scan t over T from h = zeros[B, N=2], c = zeros[B, N=2] {
    z = h @ u + x[t] @ w
    c = sigmoid(z[G=0]) * c + sigmoid(z[G=1]) * tanh(z[G=3])
    h = sigmoid(z[G=2]) * tanh(c)
    emit h
  }
  return sum(y ^ 2)
}"""
ATTENTION = """
block M(q: [B, Q=3, H=2, E=4], k: [B, K=5, H=2, E=4], v: [B, K=5, H=2, E=4]) {
  return sum(attention(q, k, v) ^ 2)
}"""
NORM = """
block M(x: [B, C=3, S=4], g: [C=3]) {
  m = mean[B, S](x)
  v = mean[B, S]((x - m) ^ 2)
  return sum(tanh(g * (x - m) / sqrt(v + 1e-5)))
}"""


def convolution(x: Tensor, w: Tensor) -> Tensor:
    return (torch.tanh(F.conv2d(F.pad(x, (0, 1, 1, 1)), w, None, 2)) ** 2).sum()


def lstm(x: Tensor, w: Tensor, u: Tensor) -> Tensor:
    h, c, total = x.new_zeros(len(x), 2), x.new_zeros(len(x), 2), x.new_zeros(())
    for t in range(x.shape[1]):
        z = torch.einsum("bm,mgn->bgn", h, u) + torch.einsum("bd,dgn->bgn", x[:, t], w)
        c = torch.sigmoid(z[:, 0]) * c + torch.sigmoid(z[:, 1]) * torch.tanh(z[:, 3])
        h = torch.sigmoid(z[:, 2]) * torch.tanh(c)
        total = total + (h**2).sum()
    return total


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    alpha = (torch.einsum("bqhe,bkhe->bhqk", q, k) / 2).softmax(-1)
    return (torch.einsum("bhqk,bkhe->bqhe", alpha, v) ** 2).sum()


def norm(x: Tensor, g: Tensor) -> Tensor:
    m, v = x.mean((0, 2), keepdim=True), x.var((0, 2), correction=0, keepdim=True)
    return torch.tanh(g[:, None] * (x - m) / torch.sqrt(v + 1e-5)).sum()


CASES: dict[str, tuple[str, Callable[..., Tensor], tuple[tuple[int, ...], ...]]] = {
    "a convolution": (CONVOLUTION, convolution, ((2, 2, 5, 4), (3, 2, 3, 3))),
    "an LSTM": (LSTM, lstm, ((2, 6, 3), (3, 4, 2), (2, 4, 2))),
    "attention": (ATTENTION, attention, ((2, 3, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4))),
    "batch norm": (NORM, norm, ((2, 3, 4), (3,))),
}


def second(graph: Graph) -> Graph:
    """Of a graph with one number as its result: the derivatives of the sum of its squared derivatives."""
    ports = graph.of_role("data")
    wanted = [p.node for p in ports]
    with graph.building() as b:
        seed = [apply("const", value=1.0, dtype="float")]
        first = [g for g in gradients([graph.outputs[0].node], seed, wanted) if g is not None]
        total = reduce(lambda a, g: apply("add", a, g), map(squared, first))
        found = gradients([total], seed, wanted)
        assert len(first) == len(ports) == len([g for g in found if g is not None])
        return graph.closed(b, [Port(p.name, g, p.order, "grad") for p, g in zip(ports, found, strict=True) if g])


def squared(g: Node) -> Node:
    return apply("sum", apply("mul", g, g), labels=g.type.labels)


def theirs(twin: Callable[..., Tensor], arrays: Sequence[Any]) -> list[Any]:
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    first = torch.autograd.grad(twin(*tensors), tensors, create_graph=True)
    return [g.numpy() for g in torch.autograd.grad(sum((g**2).sum() for g in first), tensors)]


def errors(ours: Mapping[Any, Any], wanted: Sequence[Any]) -> dict[str, float]:
    return {
        name: float(np.abs(array - their).max() / np.abs(their).max())
        for ((_, name), array), their in zip(ours.items(), wanted, strict=True)
    }


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_are_pytorchs(name: str, device: str, agree: Agree) -> None:
    text, twin, shapes = CASES[name]
    arrays = [RNG.normal(size=shape) for shape in shapes]
    found, _ = spec.opened(text, "M")
    graph = second(found.model.train)
    given = {("data", p.name): a for p, a in zip(graph.of_role("data"), arrays, strict=True)}
    ours = pipeline.compile_graph(graph, device, "float64").run(given)
    agree(errors(ours, theirs(twin, arrays)))
