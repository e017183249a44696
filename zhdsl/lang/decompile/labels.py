"""Axes renamed so that relabels vanish: each argument takes the labels under which the program uses it.

    input param dense.W: [D=2, N=5]
    %2 = relabel[D as F](%1)                         input param dense.W: [F=2, N=5]
    %3 = contract[F](%0, %2)                         %3 = contract[F](%0, %1)

Every label of every node belongs to a class of labels that must agree. A relabel vanishes where the classes on its two
sides can be one: no node, and no result of a loop, has both. Classes are named after the data's axes where they can be,
else after those of parameters, else after any of their labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import NOWHERE, Node, apply, builder, make, topological
from zhdsl.ir.types import Type
from zhdsl.lang.scope import free_label
from zhdsl.ops.loop import Scan, project

Place = tuple[Any, str]  # a node (or what stands for a loop's result), and one of its labels


def absorb_relabels(graph: Graph) -> Graph:
    """The graph with as few relabels as there can be; its ports have the same axes in the same order, renamed."""
    classes = Classes()
    nodes = topological(p.node for p in (*graph.inputs, *graph.outputs))
    _Ties(classes).all(nodes)
    _alike(graph, classes)
    for port in (*filter(_is_users, graph.of_role("data")), *graph.results("result", "loss", "metric")):
        for label in port.order:
            classes.pin((port.node, label))
    for x, old, y, new in classes.wishes:
        classes.unite_if_free((x, old), (y, new))
    names = _named(graph, classes)
    with graph.building() as b:
        renamed = _Renaming(classes, names).nodes(nodes)
        ports = [_port(p, renamed, classes, names) for p in (*graph.inputs, *graph.outputs)]
        return close(graph.name, ports[: len(graph.inputs)], ports[len(graph.inputs) :], b)


def _port(port: Port, new: Mapping[Node, Node], classes: Classes, names: Mapping[Place, str]) -> Port:
    order = tuple(names[classes.of((port.node, label))] for label in port.order)
    return replace(port, node=new[port.node], order=order)


def _alike(graph: Graph, classes: Classes) -> None:
    """A gradient or a direction (`v2.W`) has the axes of its parameter, a new state those of the old one, if it can."""
    states = {p.name: p for p in graph.of_role("state")}
    inputs = {p.name: p for p in graph.inputs if p.role != "state"}
    pairs = [(p, states.get(p.name)) for p in graph.results("state")]
    pairs += [(p, inputs.get(p.name)) for p in graph.results("grad", "param")]
    pairs += [(p, inputs.get(p.name.partition(".")[2])) for p in graph.of_role("data") if not _is_users(p)]
    for p, like in pairs:
        if like is not None and len(like.order) == len(p.order):
            classes.wishes[:0] = [(like.node, a, p.node, c) for a, c in zip(like.order, p.order, strict=True)]


def _is_users(port: Port) -> bool:
    """Whether the user named the input: a path belongs to a parameter."""
    return "." not in port.name


# ---------------------------------------------------------------- classes
@dataclass
class Classes:
    """Sets of places that have one label, and wishes for more of them to be one."""

    parents: dict[Place, Place] = field(default_factory=dict)
    members: dict[Place, list[Place]] = field(default_factory=dict)
    wishes: list[tuple[Any, str, Any, str]] = field(default_factory=list)
    taps: dict[Place, Place] = field(default_factory=dict)  # of windows: the positions they belong to
    pins: dict[Place, str] = field(default_factory=dict)  # of classes: the label that the user sees at a port
    labels: dict[Any, set[str]] = field(default_factory=dict)  # of owners

    def of(self, place: Place) -> Place:
        """The place that stands for the class."""
        if place not in self.parents:
            self.parents[place], self.members[place] = place, [place]
            self.labels.setdefault(place[0], set()).add(place[1])
        while self.parents[place] != place:
            self.parents[place] = self.parents[self.parents[place]]
            place = self.parents[place]
        return place

    def unite(self, a: Place, b: Place) -> None:
        a, b = self.of(a), self.of(b)
        if a == b:
            return
        if len(self.members[a]) < len(self.members[b]):
            a, b = b, a
        self.parents[b] = a
        self.members[a] += self.members.pop(b)
        if b in self.pins:
            self.pins.setdefault(a, self.pins.pop(b))

    def pin(self, place: Place) -> None:
        """Keep the label of a place if that can be."""
        self.pins.setdefault(self.of(place), place[1])

    def unite_if_free(self, a: Place, b: Place) -> None:
        """One class of two, unless something has labels of both, or a pinned label would have to change."""
        a, b = self.of(a), self.of(b)
        owners = [{owner for owner, _ in self.members[x]} for x in (a, b)]
        if a == b or not owners[0].isdisjoint(owners[1]):
            return
        pins = {self.pins[x] for x in (a, b) if x in self.pins}
        beside = {self.of((o, label)) for o in owners[0] | owners[1] for label in self.labels[o]} - {a, b}
        if len(pins) < 2 and pins.isdisjoint(self.pins[x] for x in beside if x in self.pins):
            self.unite(a, b)


class _Ties:
    """What the ops say of labels: which are the same."""

    def __init__(self, classes: Classes):
        self.classes = classes

    def all(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            for label in node.type.labels:
                self.classes.of((node, label))
            if isinstance(node.op, Scan):
                self._scan(node, node.op)
            elif node.op.name == "project":
                self._project(node)
            else:
                TIES.get(node.op.name, _same)(self.classes, node)

    def _same(self, a: Node, b: Node, but: Sequence[str] = ()) -> None:
        for label in a.type.labels:
            if label not in but:
                self.classes.unite((a, label), (b, label))

    def _scan(self, node: Node, op: Scan) -> None:
        body, nc = op.body, op.body.carries
        first = nc + body.slices
        self.classes.of((node, op.label))
        self.all(topological((*body.slots, *body.outputs)))
        for slot, x in zip(body.slots, node.operands, strict=True):
            self._same(slot, x)
        for slot, after in zip(body.slots, body.next, strict=False):
            self._same(slot, after)
        for x in node.operands[nc:first]:
            self.classes.unite((x, op.label), (node, op.label))
        for i, inside in enumerate((*body.emits, *body.slots[:nc])):  # stacked results, read or not
            self.classes.unite(((node, i), op.label), (node, op.label))
            for label in inside.type.labels:
                self.classes.unite(((node, i), label), (inside, label))

    def _project(self, node: Node) -> None:
        (loop,) = node.operands
        assert isinstance(loop.op, Scan)
        body, i = loop.op.body, getattr(node.op, "index", 0)
        results = (*body.emits, *body.slots[: body.carries], *body.slots[: body.carries])
        self._same(results[i], node)
        if i < len(body.emits) + body.carries:
            self.classes.unite((node, loop.op.label), (loop, loop.op.label))


def _same(classes: Classes, node: Node, but: Sequence[str] = ()) -> None:
    """Labels of operands and result that are called the same are the same, but those."""
    owners = (*node.operands, node)
    for i, x in enumerate(owners):
        for y in owners[:i]:
            for label in x.type.labels:
                if label in y.type.sizes and label not in but:
                    classes.unite((x, label), (y, label))


def _relabel(classes: Classes, node: Node) -> None:
    (x,) = node.operands
    names = dict(getattr(node.op, "names", ()))
    for label in x.type.labels:
        if label in names:
            classes.wishes.append((x, label, node, names[label]))
        else:
            classes.unite((x, label), (node, label))


def _replaced(classes: Classes, node: Node) -> None:
    """What split, merge and topk take away is not what they make, even under one name."""
    op: Any = node.op
    gone = op.labels if node.op.name == "merge" else (op.label,)
    _same(classes, node, but=gone)


def _gather(classes: Classes, node: Node) -> None:
    labels: tuple[str, ...] = getattr(node.op, "labels", ())
    x, *indices = node.operands
    _indexed(classes, (*indices, node), x, labels)


def _scatter(classes: Classes, node: Node) -> None:
    labels: tuple[str, ...] = getattr(node.op, "labels", ())
    g, *indices = node.operands
    _indexed(classes, (*indices, g), node, labels)


def _indexed(classes: Classes, owners: Sequence[Node], table: Node, labels: Sequence[str]) -> None:
    """Indices and what they pick agree; the table's indexed labels are its own."""
    for i, x in enumerate(owners):
        for y in (*owners[:i], table):
            for label in x.type.labels:
                if label in y.type.sizes and not (y is table and label in labels):
                    classes.unite((x, label), (y, label))


