"""The six nets in JAX, channels last, as functions of weights and a batch, and how the texts' weights become theirs.

Weights are a dictionary with the texts' paths, in the layouts that suit XLA: convolutions HWIO, the gates of the LSTM
and the projections of attention side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.workloads import Arrays, Start

Params: TypeAlias = Mapping[str, Any]
Net: TypeAlias = Callable[[Params, Params, Any, bool], tuple[Any, dict[str, Any]]]

EPS, KEPT = 1e-5, 0.9  # of the norms; share that running statistics keep


def _dense(p: Params, name: str, x: Any) -> Any:
    return x @ p[f"{name}.W"] + p[f"{name}.b"]


def _conv(x: Any, kernel: Any, stride: int = 1) -> Any:
    pad = kernel.shape[0] // 2
    strides, pads = (stride, stride), ((pad, pad), (pad, pad))
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _layer_norm(p: Params, name: str, x: Any) -> Any:
    x = x - x.mean(-1, keepdims=True)
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS) * p[f"{name}.gain"] + p[f"{name}.bias"]


def _stateless(f: Callable[[Params, Any], Any]) -> Net:
    return lambda p, state, x, train: (f(p, x), {})


def spirals(p: Params, x: Any) -> Any:
    return _dense(p, "dense3", jnp.tanh(_dense(p, "dense2", jnp.tanh(_dense(p, "dense", x)))))


def mlp(p: Params, x: Any) -> Any:
    return _dense(p, "dense3", jax.nn.relu(_dense(p, "dense2", jax.nn.relu(_dense(p, "dense", x)))))


def lenet(p: Params, x: Any) -> Any:
    for name in ("conv", "conv2"):
        x = _pool(jax.nn.relu(_conv(x, p[f"{name}.W"]) + p[f"{name}.b"]))
    return _dense(p, "dense2", jax.nn.relu(_dense(p, "dense", x.reshape(len(x), -1))))


class _BatchNorm:
    """Batch norm that collects the new running statistics of one pass."""

    def __init__(self, p: Params, state: Params, train: bool):
        self.p, self.state, self.train, self.new = p, state, train, dict(state)

    def __call__(self, name: str, x: Any) -> Any:
        mean, var = self.state[f"{name}.mu"], self.state[f"{name}.var"]
        if self.train:
            count = x.size // x.shape[-1]
            old, mean, var = (mean, var), x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.new[f"{name}.mu"] = KEPT * old[0] + (1 - KEPT) * mean
            self.new[f"{name}.var"] = KEPT * old[1] + (1 - KEPT) * var * (count / (count - 1))
        return (x - mean) * lax.rsqrt(var + EPS) * self.p[f"{name}.gain"] + self.p[f"{name}.bias"]


def resnet20(p: Params, state: Params, x: Any, train: bool) -> tuple[Any, dict[str, Any]]:
    norm = _BatchNorm(p, state, train)
    x = jax.nn.relu(norm("batchnorm", _conv(x, p["conv.W"])))
    blocks = [path.removesuffix(".conv.W") for path in p if path.endswith("basic.conv.W")]
    for name in blocks:
        stride = 2 if f"{name}.conv3.W" in p else 1
        h = jax.nn.relu(norm(f"{name}.batchnorm", _conv(x, p[f"{name}.conv.W"], stride)))
        h = norm(f"{name}.batchnorm2", _conv(h, p[f"{name}.conv2.W"]))
        skip = norm(f"{name}.batchnorm3", _conv(x, p[f"{name}.conv3.W"], stride)) if stride == 2 else x
        x = jax.nn.relu(h + skip)
    return _dense(p, "dense", x.mean((1, 2))), norm.new


def lstm(p: Params, x: Any) -> Any:
    n = p["lstm.U"].shape[0]
    z = (p["embed.W"][x] @ p["lstm.W"] + (p["lstm.bi"] + p["lstm.bh"])).swapaxes(0, 1)

    def cell(carry: Any, z: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ p["lstm.U"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[0], n), z.dtype)
    h = lax.scan(cell, (zero, zero), z)[1].swapaxes(0, 1)
    return _dense(p, "dense", h).reshape(-1, p["dense.b"].size)


def transformer(p: Params, x: Any, heads: int) -> Any:
    b, t = x.shape
    h = p["embed.W"][x] + p["positions.W"][:t]
    mask = jnp.tril(jnp.ones((t, t), bool))
    for name in [path.removesuffix(".norm1.gain") for path in p if path.endswith(".norm1.gain")]:
        look = f"{name}.see.multihead"
        qkv = _dense(p, f"{look}.in", _layer_norm(p, f"{name}.norm1", h)).reshape(b, t, 3, heads, -1)
        score = jnp.einsum("bqhe,bkhe->bhqk", qkv[:, :, 0], qkv[:, :, 1]) / qkv.shape[-1] ** 0.5
        share = jax.nn.softmax(jnp.where(mask, score, -jnp.inf))
        seen = jnp.einsum("bhqk,bkhe->bqhe", share, qkv[:, :, 2]).reshape(b, t, -1)
        h = h + _dense(p, f"{look}.out", seen)
        inner = jax.nn.gelu(_dense(p, f"{name}.feed.dense", _layer_norm(p, f"{name}.norm2", h)), approximate=False)
        h = h + _dense(p, f"{name}.feed.dense2", inner)
    return _dense(p, "dense", _layer_norm(p, "layernorm", h)).reshape(b * t, -1)


def net_of(start: Start) -> Net:
    """(weights, states, x, whether it is training) to (logits in rows, new states)."""
    if start.work.name == "transformer":
        return _stateless(lambda p, x: transformer(p, x, start.sizes["H"]))
    return NETS[start.work.name]


NETS: dict[str, Net] = {
    "spirals": _stateless(spirals),
    "mlp": _stateless(mlp),
    "lenet": _stateless(lenet),
    "resnet20": resnet20,
    "lstm": _stateless(lstm),
}


# ---------------------------------------------------------------- weights
def carried(start: Start, arrays: Arrays) -> Arrays:
    """Weights by path in the layouts of this file."""
    found = {path: _laid_out(path, array) for path, array in arrays.items()}
    if start.work.name == "lenet":  # [(C, H, W), N] → [(H, W, C), N]
        side = start.sizes["S"] // 4
        w = arrays["dense.W"].reshape(-1, side, side, arrays["dense.W"].shape[1])
        found["dense.W"] = w.transpose(1, 2, 0, 3).reshape(arrays["dense.W"].shape)
    for look in [path.removesuffix(".Wq") for path in arrays if path.endswith(".Wq")]:
        d = len(found[f"{look}.Wq"])
        parts = [found.pop(f"{look}.W{k}").reshape(d, -1) for k in "qkv"]
        found[f"{look}.in.W"] = np.concatenate(parts, 1)
        found[f"{look}.in.b"] = np.concatenate([found.pop(f"{look}.b{k}").ravel() for k in "qkv"])
        found[f"{look}.out.W"] = found.pop(f"{look}.Wo").reshape(-1, d)
        found[f"{look}.out.b"] = found.pop(f"{look}.bo")
    return found


def _laid_out(path: str, array: Any) -> Any:
    if "conv" in path and array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if path in ("lstm.W", "lstm.U"):
        return array.reshape(len(array), -1)
    return array.ravel() if path in ("lstm.bi", "lstm.bh") else array
