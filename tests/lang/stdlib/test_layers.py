"""layers.zh: layers against their formulas, gradients against finite differences, adjoints by inner products."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, gradient_error, session, set_params, value

RNG = np.random.default_rng(5)
IMAGE = "x: [B, C=4, H=7, W=6]"


def image(*shape: int) -> Array:
    return RNG.normal(size=shape or (2, 4, 7, 6))


# ---------------------------------------------------------------- dense
def test_dense_is_a_product_and_a_sum() -> None:
    m = session("x: [B, T, D=5]", "x -> Dense[3, bias = normal_init[1]]")
    x = image(2, 4, 5)
    np.testing.assert_allclose(m(x), x @ m.params["dense.W"] + m.params["dense.b"])


def test_dense_without_bias_has_one_parameter() -> None:
    m = session("x: [B, D=5]", "x -> Dense[3, bias = none, weight = ones]")
    assert list(m.params) == ["dense.W"]
    np.testing.assert_allclose(m(np.ones((1, 5))), np.full((1, 3), 5))


def test_embed_picks_rows() -> None:
    m = session("ids: i32[B, T]", "ids -> Embed[11, 4]")
    ids = np.array([[1, 10], [0, 3]], np.int32)
    np.testing.assert_array_equal(m(ids), m.params["embed.W"][ids])


def test_bilinear_is_a_form_in_both() -> None:
    m = session("x: [B, D=3], z: [B, E=4]", "Bilinear[2](x, z)")
    x, z = image(5, 3), image(5, 4)
    wanted = np.einsum("bd,den,be->bn", x, m.params["bilinear.W"], z)
    np.testing.assert_allclose(m(x, z), wanted)


def test_prelu_has_a_slope_for_each_channel() -> None:
    m = session("x: [B, C=3]", "x -> PReLU")
    m.params["prelu.a"] = np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(m(np.array([[-1.0, -1, -1], [2, 2, 2]])), np.array([[0, -0.5, -1], [2, 2, 2]]))


def test_highway_mixes_by_its_gate_and_at_first_carries_through() -> None:
    m = session("x: [B, D=6]", "x -> Highway[tanh, bias = -8]")
    x = image(5, 6)
    assert np.abs(m(x) - x).max() < 0.05
    gate, h = "highway.dense", "highway.dense2"
    t = 1 / (1 + np.exp(-(x @ m.params[f"{gate}.W"] + m.params[f"{gate}.b"])))
    np.testing.assert_allclose(m(x), t * np.tanh(x @ m.params[f"{h}.W"]) + (1 - t) * x)


def test_residual_adds_its_layer_with_fresh_parameters_each_time() -> None:
    m = session("x: [B, D=3]", "x -> Residual[Dense[3]] -> Residual[Dense[3]]")
    x = image(2, 3)
    first, second = (m.params[p] for p in m.params if p.endswith("W"))
    h = x + x @ first
    np.testing.assert_allclose(m(x), h + h @ second)


# ---------------------------------------------------------------- normalisation
def normalized(x: Array, axes: tuple[int, ...], eps: float = 1e-5) -> Array:
    return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps))


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        ("LayerNorm", lambda x: normalized(x, (3,))),
        ("LayerNorm[0.1]", lambda x: normalized(x, (3,), 0.1)),
        ("RMSNorm", lambda x: x / np.sqrt((x**2).mean(3, keepdims=True) + 1e-6)),
        ("InstanceNorm", lambda x: normalized(x, (2, 3))),
        ("GroupNorm[2]", lambda x: normalized(x.reshape(2, 2, 2, 7, 6), (2, 3, 4)).reshape(x.shape)),
        ("GroupNorm[1]", lambda x: normalized(x, (1, 2, 3))),
    ],
)
def test_a_norm_is_its_formula(layer: str, formula: Any) -> None:
    x = 3 * image() + 1
    np.testing.assert_allclose(value(IMAGE, f"x -> {layer}", x), formula(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", ["LayerNorm", "RMSNorm", "InstanceNorm", "GroupNorm[2]", "BatchNorm"])
def test_the_gradient_of_a_norm_is_right_to_second_order(layer: str) -> None:
    assert gradient_error("x: [B, C=2, H=3, W=2]", f"x -> {layer}", image(2, 2, 3, 2), train=True) < 1e-5


def test_norms_have_a_gain_and_a_bias_for_each_feature_or_channel() -> None:
    for layer, shape in (("LayerNorm", (1, 1, 1, 6)), ("BatchNorm", (1, 4, 1, 1)), ("GroupNorm[2]", (1, 4, 1, 1))):
        m = session(IMAGE, f"x -> {layer}")
        x, n = image(), max(shape)
        before = m(x)
        set_params(m, {"gain": np.arange(n), "bias": -np.arange(n)})
        np.testing.assert_allclose(m(x), before * np.arange(n).reshape(shape) - np.arange(n).reshape(shape))


def test_batch_norm_uses_the_batch_in_training_and_running_statistics_otherwise() -> None:
    m = session(IMAGE, "x -> BatchNorm[momentum = 0.8]")
    x = 3 * image() + 1
    np.testing.assert_allclose(m(x, train=True), normalized(x, (0, 2, 3)), rtol=1e-10)
    mean, unbiased = x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(m.states["batchnorm.mu"], 0.2 * mean)
    np.testing.assert_allclose(m.states["batchnorm.var"], 0.8 + 0.2 * unbiased)
    mu, var = (m.states[f"batchnorm.{n}"].reshape(1, 4, 1, 1) for n in ("mu", "var"))
    np.testing.assert_allclose(m(x), (x - mu) / np.sqrt(var + 1e-5))


def test_batch_norm_takes_features_without_space() -> None:
    x = image(8, 3)
    np.testing.assert_allclose(value("x: [B, C=3]", "x -> BatchNorm", x, train=True), normalized(x, (0,)), rtol=1e-10)


# ---------------------------------------------------------------- convolution
def convolved(x: Array, w: Array, stride: int = 1, dilation: int = 1, pad: Any = "same") -> Array:
    """Straight from the definition. x: [B, C, S...], w: [N, C, K...]."""
    k = w.shape[2]
    reach = (k - 1) * dilation + 1
    sizes, lows, highs = [], [], []
    for n in x.shape[2:]:
        if pad == "same":
            count = -(-n // stride)
            total = max((count - 1) * stride + reach - n, 0)
            low, high = total // 2, total - total // 2
        else:
            low = high = {"valid": 0, "full": reach - 1}.get(pad, pad)
            count = (n + 2 * low - reach) // stride + 1
        sizes.append(count)
        lows.append(low)
        highs.append(high)
    big = np.pad(x, [(0, 0), (0, 0), *zip(lows, highs, strict=True)])
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    at: Any
    for at in product(*map(range, sizes)):
        place: Any = (..., *(slice(p * stride, p * stride + reach, dilation) for p in at))
        y[(slice(None), slice(None), *at)] = np.tensordot(big[place], w, (range(1, w.ndim), range(1, w.ndim)))
    return y


@pytest.mark.parametrize("pad", ["same", "valid", "full", 0, 1, 3])
@pytest.mark.parametrize(
    ("k", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (2, 1, 1), (2, 3, 1), (1, 2, 1), (3, 1, 2), (3, 2, 2)]
)
def test_a_convolution_is_its_definition(pad: Any, k: int, stride: int, dilation: int) -> None:
    shown = f'"{pad}"' if isinstance(pad, str) else pad
    m = session(IMAGE, f"x -> Conv[5, {k}, stride = {stride}, dilation = {dilation}, pad = {shown}]")
    x = image()
    np.testing.assert_allclose(m(x), convolved(x, m.params["conv.W"], stride, dilation, pad), atol=1e-12)


@pytest.mark.parametrize(
    ("signature", "shape"), [("x: [B, C=4, T=9]", (2, 4, 9)), ("x: [B, C=4, H=4, W=5, Z=3]", (2, 4, 4, 5, 3))]
)
def test_a_convolution_takes_any_number_of_axes(signature: str, shape: tuple[int, ...]) -> None:
    m = session(signature, "x -> Conv[3, 3, stride = 2]")
    x = image(*shape)
    np.testing.assert_allclose(m(x), convolved(x, m.params["conv.W"], 2), atol=1e-12)


def test_groups_and_depthwise_convolve_each_part_alone() -> None:
    x = image()
    m = session(IMAGE, "x -> Conv[6, 3, groups = 2, bias = 0.5]")
    w = m.params["conv.W"]  # [G=2, M=3, I=2, 3, 3]
    wanted = np.concatenate([convolved(x[:, :2], w[0]), convolved(x[:, 2:], w[1])], 1) + 0.5
    np.testing.assert_allclose(m(x), wanted, atol=1e-12)
    m = session(IMAGE, "x -> Depthwise[3, stride = 2]")
    w = m.params["depthwise.W"]
    wanted = np.concatenate([convolved(x[:, c : c + 1], w[c][None, None], 2) for c in range(4)], 1)
    np.testing.assert_allclose(m(x), wanted, atol=1e-12)


def test_separable_is_depthwise_and_then_pointwise() -> None:
    m = session(IMAGE, "x -> Separable[5, 3]")
    x, (depth, point) = image(), m.params.values()
    h = np.concatenate([convolved(x[:, c : c + 1], depth[c][None, None]) for c in range(4)], 1)
    np.testing.assert_allclose(m(x), convolved(h, point), atol=1e-12)


@pytest.mark.parametrize(("k", "stride", "pad"), [(2, 2, 0), (3, 1, 0), (3, 2, 0), (3, 2, 1), (4, 2, 1), (2, 3, 0)])
def test_a_transposed_convolution_is_the_adjoint_of_the_convolution(k: int, stride: int, pad: int) -> None:
    """<conv(x), y> = <x, transposed(y)> for the same weights."""
    m = session("y: [B, C=5, H=3, W=4]", f"y -> ConvTranspose[4, {k}, stride = {stride}, pad = {pad}]")
    y = image(2, 5, 3, 4)
    found, w = m(y), m.params["convtranspose.W"]  # [C=5, N=4, k, k]: what the convolution calls [N, C, k, k]
    assert found.shape == (2, 4, 2 * stride + k - 2 * pad, 3 * stride + k - 2 * pad)
    x = image(*found.shape)
    np.testing.assert_allclose((convolved(x, w, stride, pad=pad) * y).sum(), (x * found).sum(), rtol=1e-10)


@pytest.mark.parametrize(
    "layer",
    [
        "Conv[2, 3, stride = 2, bias = zeros]",
        "Conv[2, 2, dilation = 2, groups = 2]",
        "Depthwise[3]",
        "ConvTranspose[2, 3, stride = 2]",
    ],
)
def test_the_gradient_of_a_convolution_is_right_to_second_order(layer: str) -> None:
    assert gradient_error("x: [B, C=2, H=5, W=4]", f"x -> {layer}", image(2, 2, 5, 4)) < 1e-6


# ---------------------------------------------------------------- pooling and resizing
def test_max_pooling_is_that_of_the_lecture() -> None:
    x = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], float).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(value("x: [B, C=1, H=4, W=4]", "x -> maxpool[2]", x)[0, 0], [[6, 8], [3, 4]])


def test_pools_take_stride_and_padding_and_never_choose_the_padding() -> None:
    x = -1 - np.abs(image())
    big = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    wanted = [[big[:, :, i : i + 3, j : j + 3].max((2, 3)) for j in (0, 2, 4)] for i in (0, 2, 4, 6)]
    found = value(IMAGE, "x -> maxpool[3, stride = 2, pad = 1]", x)
    np.testing.assert_array_equal(found, np.array(wanted).transpose(2, 3, 0, 1))


def test_average_pooling_is_the_mean_of_each_window() -> None:
    x = image()
    wanted = x[:, :, :6].reshape(2, 4, 3, 2, 3, 2).mean((3, 5))
    np.testing.assert_allclose(value(IMAGE, "x -> avgpool[2]", x), wanted)
    np.testing.assert_allclose(value(IMAGE, "x -> global_pool", x), x.mean((2, 3)))


def test_squeeze_and_excite_weighs_channels_by_a_gate_that_sees_all_of_the_picture() -> None:
    m = session(IMAGE, "x -> SqueezeExcite[ratio = 2]")
    x = image()
    a, b = (m.params[p] for p in m.params if p.endswith("W"))
    gate = 1 / (1 + np.exp(-(np.maximum(x.mean((2, 3)) @ a, 0) @ b)))
    np.testing.assert_allclose(m(x), x * gate[:, :, None, None])


def test_upsample_repeats_every_value() -> None:
    x = image()
    np.testing.assert_array_equal(value(IMAGE, "x -> upsample[3]", x), x.repeat(3, 2).repeat(3, 3))
    sequence = image(2, 4, 5)
    np.testing.assert_array_equal(value("x: [B, C=4, T=5]", "x -> upsample[2]", sequence), sequence.repeat(2, 2))


def test_resize_is_linear_between_the_centres_of_pixels() -> None:
    x = np.array([[0.0, 4.0, 8.0]])
    np.testing.assert_allclose(value("x: [B, W=3]", "x -> resize[W, 6]", x), [[0, 1, 3, 5, 7, 8]])
    np.testing.assert_allclose(value("x: [B, W=3]", "x -> resize[W, 3]", x), x)
    np.testing.assert_allclose(value("x: [B, W=3]", "x -> resize[W, 1]", x), [[4]])


def test_bilinear_keeps_planes_and_their_gradient() -> None:
    x = image()
    found = value(IMAGE, "x -> bilinear[2]", x)
    assert found.shape == (2, 4, 14, 12)
    np.testing.assert_allclose(found[:, :, 1:-1, 1:-1].mean(), _interior(x).mean(), atol=1e-12)
    assert gradient_error("x: [B, C=2, H=3, W=2]", "x -> bilinear[2]", image(2, 2, 3, 2)) < 1e-6


def _interior(x: Array) -> Array:
    """Bilinear interpolation at the 2 x finer grid, without its border, by hand."""
    up, down = x[:, :, :-1], x[:, :, 1:]
    rows = np.stack([0.75 * up + 0.25 * down, 0.25 * up + 0.75 * down])
    left, right = rows[..., :-1], rows[..., 1:]
    return np.stack([0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right])
