"""Random graphs over all families, with updates of parameters: what buffers, fusion and loops are tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.loop import project

SIZES = {"B": 3, "T": 4}
AXES = {"B": Size.of("B"), "T": Size.of("T"), "C": Size.of(2), "D": Size.of(3)}


class Maker:
    """Makes one graph; every rule picks operands from what there is and adds a node, or gives up."""

    def __init__(self, seed: int, steps: int):
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.values: dict[Node, np.ndarray] = {}
        with self.builder:
            self.params = [self.source("param", f"w{i}") for i in range(4)]
            self.pool = [*self.params, *(self.source("input", f"x{i}") for i in range(3))]
            self.index = apply("input", port="i", type=Type("i32", (("B", AXES["B"]),)))
            self.values[self.index] = self.rng.integers(-1, 5, SIZES["B"])
            made = 0
            while made < steps:
                node = self.pick(RULES)(self)
                if node is not None and node.type.is_float and len(node.type.labels) <= 4:
                    self.pool.append(apply("tanh", node) if self.rng.random() < 0.4 else node)
                    made += 1
            self.graph = self.closed()

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def recent(self) -> Node:
        """A value, late ones more often."""
        return self.pool[int(len(self.pool) * self.rng.random() ** 0.5)]

    def recent_scalar(self) -> Node:
        x = self.recent()
        return apply("tanh", apply("sum", x, labels=x.type.labels))

    def source(self, kind: str, name: str) -> Node:
        labels = [n for n in AXES if self.rng.random() < 0.5] or ["B"]
        type_ = Type("float", tuple((n, AXES[n]) for n in labels))
        node = apply(kind, type=type_, **{"path" if kind == "param" else "port": name})
        self.values[node] = self.rng.uniform(-1, 1, type_.shape(SIZES))
        return node

    def closed(self) -> Graph:
        names = [n for n in self.values if n.op.name != "param"]
        ins = [Port(n.op.port, n, self.order(n), "data") for n in names]
        ins += [Port(n.op.path, n, self.order(n), "param") for n in self.params]
        outs = [Port(f"y{i}", n, self.order(n), "result") for i, n in enumerate(self.pool[-6:])]
        outs += [Port("old", self.params[0], self.order(self.params[0]), "result")]
        orders = {p.node: p.order for p in ins}
        for old in self.params:
            new = [n for n in self.pool if n.type == old.type and n is not old]
            if new and self.rng.random() < 0.8:
                updated = self.pick(new) if self.rng.random() < 0.3 else old - 0.1 * self.pick(new)
                outs.append(Port(old.op.path, updated, orders[old], "param"))
        return close("random", ins, outs, self.builder)

    def order(self, node: Node) -> tuple[str, ...]:
        return tuple(self.rng.permutation(node.type.labels).tolist())


# ---------------------------------------------------------------- rules
def by_name(m: Maker) -> Node | None:
    """An elementwise op on operands whose axes meet."""
    x, y = m.recent(), m.recent()
    if not agree(x, y):
        return None
    kind = str(m.pick(["add", "sub", "mul", "where", "div", "eq"]))
    if kind == "where":
        return apply("where", apply("lt", x, y), x * y, m.pick([x, y, 0.0 * x]))
    if kind == "eq":
        return apply("where", apply("not", apply("le", x, y)), apply("const", value=0.0, dtype="float"), x)
    return x / (1.5 + y * y) if kind == "div" else apply(kind, x, y)


def agree(*nodes: Node) -> bool:
    sizes: dict[str, Size] = {}
    return all(sizes.setdefault(n, s) == s for x in nodes for n, s in x.type.axes)


def unary(m: Maker) -> Node | None:
    x = m.recent()
    name = str(m.pick(["neg", "sin", "cos", "tanh", "stop", "ipow"]))
    return apply(name, x, exponent=int(m.rng.integers(0, 5))) if name == "ipow" else apply(name, x)


def reduced(m: Maker) -> Node | None:
    x = m.recent()
    labels = tuple(n for n in x.type.labels if m.rng.random() < 0.5)
    return apply(str(m.pick(["sum", "max"])), x, labels=labels)


def contracted(m: Maker) -> Node | None:
    x, y = m.recent(), m.recent()
    if not agree(x, y):
        return None
    shared = [n for n in x.type.labels if n in y.type.sizes]
    labels = tuple(n for n in shared if m.rng.random() < 0.7)
    return 0.5 * apply("contract", x, y, labels=labels)


def renamed(m: Maker) -> Node | None:
    x = m.recent()
    by_size = {("B", Size.of("B")): "B'", ("T", Size.of("T")): "T'", ("C", Size.of(2)): "C'", ("D", Size.of(3)): "D'"}
    names = [(n, by_size[n, s]) for n, s in x.type.axes if (n, s) in by_size and by_size[n, s] not in x.type.sizes]
    back = [(n, n[0]) for n, _ in x.type.axes if n.endswith("'") and n[0] not in x.type.sizes]
    names = [pair for pair in (*names, *back) if m.rng.random() < 0.5]
    new = [names_new for _, names_new in names]
    return apply("relabel", x, names=tuple(names)) if names and len(set(new)) == len(new) else None


def expanded(m: Maker) -> Node | None:
    x = m.recent()
    axes = tuple((n, s) for n, s in AXES.items() if n not in x.type.sizes and m.rng.random() < 0.4)
    return apply("expand", x, axes=axes) if axes else None


def moved(m: Maker) -> Node | None:
    """Slice and pad back, flip, or concat of halves, along one label."""
    x = m.recent()
    if not x.type.labels:
        return None
    label = str(m.pick(list(x.type.labels)))
    size = x.type.sizes[label]
    kind = str(m.pick(["flip", "shift", "double", "swap"]))
    if kind == "flip":
        return apply("flip", x, label=label)
    if kind == "shift":
        part = apply("slice", x, label=label, start=1, size=size - 1)
        low = m.pick([0, 1])
        return apply("pad", m.pick([part, part * 2.0]), label=label, low=low, high=1 - low)
    if kind == "double":
        twice = apply("concat", x, m.pick([x, apply("neg", x)]), label=label)
        return apply("slice", twice, label=label, start=1, size=size)
    head, tail = (apply("slice", x, label=label, start=a, size=b) for a, b in ((0, 1), (1, size - 1)))
    return apply("concat", tail, head, label=label)


def merged(m: Maker) -> Node | None:
    """Two labels as one, something done to it, and back."""
    x = m.recent()
    if len(x.type.labels) < 2:
        return None
    labels = tuple(m.rng.permutation(x.type.labels).tolist())[:2]
    one = apply("merge", x, labels=labels, label="M")
    done = m.pick([one, apply("flip", one, label="M"), one * 0.5])
    return apply("split", done, label="M", parts=tuple((n, x.type.sizes[n]) for n in labels))


def windowed(m: Maker) -> Node | None:
    """A convolution or a pool along one or two labels, or a fold of a product."""
    x = m.recent()
    free = [n for n in x.type.labels if n + "w" not in x.type.sizes and len(n) == 1]
    if not free or len(x.type.labels) > 3:
        return None
    seen, taps = x, []
    for label in m.rng.permutation(free).tolist()[: int(m.rng.integers(1, 3))]:
        taps.append(label + "w")
        size = x.type.sizes[label]
        low = int(m.rng.integers(0, 2))
        places = {"label": label, "tap": taps[-1], "taps": 2, "stride": 1, "dilation": 1, "low": low}
        seen = apply("window", seen, count=size - 1 + low, **places)
        if low == 0:
            seen = apply("pad", seen, label=label, low=1, high=0)
    if m.rng.random() < 0.4:
        return apply("max", seen, labels=tuple(taps))
    weight = apply("expand", apply("tanh", m.recent_scalar()), axes=tuple((n, Size.of(2)) for n in taps))
    weight = weight + sum_of(taps)
    if m.rng.random() < 0.5:
        return apply("contract", seen, weight, labels=tuple(taps))
    spread = apply("contract", x, weight, labels=())
    for tap in taps:
        label = tap[0]
        spread = apply("fold", spread, label=label, tap=tap, stride=1, dilation=1, low=1, size=x.type.sizes[label])
    return spread


def sum_of(taps: list[str]) -> Node:
    """0.1 * the sum of the taps' numbers: weights that differ."""
    total: Node | None = None
    for n in taps:
        one = 0.1 * apply("cast", apply("iota", label=n, size=Size.of(2)), dtype="float")
        total = one if total is None else total + 2.0 * one
    assert total is not None
    return total


