"""The reference meaning of a graph: node by node in NumPy, axes in canonical order, float64 unless told otherwise.

It is what every backend, pass and derivative is compared with, so it is plain: nothing is fused, reused or freed early,
and every intermediate is checked against the type that was inferred for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.ops.elementwise import Cast
from zhdsl.ops.families import arrange, shape
from zhdsl.ops.loop import TUPLE, Project, Scan
from zhdsl.ops.source import Const, Iota

NUMPY = {"bool": "bool", "i32": "int32", "f16": "float16", "bf16": "float32", "f32": "float32", "f64": "float64"}


def evaluate(
    outputs: Graph | Iterable[Node], values: Mapping[Node, Any], sizes: Mapping[str, int], dtype: Any = "float64"
) -> list[Array]:
    """The values of nodes, or of a graph's outputs.

    Args:
        outputs: what is asked for.
        values: arrays of nodes, axes sorted by label; every input, parameter, state and slot that is needed must be
            there, and any other node may be (it is then not computed).
        sizes: the value of every symbol.
        dtype: what the program's `float` is. (bf16 is kept in float32, rounded after every op.)

    Returns:
        One array per output, axes sorted by label; not to be written to.

    Raises:
        ValueError: a value is missing or does not fit its type; a size is not whole.
        KeyError: a symbol has no value.
        TypeProblem: the sizes do not fit the ops (a slice out of its axis).
    """
    nodes = [port.node for port in outputs.outputs] if isinstance(outputs, Graph) else list(outputs)
    return Evaluator(sizes, dtype).run(nodes, values)


def numpy_dtype(dtype: str, float_: Any) -> Any:
    """The NumPy dtype in which values of an IR dtype are kept, `float` being `float_`."""
    return np.dtype(float_ if dtype == FLOAT else NUMPY[dtype])


class Evaluator:
    """`evaluate` for many values of one graph: ops and types are bound to the sizes once."""

    def __init__(self, sizes: Mapping[str, int], dtype: Any = "float64"):
        self.sizes = dict(sizes)
        self.dtype = dtype
        self._types: dict[Type, Type] = {}
        self._ops: dict[Node, Op] = {}

    def run(self, outputs: Sequence[Node], values: Mapping[Node, Any]) -> list[Array]:
        """As `evaluate`."""
        known: dict[Node, Any] = {}
        with np.errstate(all="ignore"):
            for node in _order(outputs, values):
                known[node] = self._given(node, values[node]) if node in values else self._computed(node, known)
        return [known[node] for node in outputs]

    def type(self, node: Node) -> Type:
        """The node's type with its sizes evaluated."""
        found = self._types.get(node.type)
        if found is None:
            axes = tuple((label, Size.of(size.evaluate(self.sizes))) for label, size in node.type.axes)
            found = self._types[node.type] = Type(node.type.dtype, axes)
        return found

    def _given(self, node: Node, value: Any) -> Any:
        if node.type.dtype == TUPLE:
            return value
        type_, array = self.type(node), np.asarray(value)
        wanted = numpy_dtype(type_.dtype, self.dtype)
        if array.shape != shape(type_) or not np.can_cast(array.dtype, wanted, "same_kind"):
            raise ValueError(f"a value of {array.dtype}{list(array.shape)} is given for {node!r}, which is {type_}")
        return array.astype(wanted)

    def _computed(self, node: Node, known: Mapping[Node, Any]) -> Any:
        rule = FAMILY_RULES[node.op.family]
        result = rule(self, node, [known[x] for x in node.operands])
        if node.type.dtype == TUPLE:
            return result
        type_ = self.type(node)
        if result.shape != shape(type_) or result.dtype != numpy_dtype(type_.dtype, self.dtype):
            raise ValueError(f"{node.op.name} gave {result.dtype}{list(result.shape)} where {type_} was inferred")
        return round_bf16(result) if type_.dtype == "bf16" else result

    def op(self, node: Node) -> Any:
        """The node's op with its sizes evaluated; that it then still gives the inferred type is checked once."""
        if node not in self._ops:
            bound = node.op.bind(self.sizes)
            inferred = bound.infer(*map(self.type, node.operands))
            if inferred != self.type(node):
                raise ValueError(f"{node.op.name} gives {inferred} where {self.type(node)} was inferred")
            self._ops[node] = bound
        return self._ops[node]


def _order(outputs: Sequence[Node], given: Mapping[Node, Any]) -> list[Node]:
    """The nodes that outputs need, operands first, not looking behind given ones."""
    seen: set[Node] = set()
    order: list[Node] = []
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if node not in given:
                stack.extend((x, False) for x in reversed(node.operands))
    return order


# ---------------------------------------------------------------- one rule per family
def _source(e: Evaluator, node: Node, arrays: list[Any]) -> Array:
    op = e.op(node)
    if isinstance(op, Const):
        return op.numpy(dtype=numpy_dtype(op.dtype, e.dtype))
    if isinstance(op, Iota):
        return op.numpy()
    name = getattr(op, "port", None) or getattr(op, "path", None) or getattr(op, "index", "")
    raise ValueError(f"{op.name} {name}: no value is given")


def _elementwise(e: Evaluator, node: Node, arrays: list[Any]) -> Array:
    out = e.type(node)
    aligned = [arrange(a, x.type.labels, out.labels) for a, x in zip(arrays, node.operands, strict=True)]
    op = e.op(node)
    more = {"dtype": numpy_dtype(op.dtype, e.dtype)} if isinstance(op, Cast) else {}
    return np.broadcast_to(np.asarray(op.numpy(*aligned, **more)), shape(out))


def _reduce(e: Evaluator, node: Node, arrays: list[Any]) -> Array:
    op, x = e.op(node), node.operands[0].type
    return np.asarray(op.numpy(arrays[0], tuple(x.index(label) for label in op.labels)))


def _labelled(e: Evaluator, node: Node, arrays: list[Any]) -> Array:
    types = tuple(e.type(x) for x in node.operands)
    return np.asarray(e.op(node).numpy(*arrays, types=types, out=e.type(node)))


def _random(e: Evaluator, node: Node, arrays: list[Any]) -> Array:
    return _labelled(e, node, arrays).astype(numpy_dtype(node.type.dtype, e.dtype))


def _loop(e: Evaluator, node: Node, arrays: list[Any]) -> Any:
    if isinstance(node.op, Project):
        picked = np.asarray(arrays[0][node.op.index])
        return picked if picked.size else picked.astype(numpy_dtype(node.type.dtype, e.dtype))  # a loop of no steps
    assert isinstance(node.op, Scan)
    types = [e.type(x) for x in node.operands]
    return node.op.run(lambda outputs, values, *_: e.run(outputs, values), arrays, types, e.sizes, e.dtype)


FAMILY_RULES: dict[str, Callable[[Evaluator, Node, list[Any]], Any]] = {
    "source": _source,
    "elementwise": _elementwise,
    "reduce": _reduce,
    "contract": _labelled,
    "movement": _labelled,
    "index": _labelled,
    "random": _random,
    "loop": _loop,
}


def round_bf16(x: Array) -> Array:
    """float32 values rounded to the nearest bf16 (ties to even), still in float32."""
    wide = np.ascontiguousarray(x, np.float32).reshape(x.shape)
    bits = wide.view(np.uint32)
    even = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.asarray(np.where(np.isnan(wide), wide, rounded))
