"""Layouts: in which order the axes of every value shall lie in memory, chosen for the whole graph.

Two walks. Downstream, `natural` gives every node the order that its op would choose by itself: elementwise results
follow the operand with most labels, contractions are batch + larger operand's + smaller operand's labels, so that a
library product writes them without a copy, windows keep positions and put taps last. Upstream, `asks` tells what an
op would like of its operands: neighbouring axes for a merge, summed axes in the other operand's order, the order of
the world outside for a result. Ops that are free to choose (contract, gather, uniform) grant the wish if they can.

The orders are advice: what a value's memory really looks like is known by its view when the steps are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, topological
from zhdsl.ir.op import Op
from zhdsl.ops import index, movement, random, window
from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Elementwise, Index
from zhdsl.ops.loop import Project, Scan
from zhdsl.ops.source import Iota
from zhdsl.schedule.views import sample

Order = tuple[str, ...]
FREE = ("scatter", "uniform")  # ops that have no reason to prefer an order


@dataclass
class Layout:
    """Orders of nodes; of loops' bodies too.

    Attributes:
        natural: what the op itself would choose.
        wishes: what users of the value would like; where they would not, there is no entry.
        repeated: labels along which a value is merely repeated (`expand`).
    """

    natural: dict[Node, Order] = field(default_factory=dict)
    wishes: dict[Node, Order] = field(default_factory=dict)
    repeated: dict[Node, frozenset[str]] = field(default_factory=dict)

    def order(self, node: Node) -> Order:
        """The wish if there is one, else the natural order."""
        return self.wishes.get(node, self.natural.get(node, node.type.labels))


def choose(graph: Graph, outputs: Iterable[Node]) -> Layout:
    """The layout of everything that the outputs need."""
    layout = Layout()
    given = {port.node: port.order for port in graph.inputs}
    wanted = {port.node: port.order for port in reversed(graph.outputs) if len(port.order) > 1}
    _walk(layout, topological(outputs), given, wanted)
    return layout


def _walk(layout: Layout, nodes: Sequence[Node], given: Mapping[Node, Order], wanted: Mapping[Node, Order]) -> None:
    for node in nodes:
        repeated = [layout.repeated[x] for x in node.operands]
        layout.repeated[node] = _repeated(node, repeated)
        layout.natural[node] = given[node] if node in given else natural(node.op, node, layout)
    layout.wishes.update({n: o for n, o in wanted.items() if n in layout.natural})
    for node in reversed(nodes):
        for operand, wish in zip(node.operands, asks(node.op, node, layout), strict=False):
            if wish is not None and len(wish) > 1:
                layout.wishes.setdefault(operand, wish)


def _repeated(node: Node, operands: Sequence[frozenset[str]]) -> frozenset[str]:
    """Labels that only repeat; cautious: what is not known to repeat varies."""
    op = node.op
    if isinstance(op, movement.Expand):
        return operands[0] | {label for label, _ in op.axes}
    if isinstance(op, movement.Relabel):
        names = dict(op.names)
        return frozenset(names.get(n, n) for n in operands[0])
    if isinstance(op, Elementwise):
        varying = {n for x, r in zip(node.operands, operands, strict=True) for n in x.type.labels if n not in r}
        return frozenset(node.type.labels) - varying
    return frozenset()


# ---------------------------------------------------------------- downstream: what the op would choose
@singledispatch
def natural(op: Op, node: Node, layout: Layout) -> Order:
    """The order of the result, from those of the operands. Ops without a rule keep the first operand's order."""
    return kept(layout.natural[node.operands[0]], node) if node.operands else node.type.labels


def kept(order: Iterable[str], node: Node) -> Order:
    """What the result has of an order, then the result's other labels."""
    first = [n for n in dict.fromkeys(order) if n in node.type.sizes]
    return (*first, *(n for n in node.type.labels if n not in first))


@natural.register
def _(op: Elementwise, node: Node, layout: Layout) -> Order:
    leader = max(node.operands, key=lambda x: (len(x.type.labels) - len(layout.repeated[x]), x.op.name not in FREE))
    rest = (n for x in node.operands for n in layout.natural[x])
    return kept((*layout.natural[leader], *rest), node)


@natural.register
def _(op: Contract, node: Node, layout: Layout) -> Order:
    a, b = node.operands
    counts = [x.type.count() for x in (a, b)]  # data, whose sizes are not all known, lead; weights follow
    weights = [(bool(n.symbols), sample(n)) for n in counts]
    big, small = (a, b) if weights[0] >= weights[1] else (b, a)
    both = [n for n in layout.natural[big] if n in small.type.sizes]
    rest = [n for n in layout.natural[big] if n not in small.type.sizes]
    return kept((*both, *rest, *layout.natural[small]), node)


@natural.register
def _(op: movement.Relabel, node: Node, layout: Layout) -> Order:
    names = dict(op.names)
    return tuple(names.get(n, n) for n in layout.natural[node.operands[0]])


@natural.register
def _(op: movement.Split, node: Node, layout: Layout) -> Order:
    return _exchanged(layout.natural[node.operands[0]], (op.label,), tuple(n for n, _ in op.parts))


@natural.register
def _(op: movement.Merge, node: Node, layout: Layout) -> Order:
    return _exchanged(layout.natural[node.operands[0]], op.labels, (op.label,))


@natural.register
def _(op: index.Gather, node: Node, layout: Layout) -> Order:
    new = tuple(n for i in node.operands[1:] for n in layout.natural[i])
    return kept(_exchanged(layout.natural[node.operands[0]], op.labels, new), node)