def _window(classes: Classes, node: Node) -> None:
    """Taps are called after the positions they stand around."""
    op: Any = node.op
    inside = node if op.name == "window" else node.operands[0]
    classes.taps[inside, op.tap] = inside, op.label
    _same(classes, node)


TIES: dict[str, Callable[[Classes, Node], None]] = {
    **dict.fromkeys(("window", "fold"), _window),
    "relabel": _relabel,
    **dict.fromkeys(("split", "merge", "topk"), _replaced),
    "gather": _gather,
    "scatter": _scatter,
}


# ---------------------------------------------------------------- names of classes
def _named(graph: Graph, classes: Classes) -> dict[Place, str]:
    """A label for every class; classes that meet somewhere have different ones."""
    meets: dict[Any, set[Place]] = {}
    for root, members in classes.members.items():
        for owner, _ in members:
            meets.setdefault(owner, set()).add(root)
    names: dict[Place, str] = {}
    taps = {classes.of(tap): classes.of(label) for tap, label in classes.taps.items()}
    for root in _by_importance(graph, classes):
        others = {other for owner, _ in classes.members[root] for other in meets[owner]}
        taken = {names[other] for other in others if other in names}
        wanted = _wanted(classes, root)
        if taps.get(root) in names:
            wanted.insert(0, f"{names[taps[root]]}'")
        names[root] = next((label for label in wanted if label not in taken), None) or free_label(wanted[0], taken)
    return names


