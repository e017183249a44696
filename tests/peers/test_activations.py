"""Activations, alone and in perceptrons."""

from __future__ import annotations

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import F, Twin, block, compare, nn, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(11)

# Beyond x = 20 PyTorch's softplus is x itself unless told otherwise: 2e-9 less than log(1 + e^x). The slope of its
# hardsigmoid is 1/6 in float32 even for float64, hence relu6.
ACTIVATIONS: dict[str, Twin] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "leaky_relu[0.2]": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "elu[0.5]": lambda x: F.elu(x, 0.5),
    "selu": F.selu,
    "softplus": lambda x: F.softplus(x, threshold=40),
    "log_sigmoid": F.logsigmoid,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": lambda x: x * torch.tanh(F.softplus(x, threshold=40)),
    "softsign": F.softsign,
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,
    "hard_tanh": F.hardtanh,
    "hard_swish": F.hardswish,
    "abs": torch.abs,
    "sign": torch.sign,
    "softmax[D]": lambda x: x.softmax(1),
    "log_softmax[D]": lambda x: x.log_softmax(1),
    "logsumexp[D]": lambda x: x.logsumexp(1),
    "glu[D]": lambda x: F.glu(x, 1),
    "normalize[D]": lambda x: F.normalize(x, dim=1),
    "norm[D]": lambda x: x.norm(dim=1),
    "variance[D]": lambda x: x.var(1, correction=0),
    "std[B, D]": lambda x: x.std(correction=0),
    "cumsum[D]": lambda x: x.cumsum(1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_function_is_pytorchs(name: str, agree: Agree) -> None:
    x = 3 * RNG.normal(size=(5, 8))
    agree(compare(block("x: [B, D=8]", f"x -> {name}"), lambda w, x: ACTIVATIONS[name](x), [x]))


# Far out, and near 0, errors are absolute: ours are of sums with 1 (1 + tanh, e^x - 1), PyTorch's tails are finer.
FAR = (-1e3, -100.0, -40.0, -20.5, -1e-9, 1e-300, 1e-9, 20.5, 40.0, 100.0, 700.0, 1e3)
SMOOTH = [n for n in ACTIVATIONS if "[" not in n and n not in ("sign", "mish")]


@pytest.mark.parametrize("name", SMOOTH)
def test_a_function_is_pytorchs_far_out(name: str, agree: Agree) -> None:
    m = block("x: [B, D]", f"x -> {name}")
    for x in FAR:
        agree(compare(m, lambda w, x: ACTIVATIONS[name](x), [np.array([[x]])], floor=1.0), tolerance=3e-16)


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "elu", "selu", "abs", "softplus", "silu", "gelu"])
def test_the_slope_at_0_is_pytorchs(name: str, agree: Agree) -> None:
    agree(compare(block("x: [B, D]", f"x -> {name}"), lambda w, x: ACTIVATIONS[name](x), [np.zeros((1, 1))]))


MODULES = {
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU, "softplus": lambda: nn.Softplus(threshold=40),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_perceptron_is_pytorchs(name: str, agree: Agree) -> None:
    m = block("x: [B, D=5]", f"x -> Dense[7] -> {name} -> Dense[6] -> {name} -> Dense[3]")
    act = MODULES[name]
    twin = nn.Sequential(nn.Linear(5, 7), act(), nn.Linear(7, 6), act(), nn.Linear(6, 3))
    agree(compare(m, twin, [RNG.normal(size=(4, 5))]))
