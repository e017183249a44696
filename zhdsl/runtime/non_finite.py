"""Where a value that is not finite comes from: the first node whose operands are finite and which is not itself.

In: a graph and the inputs of the step in question. Out: a sentence with the place in the `.zh` text; for a value that a
loop makes, the node of its body and the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, topological
from zhdsl.ops.evaluate import Evaluator, evaluate
from zhdsl.ops.loop import TUPLE, Project, Scan
from zhdsl.runtime.arguments import sizes_of

Array: TypeAlias = npt.NDArray[Any]
Test: TypeAlias = Callable[[Array], Any]
LIBRARY = "std/"  # the user's own line is told first
WRITTEN = ("const", "where")  # how masks are made
SOURCES = {"data": "the data", "param": "parameter", "state": "state", "counter": "counter"}


@dataclass(frozen=True)
class _Found:
    """The first node that is not finite, the values beside it, and the steps of the loops it stands in."""

    node: Node
    values: Mapping[Node, Array]
    steps: tuple[str, ...] = ()


def first_non_finite(graph: Graph, inputs: Mapping[tuple[str, str], Array], dtype: str, *outputs: Node) -> str:
    """Says which value is the first that is not finite, and where in the text it is made.

    Computes what the outputs need once more, node by node, so it is slow and takes the memory of all values. A NaN is
    looked for before an infinity, and infinities that are written down (masks) are passed over.

    Args:
        graph: whose places in the text are told.
        inputs: by (role, name), those of the step in question.
        dtype: what the program's `float` is.
        outputs: the values that were found to be not finite.

    Returns:
        One line; empty if everything is finite this time.
    """
    ports = [p for p in graph.inputs if (p.role, p.name) in inputs]
    arrays = [np.asarray(inputs[p.role, p.name]) for p in ports]
    for port, array in zip(ports, arrays, strict=True):
        if _bad(array, np.isfinite):
            return f"{SOURCES[port.role]} {port.name} holds {_count(array)}"
    sizes = sizes_of(ports, [a.shape for a in arrays])
    values = {p.node: _canonical(p, a) for p, a in zip(ports, arrays, strict=True)}
    nodes = [n for n in topological(outputs) if n.type.dtype != TUPLE]
    known = dict(zip(nodes, evaluate(nodes, values, sizes, dtype), strict=True))
    for test in (_is_number, np.isfinite):
        if found := _first(nodes, known, test, Evaluator(sizes, dtype)):
            return _told(graph, found)
    return ""


def _canonical(port: Port, array: Array) -> Array:
    """An array with its axes sorted by label."""
    return np.transpose(array, [port.order.index(label) for label in port.node.type.labels])


# ---------------------------------------------------------------- the search
def _first(nodes: Iterable[Node], values: Mapping[Node, Array], test: Test, evaluator: Evaluator) -> _Found | None:
    """The first of the nodes that fails a test and whose operands do not; inside a loop, if a loop made it."""
    nodes = list(nodes)
    bad = {n for n in nodes if n.op.name not in WRITTEN and _bad(values[n], test)}
    first = next((n for n in nodes if n in bad and bad.isdisjoint(_behind(n))), None)
    if first is None:
        return None
    made = _made(first, values)
    if isinstance(made.op, Project):
        return _in_loop(made.operands[0], values, test, evaluator) or _in_loop(
            made.operands[0], values, np.isfinite, evaluator
        )
    return _Found(made, values)


def _behind(node: Node) -> tuple[Node, ...]:
    """What a node is computed from; for a result of a loop, what the loop is."""
    return node.operands[0].operands if isinstance(node.op, Project) else node.operands


def _made(node: Node, values: Mapping[Node, Array]) -> Node:
    """Where a NaN begins: with the infinity that it was made of, unless that is one that was written down.

    1 / 0 = inf;  0 * inf = NaN: the quotient is to blame. -inf - -inf of a mask: the difference is.
    """
    at = node
    while infinite := [x for x in _behind(at) if x in values and _bad(values[x], np.isfinite)]:
        if any(x.op.name in WRITTEN for x in infinite):
            return node
        at = infinite[0]
    return at


def _in_loop(loop: Node, outer: Mapping[Node, Array], test: Test, evaluator: Evaluator) -> _Found | None:
    """The first node of a loop's body that fails a test, one step after the other."""
    assert isinstance(loop.op, Scan)
    body, given = loop.op.body, [np.asarray(outer[x]) for x in loop.operands]
    first = body.carries + body.slices
    axes = [x.type.index(loop.op.label) for x in loop.operands[body.carries : first]]
    carries, steps = given[: body.carries], loop.op.size.evaluate(evaluator.sizes)
    nodes = [n for n in topological(body.outputs) if n.type.dtype != TUPLE]
    for t in reversed(range(steps)) if loop.op.reverse else range(steps):
        slices = [np.take(a, t, axis=k) for a, k in zip(given[body.carries : first], axes, strict=True)]
        slots = dict(zip(body.slots, [*carries, *slices, *given[first:]], strict=True))
        values = {**slots, **dict(zip(nodes, evaluator.run(nodes, slots), strict=True))}
        if found := _first(nodes, values, test, evaluator):
            if found.node in body.slots:  # what was carried here was infinite already
                return _in_loop(loop, outer, np.isfinite, evaluator)
            return _Found(found.node, found.values, (f"{loop.op.label}={t}", *found.steps))
        carries = [values[n] for n in body.next]
    return None


def _is_number(array: Array) -> Array:
    return ~np.isnan(array)


def _bad(array: Array, test: Test) -> bool:
    return array.dtype.kind == "f" and not bool(test(array).all())


# ---------------------------------------------------------------- words
def _count(array: Array) -> str:
    bad = int((~np.isfinite(array)).sum())
    return f"{bad} of {array.size} values that are not finite"


def _told(graph: Graph, found: _Found) -> str:
    node, values = found.node, found.values
    origins = graph.origins.get(node, ())
    places = sorted(((o.span, o.role) for o in origins), key=lambda p: (p[0].source.name.startswith(LIBRARY), p[0].key))
    name = f" ({graph.names[node]})" if node in graph.names else ""
    at = f" at step {', '.join(found.steps)}" if found.steps else ""
    where = f", from {places[0][0]} ({places[0][1]}): {places[0][0].text.strip()[:60]!r}" if places else ""
    return f"{node.op.name}{name} gives {_count(values[node])}{at}{where}{_operands(node.operands, values)}"


def _operands(operands: Sequence[Node], values: Mapping[Node, Array]) -> str:
    given = [f"{np.min(values[x]):g} … {np.max(values[x]):g}" for x in operands if x in values and values[x].size]
    return f"; its operands are in {', '.join(given)}" if given else ""