def _by_importance(graph: Graph, classes: Classes) -> Iterator[Place]:
    """The pinned classes, then those of the parameters' axes, then all others."""
    first = [classes.of((p.node, label)) for p in graph.inputs for label in p.order]
    yield from dict.fromkeys([*map(classes.of, classes.pins), *first, *classes.members])


def _wanted(classes: Classes, root: Place) -> list[str]:
    """Labels of a class, the best first: what is pinned, then the most frequent; last those made up on the way."""
    often = [label for label, _ in Counter(label for _, label in classes.members[root]).most_common()]
    pinned = [classes.pins[root]] if root in classes.pins else []
    return sorted(dict.fromkeys([*pinned, *often]), key=lambda label: "_" in label)


# ---------------------------------------------------------------- the same ops under other labels
class _Renaming:
    def __init__(self, classes: Classes, names: Mapping[Place, str]):
        self.classes, self.names = classes, names

    def name(self, owner: Any, label: str) -> str:
        return self.names[self.classes.of((owner, label))]

    def type(self, node: Node) -> Type:
        return node.type.renamed({label: self.name(node, label) for label in node.type.labels})

    def nodes(self, nodes: Sequence[Node], given: Mapping[Node, Node] | None = None) -> dict[Node, Node]:
        """Every node under its new labels."""
        b, new = builder(), dict(given or {})
        for node in nodes:
            if node in new:
                continue
            origins, name = b.origins.get(node, NOWHERE), b.names.get(node)
            with b.at(origins):
                new[node] = self.node(node, [new[x] for x in node.operands])
            if node.op.name == "relabel" and name is not None and not name.startswith("d_"):
                b.names.pop(new[node], None)  # the name outside of a call goes before that inside
            b.note(new[node], origins, name)
        return new

    def node(self, node: Node, operands: Sequence[Node]) -> Node:
        if node.op.name == "relabel":
            return self._relabel(node, operands[0])
        if node.op.name == "project":
            return project(operands[0], getattr(node.op, "index", 0))
        if isinstance(node.op, Scan):
            return make(
                replace(node.op, label=self.name(node, node.op.label), body=self._body(node.op.body)), *operands
            )
        rule = FIELDS.get(node.op.name)
        return make(replace(node.op, **rule(self, node)) if rule else node.op, *operands)

    def _relabel(self, node: Node, x: Node) -> Node:
        names = dict(getattr(node.op, "names", ()))
        (old,) = node.operands
        pairs = [(self.name(old, a), self.name(node, names.get(a, a))) for a in old.type.labels]
        changed = tuple((a, c) for a, c in pairs if a != c)
        return apply("relabel", x, names=changed) if changed else x

    def _body(self, body: Body) -> Body:
        b = builder()
        slots = tuple(make(replace(s.op, type=self.type(s))) for s in body.slots)  # type: ignore[call-arg]  # slots have one
        for old, new in zip(body.slots, slots, strict=True):
            b.note(new, NOWHERE, b.names.get(old))
        made = self.nodes(body.nodes, dict(zip(body.slots, slots, strict=True)))
        return Body(
            body.carries, body.slices, slots, tuple(made[n] for n in body.next), tuple(made[n] for n in body.emits)
        )


