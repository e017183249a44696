"""The six nets as ONNX graphs for inference, built node by node: nothing but `onnx` is needed.

In: a `Start`. Out: a model with the input `x` and the output `logits`, [rows, classes].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.workloads import Array, Start

OPSET = 20  # the first with Gelu


class Graph:
    """Nodes and constants of a graph that is being built. Methods take and give names of tensors."""

    def __init__(self, start: Start):
        self.start = start
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, array: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def weight(self, path: str) -> str:
        known = self.start.params | self.start.states
        return self.constant(known[path], path)

    def dense(self, name: str, x: str) -> str:
        return self("Add", self("MatMul", x, self.weight(f"{name}.W")), self.weight(f"{name}.b"))

    def conv(self, name: str, x: str, stride: int = 1) -> str:
        taps = self.start.params[f"{name}.W"].shape[2]
        bias = [self.weight(f"{name}.b")] if f"{name}.b" in self.start.params else []
        return self(
            "Conv",
            x,
            self.weight(f"{name}.W"),
            *bias,
            strides=[stride] * 2,
            pads=[taps // 2] * 4,
            kernel_shape=[taps] * 2,
        )

    def batch_norm(self, name: str, x: str) -> str:
        return self("BatchNormalization", x, *(self.weight(f"{name}.{k}") for k in ("gain", "bias", "mu", "var")))

    def layer_norm(self, name: str, x: str) -> str:
        return self("LayerNormalization", x, self.weight(f"{name}.gain"), self.weight(f"{name}.bias"), axis=-1)

    def reshape(self, x: str, *shape: int) -> str:
        return self("Reshape", x, self.constant(np.array(shape, np.int64)))

    def rows(self, x: str) -> str:
        return self.reshape(x, -1, self.start.sizes["V"])


def _chain(activation: str) -> Callable[[Graph, str], str]:
    def net(g: Graph, x: str) -> str:
        return g.dense("dense3", g(activation, g.dense("dense2", g(activation, g.dense("dense", x)))))

    return net


def lenet(g: Graph, x: str) -> str:
    for name in ("conv", "conv2"):
        x = g("MaxPool", g("Relu", g.conv(name, x)), kernel_shape=[2, 2], strides=[2, 2])
    return g.dense("dense2", g("Relu", g.dense("dense", g("Flatten", x))))


def resnet20(g: Graph, x: str) -> str:
    p = g.start.params
    x = g("Relu", g.batch_norm("batchnorm", g.conv("conv", x)))
    for name in [path.removesuffix(".conv.W") for path in p if path.endswith("basic.conv.W")]:
        stride = 2 if f"{name}.conv3.W" in p else 1
        h = g("Relu", g.batch_norm(f"{name}.batchnorm", g.conv(f"{name}.conv", x, stride)))
        h = g.batch_norm(f"{name}.batchnorm2", g.conv(f"{name}.conv2", h))
        skip = g.batch_norm(f"{name}.batchnorm3", g.conv(f"{name}.conv3", x, 2)) if stride == 2 else x
        x = g("Relu", g("Add", h, skip))
    return g.dense("dense", g("Flatten", g("GlobalAveragePool", x)))


def lstm(g: Graph, x: str) -> str:
    """ONNX has the gates in the order input, output, forget, candidate."""
    p, order = g.start.params, [0, 3, 1, 2]
    n = p["lstm.U"].shape[0]
    w, u = (g.constant(p[f"lstm.{k}"][:, order].reshape(-1, 4 * n).T[None], f"lstm.{k}") for k in "WU")
    b = g.constant(np.concatenate([p[f"lstm.b{k}"][order].ravel() for k in "ih"])[None], "lstm.b")
    e = g("Gather", g.weight("embed.W"), g("Transpose", x, perm=[1, 0]))  # time first: the layout every version has
    y = g("LSTM", e, w, u, b, outputs=3, hidden_size=n)[0]  # [T, 1, B, N]
    h = g("Transpose", g("Squeeze", y, g.constant(np.array([1], np.int64))), perm=[1, 0, 2])
    return g.rows(g.dense("dense", h))


def transformer(g: Graph, x: str) -> str:
    p, (b, t) = g.start.params, g.start.x.shape
    h = g("Add", g("Gather", g.weight("embed.W"), x), g.constant(p["positions.W"][:t]))
    mask = g.constant(np.where(np.tri(t, dtype=bool), 0, -np.inf).astype(np.float32))
    for name in [path.removesuffix(".norm1.gain") for path in p if path.endswith(".norm1.gain")]:
        look = f"{name}.see.multihead"
        h = g("Add", h, _attention(g, look, g.layer_norm(f"{name}.norm1", h), mask, b, t))
        inner = g("Gelu", g.dense(f"{name}.feed.dense", g.layer_norm(f"{name}.norm2", h)))
        h = g("Add", h, g.dense(f"{name}.feed.dense2", inner))
    return g.rows(g.dense("dense", g.layer_norm("layernorm", h)))


def _attention(g: Graph, look: str, x: str, mask: str, b: int, t: int) -> str:
    """One product for query, key and value, as exporters write it."""
    p = g.start.params
    d, heads, e = p[f"{look}.Wq"].shape
    w = np.concatenate([p[f"{look}.W{k}"].reshape(d, -1) for k in "qkv"], 1)
    bias = np.concatenate([p[f"{look}.b{k}"].ravel() for k in "qkv"])
    qkv = g("Add", g("MatMul", x, g.constant(w, f"{look}.in.W")), g.constant(bias, f"{look}.in.b"))
    q, k, v = g("Split", qkv, outputs=3, axis=-1, num_outputs=3)
    q, v = (g("Transpose", g.reshape(s, b, t, heads, e), perm=[0, 2, 1, 3]) for s in (q, v))
    k = g("Transpose", g.reshape(k, b, t, heads, e), perm=[0, 2, 3, 1])
    score = g("Mul", g("MatMul", q, k), g.constant(np.float32(e**-0.5)))
    share = g("Softmax", g("Add", score, mask), axis=-1)
    seen = g.reshape(g("Transpose", g("MatMul", share, v), perm=[0, 2, 1, 3]), b, t, d)
    out = g("MatMul", seen, g.constant(p[f"{look}.Wo"].reshape(-1, d), f"{look}.Wo"))
    return g("Add", out, g.weight(f"{look}.bo"))


NETS: dict[str, Callable[[Graph, str], str]] = {
    "spirals": _chain("Tanh"),
    "mlp": _chain("Relu"),
    "lenet": lenet,
    "resnet20": resnet20,
    "lstm": lstm,
    "transformer": transformer,
}


def model_of(start: Start) -> ModelProto:
    """The graph of a net with its weights as constants."""
    g = Graph(start)
    g("Identity", NETS[start.work.name](g, "x"))
    g.nodes[-1].output[0] = "logits"
    kind = TensorProto.INT32 if start.work.time else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("x", kind, start.x.shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(array, name) for name, array in g.constants.items()]
    graph = helper.make_graph(g.nodes, start.work.name, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
