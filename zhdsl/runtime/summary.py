"""Parameters, FLOPs and bytes of a model, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, axes_text
from zhdsl.lang.model import Model
from zhdsl.ops.loop import TUPLE, Scan
from zhdsl.runtime.state import array_dtype

FREE = ("source", "movement", "index")  # they move numbers and compute none


@dataclass(frozen=True)
class Row:
    """One parameter or state."""

    path: str
    type: str
    count: int
    bytes: int
    trained: bool


@dataclass(frozen=True)
class Summary:
    """What `print(m.summary())` shows.

    Attributes:
        rows: parameters, then states.
        params, bytes: sums over the parameters.
        flops: of one sample through the model in inference (every symbol taken as 1); a product and a sum count as two.
    """

    name: str
    rows: tuple[Row, ...]
    params: int
    bytes: int
    flops: int

    def __str__(self) -> str:
        wide = max([len(r.path) for r in self.rows], default=0)
        types = max([len(r.type) for r in self.rows], default=0)
        lines = [self.name]
        lines += [
            f"  {r.path:<{wide}}  {r.type:<{types}}  {r.count:>12,}{'' if r.trained else '  state'}".rstrip()
            for r in self.rows
        ]
        total = f"{self.params:,} parameters, {self.bytes:,} bytes, {self.flops:,} FLOPs for one sample"
        return "\n".join([*lines, total])


def summarize(model: Model, dtype: str = "float32") -> Summary:
    """The summary of a model. No array is made."""
    rows = []
    for weights, trained in ((model.params, True), (model.states, False)):
        for path, w in weights.items():
            count = math.prod(s.number or 1 for _, s in w.type.axes)
            size = count * array_dtype(w.type, dtype).itemsize
            rows.append(Row(path, axes_text((n, w.type.sizes[n]) for n in w.order), count, size, trained))
    params = [r for r in rows if r.trained]
    total, size = sum(r.count for r in params), sum(r.bytes for r in params)
    return Summary(model.name, tuple(rows), total, size, flops(model.infer))


def flops(graph: Graph, sizes: Mapping[str, int] | None = None) -> int:
    """Floating-point operations of one run, symbols without a value taken as 1."""
    known = dict(sizes or {})
    return sum(_of(node, known) for node in graph.nodes)


def _of(node: Node, sizes: Mapping[str, int]) -> int:
    if isinstance(node.op, Scan):
        steps = _value(node.op.size, sizes)
        return steps * sum(_of(inner, sizes) for inner in node.op.body.nodes)
    if node.op.family in FREE or node.type.dtype == TUPLE or node.op.name == "project":
        return 0
    if node.op.family == "contract":
        axes = {label: size for x in node.operands for label, size in x.type.axes}
        return 2 * math.prod(_value(s, sizes) for s in axes.values())
    return _elements(node.operands[0].type if node.op.family == "reduce" else node.type, sizes)


def _elements(type_: Type, sizes: Mapping[str, int]) -> int:
    return math.prod(_value(size, sizes) for _, size in type_.axes)


def _value(size: Size, sizes: Mapping[str, int]) -> int:
    return max(0, size.evaluate({s: sizes.get(s, 1) for s in size.symbols}))