Fields = Callable[[_Renaming, Node], dict[str, Any]]


def _type(r: _Renaming, node: Node) -> dict[str, Any]:
    return {"type": r.type(node)}


def _label_of(*names: str, operand: bool) -> Fields:
    """Fields that hold one label: of the first operand, or of the result."""

    def rule(r: _Renaming, node: Node) -> dict[str, Any]:
        owner = node.operands[0] if operand else node
        return {name: r.name(owner, getattr(node.op, name)) for name in names}

    return rule


def _labels(r: _Renaming, node: Node) -> dict[str, Any]:
    labels: tuple[str, ...] = getattr(node.op, "labels", ())
    return {"labels": tuple(r.name(node.operands[0], label) for label in labels)}


def _axes(r: _Renaming, node: Node) -> dict[str, Any]:
    axes = getattr(node.op, "axes", ())
    return {"axes": tuple((r.name(node, label), n) for label, n in axes)}


def _split(r: _Renaming, node: Node) -> dict[str, Any]:
    op: Any = node.op
    parts = tuple((r.name(node, label), n) for label, n in op.parts)
    return {"label": r.name(node.operands[0], op.label), "parts": parts}


def _merge(r: _Renaming, node: Node) -> dict[str, Any]:
    op: Any = node.op
    return {**_labels(r, node), "label": r.name(node, op.label)}


def _scatter_fields(r: _Renaming, node: Node) -> dict[str, Any]:
    op: Any = node.op
    return {"labels": tuple(r.name(node, label) for label in op.labels), "type": r.type(node)}


def _topk(r: _Renaming, node: Node) -> dict[str, Any]:
    op: Any = node.op
    return {"label": r.name(node.operands[0], op.label), "new": r.name(node, op.new)}


FIELDS: dict[str, Fields] = {
    **dict.fromkeys(("input", "param", "state"), _type),
    **dict.fromkeys(("sum", "max", "argmax", "contract", "gather"), _labels),
    **dict.fromkeys(("expand", "uniform"), _axes),
    **dict.fromkeys(("slice", "pad", "flip", "drop"), _label_of("label", operand=True)),
    **dict.fromkeys(("concat", "iota"), _label_of("label", operand=False)),
    "window": _label_of("label", "tap", operand=False),
    "fold": _label_of("label", "tap", operand=True),
    "split": _split,
    "merge": _merge,
    "scatter": _scatter_fields,
    "topk": _topk,
}
