"""Gradients through time: what is left at the first step of a derivative by the last state.

    h_t = f(x_t, h_t-1)        |d(v·h_T) / d h_t|  for every t, v random: the product of the Jacobians from T back to t

For a simple network h_t = φ(h_t-1 U + …) it is bounded by (σ(U) max φ')^(T - t), and it goes like (ρ(U) φ')^(T - t),
with the largest singular value σ and the spectral radius ρ (Pascanu, Mikolov, Bengio 2013, section 2.1). A gated state
is carried on by a product with a gate, so the network can learn to keep it.

In: a loop of a graph and a batch. Out: numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.autodiff import reverse
from zhdsl.diagnose.measure import DEVICE, InputStat, declared, moved
from zhdsl.diagnose.sites import kinds_of, place_of, root
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Node, apply, make, rebuild, topological
from zhdsl.ops.loop import Scan, project
from zhdsl.runtime import pipeline
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.source import Span

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Recurrence:
    """A loop at a batch.

    Attributes:
        steps: of the loop, or to where it is truncated.
        kept: norm of the gradient that reaches the first step, over that at the last.
        curve: the same for every step, the last one (1) first.
        gated: whether a carried value is kept by products with gates.
        radius: spectral radius of the recurrent matrix, if the loop has just one.
        norm: its largest singular value.
        declared: where the user's text declares that matrix, if not the library does.
    """

    place: Span | None
    steps: int
    kept: float
    gated: bool
    path: str
    radius: float | None
    norm: float | None
    declared: Span | None
    curve: tuple[float, ...]

    @property
    def each(self) -> float:
        """What one step leaves, on the average."""
        return float(self.kept ** (1 / max(self.steps - 1, 1)))


def recurrence(
    session: Session, graph: Graph, loop: Node, batch: Mapping[str, Array], moves: Mapping[int, InputStat]
) -> Recurrence | None:
    """Follows the gradient through one loop; `None` where no float value is carried, or by one step only.

    Args:
        graph: with inputs that can be moved (`instrument.movable`).
        loop: one of its scans.
        moves: inputs by number that are standardised.
    """
    assert isinstance(loop.op, Scan)
    body = loop.op.body
    carried = [i for i in range(body.carries) if body.slots[i].type.is_float]
    made = _seeded(graph, loop, carried)
    ports = [p for p in graph.of_role("data") if p.name in batch]
    sizes = sizes_of(ports, [batch[p.name].shape for p in ports])
    steps = loop.op.size.evaluate(sizes)
    steps = min(steps, loop.op.truncate) if loop.op.truncate else steps
    if not carried or steps < 2:
        return None
    found = _run(session, made, batch, sizes, moves)
    axis = made.outputs[0].order.index(loop.op.label)
    norms = np.sqrt(sum(_by_step(found["grad", f"c{i}"], axis) for i in carried))
    norms = norms if loop.op.reverse else norms[::-1]  # the last step that is done comes first
    path, radius, norm = _matrix(session, loop)
    curve = tuple(float(n / norms[0]) if norms[0] else 0.0 for n in norms[:steps])
    place = declared(session, path) if path else None
    return Recurrence(place_of(graph.origins, loop), steps, curve[-1], _gated(body), path, radius, norm, place, curve)


def _by_step(gradient: Array, axis: int) -> Any:
    """Sum of the squares at each step."""
    return np.square(np.moveaxis(gradient, axis, 0)).reshape(gradient.shape[axis], -1).sum(axis=1)


# ---------------------------------------------------------------- the graph
def _seeded(graph: Graph, loop: Node, carried: Sequence[int]) -> Graph:
    """The gradients of v · (the last carries) by what is added to the carries of every step."""
    assert isinstance(loop.op, Scan)
    with graph.building() as b:
        probes = {i: apply("input", port=f"probe{i}", type=_over(loop.op, i)) for i in carried}
        seeds = {i: apply("input", port=f"seed{i}", type=loop.op.body.slots[i].type) for i in carried}
        probed = make(replace(loop.op, body=_probed(loop.op.body, carried)), *_operands(loop, list(probes.values())))
        finals = [project(probed, _final(probed, i)) for i in carried]
        grads = reverse.gradients(finals, list(seeds.values()), list(probes.values()))
        outputs = [
            Port(f"c{i}", g, g.type.labels, "grad") for i, g in zip(carried, grads, strict=True) if g is not None
        ]
        nodes = {**{f"probe{i}": n for i, n in probes.items()}, **{f"seed{i}": n for i, n in seeds.items()}}
        ports = [Port(name, n, n.type.labels, "data") for name, n in nodes.items()]
        return close(f"{graph.name}.time", (*graph.inputs, *ports), outputs, b)


def _final(loop: Node, carry: int) -> int:
    assert isinstance(loop.op, Scan)
    return loop.op.final(carry)


def _over(op: Scan, carry: int) -> Any:
    return op.body.slots[carry].type.extended([(op.label, op.size)])


def _operands(loop: Node, probes: Sequence[Node]) -> list[Node]:
    """The operands with the probes behind the slices."""
    assert isinstance(loop.op, Scan)
    at = loop.op.body.carries + loop.op.body.slices
    return [*loop.operands[:at], *probes, *loop.operands[at:]]


def _probed(body: Body, carried: Sequence[int]) -> Body:
    """The body with a slice that is added to each carried value."""
    at = body.carries + body.slices
    types = [slot.type for slot in body.slots]
    slots = new_slots([*types[:at], *(types[i] for i in carried), *types[at:]])
    old = [*slots[:at], *slots[at + len(carried) :]]
    given = dict(zip(body.slots, old, strict=True))
    outputs = list(rebuild(body.outputs, lambda n, operands: None, given))
    for k, i in enumerate(carried):
        outputs[i] = outputs[i] + slots[at + k]
    nexts, emits = outputs[: body.carries], outputs[body.carries :]
    return Body(body.carries, body.slices + len(carried), slots, tuple(nexts), tuple(emits))


def _run(
    session: Session,
    made: Graph,
    batch: Mapping[str, Array],
    sizes: Mapping[str, int],
    moves: Mapping[int, InputStat],
) -> dict[Any, Array]:
    draw = np.random.default_rng(session.seed)
    given: dict[tuple[str, str], Array] = {}
    for port in made.of_role("data"):
        if port.name in batch:
            given["data", port.name] = batch[port.name]
        elif port.name.startswith("seed"):
            shape = port.node.type.shape(sizes, port.order)
            given["data", port.name] = draw.normal(size=shape).astype(session.dtype)
        else:
            given["data", port.name] = moved(port, sizes, moves, session.dtype)
    given |= session.counters(made, sizes) | session.fresh(made, sizes)
    with np.errstate(all="ignore"):
        return pipeline.compile_graph(made, DEVICE, session.dtype).run(given)


# ---------------------------------------------------------------- what the body is like
def _gated(body: Body) -> bool:
    """Whether some carried value reaches its next one by products with gates and sums alone."""
    sigmoids = {node for node, kind in kinds_of(body.nodes).items() if kind == "sigmoid"}
    return any(
        _through_gate(next_, slot, sigmoids, False)
        for slot, next_ in zip(body.slots[: body.carries], body.next, strict=True)
    )


def _through_gate(node: Node, slot: Node, sigmoids: set[Node], gate: bool) -> bool:
    if node is slot:
        return gate
    if node.op.name in ("add", "sub"):
        return any(_through_gate(x, slot, sigmoids, gate) for x in node.operands)
    if node.op.name == "where":
        return any(_through_gate(x, slot, sigmoids, gate) for x in node.operands[1:] if x is not slot)
    if node.op.name == "mul":
        a, b = node.operands
        return any(
            _through_gate(x, slot, sigmoids, gate or any(n in sigmoids for n in topological([y])))
            for x, y in ((a, b), (b, a))
        )
    return False


def _matrix(session: Session, loop: Node) -> tuple[str, float | None, float | None]:
    """The recurrent matrix of a loop that has just one: its path, spectral radius and largest singular value."""
    found = list(dict.fromkeys(_recurrent(loop)))
    if len(found) != 1:
        return "", None, None
    (path,) = found
    matrix = session.arrays["param", path]
    square = matrix.shape[0] == matrix.shape[1]
    radius = float(max(abs(np.linalg.eigvals(matrix)))) if square else None
    return path, radius, float(np.linalg.norm(matrix, 2))


def _recurrent(loop: Node) -> Iterator[str]:
    """Parameters with two axes by which a carried value is multiplied."""
    assert isinstance(loop.op, Scan)
    body = loop.op.body
    outer = {slot: root(x) for slot, x in zip(body.slots, loop.operands, strict=True)}
    carries = set(body.slots[: body.carries])
    for node in body.nodes:
        behind = [root(x) for x in node.operands] if node.op.name == "contract" else []
        params = [outer[x] for x in behind if x in outer and outer[x].op.name == "param"]
        if any(carries & set(topological([x])) for x in behind):
            yield from (str(getattr(p.op, "path", "")) for p in params if len(p.type.axes) == 2)
