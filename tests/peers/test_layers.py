"""Dense layers, norms, convolutions, pools and resizing, and small pictures' networks made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.peers.carry import Own
from tests.peers.conftest import Agree
from tests.peers.twin import F, Module, Tensor, Twin, block, compare, nn, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(12)
SIGNATURES = {
    (4, 8): "x: [B, D=8]",
    (3, 5, 8): "x: [B, T, D=8]",
    (6, 4): "x: [B, C=4]",
    (3, 4, 9): "x: [B, C=4, S=9]",
    (3, 4, 7, 6): "x: [B, C=4, H=7, W=6]",
    (2, 4, 5, 4, 6): "x: [B, C=4, H=5, W=4, Z=6]",
}
FLAT, SEQUENCE, CHANNELS, LINE, IMAGE, VOLUME = SIGNATURES


@dataclass(frozen=True)
class Row:
    """`body` of a block in the language on an input of this shape, and its twin."""

    body: str
    shape: tuple[int, ...]
    twin: Twin
    train: bool = False

    def __str__(self) -> str:
        return f"{self.body.splitlines()[0]}{' in training' if self.train else ''}"


def function(f: Any) -> Twin:
    """A twin without weights."""
    return lambda w, x: f(x)


def padded(low: int, high: int, conv: Any) -> Any:
    """More zeros behind than before."""
    return nn.Sequential(nn.ZeroPad2d((low, high, low, high)), conv)


class Highway(Module):
    def __init__(self, n: int):
        super().__init__()
        self.gate, self.layer = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        t = torch.sigmoid(self.gate(x))
        return t * torch.relu(self.layer(x)) + (1 - t) * x


class SqueezeExcite(Module):
    def __init__(self, n: int, ratio: int):
        super().__init__()
        self.down, self.up = nn.Linear(n, n // ratio), nn.Linear(n // ratio, n)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))[:, :, None, None]


class Scale(Own):
    """The formula of RMSNorm where PyTorch has another default for eps."""

    def __init__(self) -> None:
        super().__init__("gain")

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-6)


def same(conv: Any, *args: Any, **named: Any) -> Any:
    return conv(*args, padding="same", bias=False, **named)


def interpolated(mode: str, **named: Any) -> Twin:
    more = {} if mode == "nearest" else {"align_corners": False}
    return function(lambda x: F.interpolate(x, mode=mode, **named, **more))


def plain(conv: Any, *args: Any, **named: Any) -> Any:
    return conv(*args, bias=False, **named)


DENSE = [
    Row("x -> Dense[5]", SEQUENCE, nn.Linear(8, 5)),
    Row("x -> Dense[5, bias = none]", FLAT, nn.Linear(8, 5, bias=False)),
    Row("Bilinear[3](x, x)", FLAT, lambda w, x: F.bilinear(x, x, w("W").permute(2, 0, 1), w("b"))),
    Row("x -> Highway", FLAT, Highway(8)),
    Row("x -> PReLU", IMAGE, nn.PReLU(4)),
    Row("x -> Residual[Dense[8]]", SEQUENCE, lambda w, x: x + x @ w("W") + w("b")),
]
NORMS = [
    Row("x -> LayerNorm", SEQUENCE, nn.LayerNorm(8)),
    Row("x -> LayerNorm[eps = 1e-2]", SEQUENCE, nn.LayerNorm(8, eps=1e-2)),
    Row("x -> RMSNorm", SEQUENCE, Scale()),
    Row("x -> RMSNorm[1e-3]", SEQUENCE, nn.RMSNorm(8, eps=1e-3)),
    Row("x -> GroupNorm[2]", IMAGE, nn.GroupNorm(2, 4)),
    Row("x -> GroupNorm[1]", LINE, nn.GroupNorm(1, 4)),
    Row("x -> InstanceNorm", IMAGE, nn.GroupNorm(4, 4)),
]
NORMS += [
    Row(f"x -> {text}", shape, norm(4, momentum=momentum), train)
    for text, momentum in (("BatchNorm", 0.1), ("BatchNorm[momentum = 0.7]", 0.3))
    for shape, norm in zip(
        (CHANNELS, LINE, IMAGE, VOLUME), (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), strict=True)
    for train in (False, True)
]  # fmt: skip
CONVOLUTIONS = [
    Row("x -> Conv[5, 3]", LINE, same(nn.Conv1d, 4, 5, 3)),
    Row("x -> Conv[5, 3]", IMAGE, same(nn.Conv2d, 4, 5, 3)),
    Row("x -> Conv[5, 3]", VOLUME, same(nn.Conv3d, 4, 5, 3)),
    Row("x -> Conv[5, 2]", IMAGE, padded(0, 1, plain(nn.Conv2d, 4, 5, 2))),
    Row("x -> Conv[5, 4, dilation = 2]", LINE, same(nn.Conv1d, 4, 5, 4, dilation=2)),
    Row("x -> Conv[5, 3, bias = zeros]", IMAGE, nn.Conv2d(4, 5, 3, padding=1)),
    Row('x -> Conv[5, 3, pad = "valid"]', IMAGE, plain(nn.Conv2d, 4, 5, 3)),
    Row('x -> Conv[5, 3, pad = "full"]', IMAGE, plain(nn.Conv2d, 4, 5, 3, padding=2)),
    Row("x -> Conv[5, 3, stride = 2, pad = 1]", IMAGE, plain(nn.Conv2d, 4, 5, 3, 2, 1)),
    Row("x -> Conv[5, 3, stride = 3, pad = 0]", VOLUME, plain(nn.Conv3d, 4, 5, 3, 3)),
    Row("x -> Conv[5, 3, stride = 2]", (2, 4, 5, 5, 7), plain(nn.Conv3d, 4, 5, 3, 2, 1)),
    Row("x -> Conv[5, 3, stride = 2]", (2, 4, 8, 6), padded(0, 1, plain(nn.Conv2d, 4, 5, 3, 2))),
    Row("x -> Conv[5, 3, dilation = 2, pad = 2]", IMAGE, plain(nn.Conv2d, 4, 5, 3, 1, 2, 2)),
    Row("x -> Conv[5, 2, stride = 2, dilation = 3, pad = 1]", LINE, plain(nn.Conv1d, 4, 5, 2, 2, 1, 3)),
    Row("x -> Conv[6, 3, groups = 2]", IMAGE, same(nn.Conv2d, 4, 6, 3, groups=2)),
    Row("x -> Conv[8, 3, stride = 2, pad = 1, groups = 4, bias = zeros]", LINE, nn.Conv1d(4, 8, 3, 2, 1, groups=4)),
    Row("x -> Depthwise[3]", IMAGE, same(nn.Conv2d, 4, 4, 3, groups=4)),
    Row("x -> Depthwise[3, stride = 2, pad = 1, bias = zeros]", LINE, nn.Conv1d(4, 4, 3, 2, 1, groups=4)),
    Row("x -> Separable[5, 3]", IMAGE, nn.Sequential(same(nn.Conv2d, 4, 4, 3, groups=4), plain(nn.Conv2d, 4, 5, 1))),
    Row("x -> ConvTranspose[5, 3]", IMAGE, plain(nn.ConvTranspose2d, 4, 5, 3)),
    Row("x -> ConvTranspose[5, 2, stride = 2, bias = zeros]", IMAGE, nn.ConvTranspose2d(4, 5, 2, 2)),
    Row("x -> ConvTranspose[5, 4, stride = 3, pad = 2]", LINE, plain(nn.ConvTranspose1d, 4, 5, 4, 3, 2)),
    Row("x -> ConvTranspose[5, 2, stride = 3]", IMAGE, plain(nn.ConvTranspose2d, 4, 5, 2, 3)),
]
POOLS = [
    Row("x -> maxpool[2]", IMAGE, function(lambda x: F.max_pool2d(x, 2))),
    Row("x -> maxpool[3, stride = 2, pad = 1]", IMAGE, function(lambda x: F.max_pool2d(x, 3, 2, 1))),
    Row("x -> maxpool[3, stride = 1, pad = 1]", VOLUME, function(lambda x: F.max_pool3d(x, 3, 1, 1))),
    Row("x -> avgpool[2]", LINE, function(lambda x: F.avg_pool1d(x, 2))),
    Row("x -> avgpool[3, stride = 2, pad = 1]", IMAGE, function(lambda x: F.avg_pool2d(x, 3, 2, 1))),
    Row("x -> global_pool", IMAGE, function(lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1))),
    Row("x -> upsample[2]", IMAGE, interpolated("nearest", scale_factor=2)),
    Row("x -> upsample[3]", LINE, interpolated("nearest", scale_factor=3)),
    Row("x -> bilinear[2]", IMAGE, interpolated("bilinear", scale_factor=2)),
    Row("x -> bilinear[3]", IMAGE, interpolated("bilinear", scale_factor=3)),
    Row("x -> resize[S, 14]", LINE, interpolated("linear", size=14)),
    Row("x -> resize[H, 4] -> resize[W, 11]", IMAGE, interpolated("bilinear", size=(4, 11))),
    Row("x -> SqueezeExcite[ratio = 2]", IMAGE, SqueezeExcite(4, 2)),
]


@pytest.mark.parametrize("row", DENSE + NORMS + CONVOLUTIONS + POOLS, ids=str)
def test_a_layer_is_pytorchs(row: Row, agree: Agree) -> None:
    letters = "HWZ" if len(row.shape) > 3 else "S"
    signature = SIGNATURES.get(row.shape) or "x: [B, C=4, " + ", ".join(
        f"{a}={n}" for a, n in zip(letters, row.shape[2:], strict=False)) + "]"  # fmt: skip
    agree(compare(block(signature, row.body), row.twin, [RNG.normal(size=row.shape)], row.train))


def test_an_embedding_is_pytorchs(agree: Agree) -> None:
    ids = RNG.integers(0, 11, (3, 5)).astype(np.int32)
    agree(compare(block("ids: i32[B, T]", "ids -> Embed[11, 4]"), nn.Embedding(11, 4), [ids]))


def test_an_embedding_tied_with_the_output_gets_the_gradient_of_both(agree: Agree) -> None:
    body = "e = Embed[V = 11, D = 4]\nh = e(ids) -> Dense[4] -> tanh\nreturn sum[D](h * e.W)"
    ids = RNG.integers(0, 11, (3, 5)).astype(np.int32)

    def twin(w: Any, ids: Tensor) -> Tensor:
        h = torch.tanh(F.embedding(ids, w("e.W")) @ w("dense.W") + w("dense.b"))
        return h @ w("e.W").T

    agree(compare(block("ids: i32[B, T]", body), twin, [ids]))


def test_running_statistics_after_several_steps_are_pytorchs(agree: Agree) -> None:
    m, twin = block("x: [B, C=4, H, W]", "x -> BatchNorm"), nn.BatchNorm2d(4).train()
    for name, to in (("mu", twin.running_mean), ("var", twin.running_var)):
        to.copy_(torch.tensor(m.states[f"batchnorm.{name}"]))
    for _ in range(5):
        x = 2 * RNG.normal(size=(3, 4, 2, 5)) + 1
        m(x, train=True)
        twin(torch.tensor(x))
    found = {name: m.states[f"batchnorm.{name}"] for name in ("mu", "var")}
    wanted = {"mu": twin.running_mean.numpy(), "var": twin.running_var.numpy()}
    agree({name: float(np.abs(found[name] / wanted[name] - 1).max()) for name in found})


def test_of_equal_values_pytorchs_max_pool_takes_the_first_and_ours_shares_the_gradient() -> None:
    m = block("x: [B, C, H, W]", "x -> maxpool[2]")
    x = np.ones((1, 1, 2, 2))
    errors = compare(m, function(lambda x: F.max_pool2d(x, 2)), [x])
    assert errors["result result"] == 0
    assert errors["grad x"] == 0.75  # (1, 0, 0, 0) there, a quarter each here