def picked(m: Maker) -> Node | None:
    """Gather by an index, or scatter of one."""
    x = m.recent()
    label = next((n for n in ("T", "D") if n in x.type.sizes), None)
    if label is None:
        return None
    if m.rng.random() < 0.5 or "B" not in x.type.sizes:
        return apply("gather", x, m.index, labels=(label,))
    type_ = x.type.without((label,)).extended(((label, x.type.sizes[label]),))
    g = apply("sum", x, labels=(label,))
    return apply("scatter", g, m.index, labels=(label,), type=type_)


def scanned(m: Maker) -> Node | None:
    """A recurrence over T: carries, a slice, something captured."""
    xs = [x for x in m.pool if "T" in x.type.sizes and x.type.sizes["T"] == Size.of("T") and len(x.type.labels) < 4]
    if not xs:
        return None
    x = m.pick(xs)
    inner = x.type.without(["T"])
    start = apply("expand", apply("const", value=0.1, dtype="float"), axes=inner.axes)
    if m.rng.random() < 0.5:
        start = apply("sum", x, labels=("T",))
    scale = m.recent_scalar()
    h, c, xt, w = slots = new_slots([inner, inner, inner, scale.type])
    found = inside(m, slots)
    same = [n for n in found if n.type == inner] or [c * 0.5 + apply("tanh", xt + w * h)]
    nexts = (apply("tanh", m.pick(same) + w * h + xt), m.pick([h, c * 0.5 + m.pick(same), m.pick(same)]))
    body = Body(2, 1, slots, nexts, (m.pick(found), m.pick([nexts[0], m.pick(found)])))
    reverse = bool(m.rng.random() < 0.5)
    scan = apply("scan", start, start, x, scale, label="T", size=Size.of("T"), reverse=reverse, truncate=0, body=body)
    asked = m.rng.permutation(6)[: int(m.rng.integers(1, 4))]
    results = [r for r in (project(scan, int(i)) for i in asked) if len(r.type.labels) < 5]
    m.pool += results[1:]
    return results[0] if results else None


def inside(m: Maker, slots: tuple[Node, ...]) -> list[Node]:
    """What the other rules make of a loop's slots."""
    outside, m.pool = m.pool, list(slots)
    while len(m.pool) < 8:
        node = m.pick([by_name, unary, moved, moved, merged, contracted])(m)
        if node is not None and node.type.is_float and "T" not in node.type.sizes and len(node.type.labels) < 4:
            m.pool.append(node)
    found, m.pool = m.pool[len(slots) :], outside
    return found


RULES: list[Callable[[Maker], Node | None]] = [
    *[by_name] * 6,
    *[unary] * 3,
    reduced,
    *[contracted] * 3,
    renamed,
    expanded,
    *[moved] * 2,
    merged,
    *[windowed] * 2,
    picked,
    scanned,
]