@natural.register
def _(op: random.Uniform, node: Node, layout: Layout) -> Order:
    counters = (n for x in node.operands for n in layout.natural[x])
    return tuple(dict.fromkeys((*counters, *(n for n, _ in op.axes))))


@natural.register
def _(op: Iota, node: Node, layout: Layout) -> Order:
    return (op.label,)


@natural.register
def _(op: Scan, node: Node, layout: Layout) -> Order:
    body = op.body
    given = {}
    for slot, operand in zip(body.slots, node.operands, strict=True):
        given[slot] = kept(layout.natural[operand], slot)
    for slot, operand in zip(body.slots[: body.carries], node.operands, strict=False):
        if layout.repeated[operand]:
            given.pop(slot)  # zeros to begin with: the step decides
    wanted = {new: given[slot] for slot, new in zip(body.slots, body.next, strict=False) if slot in given}
    _walk(layout, body.nodes, given, wanted)
    return ()


@natural.register
def _(op: Project, node: Node, layout: Layout) -> Order:
    scan = node.operands[0].op
    assert isinstance(scan, Scan)
    body, i = scan.body, op.index
    inner = (*body.emits, *body.slots[: body.carries], *body.next)[i]
    return kept((scan.label, *layout.natural.get(inner, ())), node)


def _exchanged(order: Order, old: Sequence[str], new: Sequence[str]) -> Order:
    """`new` at the place of the first of `old`."""
    at = next((i for i, n in enumerate(order) if n in old), len(order))
    return tuple(dict.fromkeys((*(n for n in order[:at]), *new, *(n for n in order[at:] if n not in old))))


# ---------------------------------------------------------------- upstream: what the op asks of its operands
@singledispatch
def asks(op: Op, node: Node, layout: Layout) -> Sequence[Order | None]:
    """Wishes, one per operand. Ops without a rule pass theirs on as far as the operand has the labels."""
    wish = layout.wishes.get(node)
    return [None if wish is None else passed(wish, layout.natural[x]) for x in node.operands]


def passed(wish: Order, natural: Order) -> Order:
    """The wish as far as an operand has its labels; its other labels keep their places before those that follow."""
    order = [n for n in wish if n in natural]
    for at, label in reversed(list(enumerate(natural))):
        if label not in wish:
            after = next((n for n in natural[at + 1 :] if n in order), None)
            order.insert(len(order) if after is None else order.index(after), label)
    return tuple(order)


@asks.register
def _(op: Elementwise, node: Node, layout: Layout) -> Sequence[Order | None]:
    wish = layout.order(node)
    return [kept(wish, x) for x in node.operands]


@asks.register
def _(op: Contract, node: Node, layout: Layout) -> Sequence[Order | None]:
    a, b = node.operands
    return [_neighbours(layout, a, b, op.labels), _neighbours(layout, b, a, op.labels)]


def _neighbours(layout: Layout, x: Node, other: Node, labels: Sequence[str]) -> Order | None:
    """The order with the summed labels together as the other operand has them; `None` if it need not change.

    Where both have them together, but in different orders, who can follow is the one that is no input.
    """
    order, summed = layout.natural[x], tuple(n for n in layout.natural[other] if n in labels)
    own = tuple(n for n in order if n in labels)
    if len(labels) < 2 or (own == summed and _together(order, own)):
        return None
    if _together(order, own) and other.op.family != "source":
        return None
    rest = [n for n in order if n not in labels]
    before = len([n for n in order[: order.index(own[0])] if n in rest])
    if not _together(order, own):  # in front if one of them is in front, so that two products ask for the same
        before = 0 if order[0] in labels else len(rest)
    return (*rest[:before], *summed, *rest[before:])


def _together(order: Order, labels: Sequence[str]) -> bool:
    at = order.index(labels[0])
    return tuple(order[at : at + len(labels)]) == tuple(labels)


@asks.register
def _(op: movement.Relabel, node: Node, layout: Layout) -> Sequence[Order | None]:
    back = {new: old for old, new in op.names}
    wish = layout.wishes.get(node)
    return [None if wish is None else tuple(back.get(n, n) for n in wish)]


@asks.register
def _(op: movement.Merge, node: Node, layout: Layout) -> Sequence[Order | None]:
    wish = layout.wishes.get(node)
    order = layout.natural[node.operands[0]]
    if wish is not None:
        return [_exchanged(wish, (op.label,), op.labels)]
    return [None if not op.labels or _together(order, op.labels) else _exchanged(order, op.labels, op.labels)]


@asks.register
def _(op: movement.Split, node: Node, layout: Layout) -> Sequence[Order | None]:
    wish = layout.wishes.get(node)
    return [None if wish is None else kept(_exchanged(wish, [n for n, _ in op.parts], (op.label,)), node.operands[0])]


@asks.register
def _(op: window.Fold, node: Node, layout: Layout) -> Sequence[Order | None]:
    """Taps just outside of the innermost label, or outside of all positions: then every tap adds whole rows."""
    order = layout.order(node)
    at = order.index(op.label) if order[-1] == op.label else len(order) - 1
    return [(*order[:at], op.tap, *order[at:])]


@asks.register
def _(op: Index, node: Node, layout: Layout) -> Sequence[Order | None]:
    return [None] * len(node.operands)


@asks.register
def _(op: Scan, node: Node, layout: Layout) -> Sequence[Order | None]:
    return [None] * len(node.operands)


@asks.register
def _(op: Project, node: Node, layout: Layout) -> Sequence[Order | None]:
    return [None]
