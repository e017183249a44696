"""Windows in one to three dimensions: every padding, stride, dilation and grouping, with all gradients; pools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import Errors, F, Tensor, block, compare

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(21)
SIZES = ((9,), (7, 6), (5, 6, 4))
AXES = ("S", "HW", "XYZ")
CONV: tuple[Any, ...] = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED: tuple[Any, ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
MAX: tuple[Any, ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
MEAN: tuple[Any, ...] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)
DIMENSIONS = pytest.mark.parametrize("dims", [1, 2, 3])


def signature(dims: int, channels: int = 4) -> str:
    sizes = zip(AXES[dims - 1], SIZES[dims - 1], strict=True)
    return f"x: [B, C={channels}, " + ", ".join(f"{axis}={n}" for axis, n in sizes) + "]"


def given(dims: int, channels: int = 4) -> Any:
    return RNG.normal(size=(2, channels, *SIZES[dims - 1]))


def around(x: Tensor, pad: Any, k: int, stride: int = 1, dilation: int = 1, value: float = 0.0) -> Tensor:
    """x with what a padding puts around it."""
    reach = (k - 1) * dilation + 1
    amounts: list[int] = []
    for n in reversed(x.shape[2:]):
        total = {"valid": 0, "full": 2 * (reach - 1)}.get(pad, 0)
        if pad == "same":
            total = max((-(-n // stride) - 1) * stride + reach - n, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts, value=value)


def named(prefix: str, errors: Errors) -> Errors:
    return {f"{prefix}: {name}": error for name, error in errors.items()}


# ---------------------------------------------------------------- convolutions
GROUPED = {
    "one group": ("Conv[6, {0}", 1),
    "two groups": ("Conv[6, {0}, groups = 2", 2),
    "depthwise": ("Depthwise[{0}", 4),
}


@DIMENSIONS
@pytest.mark.parametrize("pad", ["valid", "same", "full"])
@pytest.mark.parametrize("grouping", GROUPED)
def test_a_convolution_is_pytorchs(dims: int, pad: str, grouping: str, agree: Agree) -> None:
    layer, groups = GROUPED[grouping]
    errors: Errors = {}
    for k, stride, dilation in ((3, 1, 1), (2, 1, 1), (3, 2, 1), (2, 3, 1), (2, 1, 3), (2, 2, 2)):
        body = f'x -> {layer.format(k)}, stride = {stride}, dilation = {dilation}, pad = "{pad}"]'

        def twin(w: Any, x: Tensor, k: int = k, stride: int = stride, dilation: int = dilation) -> Tensor:
            filters = w("W").reshape(-1, x.shape[1] // groups, *[k] * dims)
            big = around(x, pad, k, stride, dilation)
            return CONV[dims - 1](big, filters, None, stride, 0, dilation, groups)

        errors |= named(body, compare(block(signature(dims), body), twin, [given(dims)]))
    agree(errors)


@DIMENSIONS
def test_a_transposed_convolution_is_pytorchs(dims: int, agree: Agree) -> None:
    errors: Errors = {}
    for k, stride, pad in ((3, 1, 0), (2, 2, 0), (3, 2, 1), (2, 3, 0), (4, 2, 1)):
        body = f"x -> ConvTranspose[3, {k}, stride = {stride}, pad = {pad}, bias = zeros]"

        def twin(w: Any, x: Tensor, stride: int = stride, pad: int = pad) -> Tensor:
            return TRANSPOSED[dims - 1](x, w("W"), w("b"), stride, pad)

        errors |= named(body, compare(block(signature(dims), body), twin, [given(dims)]))
    agree(errors)


# ---------------------------------------------------------------- pools
@DIMENSIONS
def test_pools_are_pytorchs(dims: int, agree: Agree) -> None:
    errors: Errors = {}
    for k, stride, pad in ((2, 2, "valid"), (3, 2, "valid"), (3, 1, "same"), (3, 2, "same"), (2, 1, "valid")):
        for kind, pool, fill in (("maxpool", MAX, -np.inf), ("avgpool", MEAN, 0.0)):
            body = f'x -> {kind}[{k}, stride = {stride}, pad = "{pad}"]'

            def twin(w: Any, x: Tensor, k: int = k, stride: int = stride, pad: str = pad, pool: Any = pool,
                     fill: float = fill) -> Tensor:  # fmt: skip
                return pool[dims - 1](around(x, pad, k, stride, value=fill), k, stride)

            errors |= named(body, compare(block(signature(dims), body), twin, [given(dims)]))
    agree(errors)


@DIMENSIONS
def test_global_pools_and_nearest_upsampling_are_pytorchs(dims: int, agree: Agree) -> None:
    over = tuple(range(2, 2 + dims))
    errors = compare(block(signature(dims), "x -> global_pool"), lambda w, x: x.mean(over), [given(dims)])
    for k in (2, 3):
        found = compare(
            block(signature(dims), f"x -> upsample[{k}]"),
            lambda w, x, k=k: F.interpolate(x, scale_factor=k, mode="nearest"),
            [given(dims)],
        )
        errors |= named(f"upsample {k}", found)
    agree(errors)


@pytest.mark.parametrize("size", [(14, 12), (3, 4), (7, 13), (1, 6), (20, 1)])
def test_bilinear_resizing_to_any_size_is_pytorchs(size: tuple[int, int], agree: Agree) -> None:
    body = f"x -> resize[H, {size[0]}] -> resize[W, {size[1]}]"
    twin = lambda w, x: F.interpolate(x, size=size, mode="bilinear", align_corners=False)  # noqa: E731
    agree(compare(block(signature(2), body), twin, [given(2)]))
