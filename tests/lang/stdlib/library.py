"""Runs one expression of the language: text in, NumPy out, in float64 on the reference of the ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zhdsl.autodiff.check import check_gradients
from zhdsl.ir.graph import Graph
from zhdsl.lang.model import Recipe
from zhdsl.runtime.session import Session
from zhdsl.runtime.spec import opened
from zhdsl.runtime.state import seed_word

Array = npt.NDArray[Any]


def block(signature: str, body: str) -> str:
    """The text of a block `M`; a body of one line is what it returns."""
    lines = body.strip().splitlines()
    lines = [f"return {lines[0]}"] if len(lines) == 1 else lines
    return f"block M({signature}) {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def session(signature: str, body: str, seed: int = 0, before: str = "") -> Session:
    """`block M(signature) { body }` as a model. `before` is text in front of it."""
    spec, _ = opened(before + block(signature, body), "M")
    return Session(spec, device="reference", dtype="float64", seed=seed)


def value(signature: str, body: str, *args: Any, train: bool = False, **options: Any) -> Any:
    """What the body returns for these arrays: an array, or a dict of arrays where there are several results."""
    return session(signature, body, **options)(*args, train=train)


def entry_of(path: str, m: Session) -> Array:
    """The parameter whose path ends in `path`."""
    (found,) = (name for name in m.params if name == path or name.endswith("." + path))
    return m.params[found]


def set_params(m: Session, values: Mapping[str, Any]) -> None:
    for path, given in values.items():
        (found,) = (name for name in m.params if name == path or name.endswith("." + path))
        m.params[found] = np.asarray(given, np.float64)


def gradient_error(signature: str, body: str, *args: Any, order: int = 2, train: bool = False, **options: Any) -> float:
    """Largest relative error of the symbolic gradients (of inputs and parameters) against finite differences."""
    m = session(signature, body, **options)
    m(*args)  # makes the weights, and checks the arguments
    graph = m.spec.model.train if train else m.spec.model.infer
    values = inputs_of(graph, m, args)
    float_ones = [p.node for p in graph.inputs if p.role in ("data", "param") and p.node.type.is_float]
    outputs = [p.node for p in graph.results("result") if p.node.type.is_float]
    return check_gradients(outputs, float_ones, values, sizes_of(graph, args), order)


def inputs_of(graph: Graph, m: Session, args: Any) -> dict[Any, Array]:
    """Arrays of all inputs, axes sorted by label."""
    data = [p for p in graph.inputs if p.role == "data"]
    found: dict[Any, Array] = {}
    for port, array in zip(data, args, strict=True):
        dtype = {"i32": np.int32, "bool": np.bool_}.get(port.node.type.dtype, np.float64)
        found[port.node] = _sorted(np.asarray(array, dtype), port.order)
    for port in graph.inputs:
        if port.role in ("param", "state"):
            found[port.node] = _sorted(m.arrays[port.role, port.name], port.order)
        elif port.role == "counter":
            found[port.node] = np.asarray(seed_word(m.seed) if port.name == "seed" else 0, np.int32)
    return found


def _sorted(array: Array, order: tuple[str, ...]) -> Array:
    return array.transpose([order.index(label) for label in sorted(order)])


def sizes_of(graph: Graph, args: Any) -> dict[str, int]:
    """The symbols of the inputs' types, from the arrays."""
    found: dict[str, int] = {}
    for port, array in zip((p for p in graph.inputs if p.role == "data"), args, strict=True):
        for label, length in zip(port.order, np.shape(array), strict=True):
            size = port.node.type.sizes[label]
            if size.number is None:
                (symbol,) = size.symbols
                found[symbol] = length
    return found


ONE_LAYER = """model M(image: [B, H=8, W=8]) -> logits: [B, K=10] {
  return merge[F = (H, W)](image) -> Dense[10]
}"""


def recipe(entries: str) -> Recipe:
    """The recipe with these entries, for one layer on the digits (its parameters: `dense.W`, `dense.b`)."""
    text = f"""{ONE_LAYER}
train M {{
  data = digits[]
  loss = cross_entropy[K](logits, label)
  batch = 32
  epochs = 1
{entries}
}}
"""
    spec, _ = opened(text)
    assert spec.recipe is not None
    return spec.recipe
