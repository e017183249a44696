"""Random small graphs over all families of ops, with values to run them on: the same graph for the same seed.

Values stay of moderate size, and nothing compares values that could be equal up to rounding: a pass that keeps the
meaning then changes results by rounding alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply, make
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.elementwise import Stop
from zhdsl.ops.loop import Scan, project
from zhdsl.ops.movement import Concat, Drop, Flip, Merge, Pad
from zhdsl.ops.reduce import Sum

SIZES = {"B": 3, "N": 2, "T": 4}
AXES = {"B": "B", "N": "N", "T": "T", "F": 2, "G": 1, "D": Size.of("N") * 2, "K": "T"}
INPUTS = ("", "B", "N", "BN", "BT", "FT", "BFT", "DG", "BG", "NT", "BK")
NUMBERS = (0.0, 1.0, -1.0, 2.0, 0.5, -3.0, 1.5)
FRESH = ("P", "Q", "R", "S")


@dataclass(frozen=True)
class Example:
    """A graph, values of its inputs and the sizes of its symbols."""

    graph: Graph
    values: Mapping[Node, Any]
    sizes: Mapping[str, int]


def random_example(seed: int, steps: int = 24) -> Example:
    """A graph of about `steps` random nodes, the last of which are its results."""
    with Builder() as b:
        maker = _Maker(random.Random(seed))
        maker.inputs()
        for _ in range(steps):
            maker.step()
        wanted = [n for n in maker.pool if n.op.family != "source"][-4:]
        outputs = [Port(f"y{i}", n, n.type.labels, "result") for i, n in enumerate(wanted)]
        graph = close(f"random{seed}", maker.ports, outputs, b)
    values = np.random.default_rng(seed)
    return Example(graph, {p.node: _drawn(p, values) for p in graph.inputs}, SIZES)


def _drawn(port: Port, values: np.random.Generator) -> Any:
    shape = port.node.type.shape(SIZES)
    if port.node.type.dtype == "i32":
        return values.integers(-1, 4, shape, np.int32)  # some out of range
    return values.uniform(-2, 2, shape)


class _Maker:
    """The pool of nodes made so far."""

    def __init__(self, choices: random.Random):
        self.choices = choices
        self.pool: list[Node] = []
        self.ports: list[Port] = []

    def inputs(self) -> None:
        for labels in INPUTS:
            self._input(f"x{labels}", Type("float", tuple((k, Size.of(AXES[k])) for k in labels)))
        for labels in ("B", "T", "BT"):
            self._input(f"i{labels}", Type("i32", tuple((k, Size.of(AXES[k])) for k in labels)))

    def _input(self, name: str, type_: Type) -> None:
        node = apply("input", port=name, type=type_)
        self.pool.append(node)
        self.ports.append(Port(name, node, type_.labels, "data"))

    def step(self) -> None:
        """One more node, if the random choice fits the types."""
        try:
            node = self.choices.choice(STEPS)(self)
        except (TypeProblem, LookupError, StopIteration, ValueError):
            return
        if node.type.count().evaluate(SIZES) <= 500:
            self.pool.append(node)

    # ------------------------------------------------------------ choices
    def node(self, dtype: str = "float", raw: bool = False) -> Node:
        fitting = [n for n in self.pool if n.type.dtype == dtype and not (raw and n.op.family != "source")]
        return self.choices.choice(fitting[-8:] if self.choices.random() < 0.6 else fitting)

    def label(self, x: Node) -> str:
        return self.choices.choice(x.type.labels)

    def labels(self, x: Node) -> tuple[str, ...]:
        return tuple(self.choices.sample(x.type.labels, self.choices.randint(0, len(x.type.labels))))

    def other(self, x: Node) -> Node:
        """A second operand: a number, a size, x itself or any node."""
        kind = self.choices.random()
        if kind < 0.35:
            return apply("const", value=self.choices.choice(NUMBERS), dtype="float")
        if kind < 0.42:
            return apply("const", value=Size.of("B"), dtype="float")
        if kind < 0.48:
            return apply("expand", self.node(), axes=(("F", Size.of(2)),)) if kind < 0.45 else x
        return self.node()

    # ------------------------------------------------------------ steps
    def unary(self) -> Node:
        name = self.choice("neg", "neg", "neg", "tanh", "sin", "stop", "erf", "cos")
        return apply(name, self.node())

    def choice(self, *names: str) -> str:
        return self.choices.choice(names)

    def binary(self) -> Node:
        x = self.node()
        pair = [x, self.other(x)]
        self.choices.shuffle(pair)
        return apply(self.choice("add", "sub", "mul"), *pair)

    def quotient(self) -> Node:
        x, y = self.node(), self.node()
        if self.choices.random() < 0.5:
            return x / self.choices.choice((1.0, -1.0, 2.0, Size.of("T")))
        return self.other(x) / (y * y + 1.5)

    def power(self) -> Node:
        x = apply("tanh", self.node())
        if self.choices.random() < 0.3:
            return apply("pow", x, apply("const", value=self.choices.choice((0.0, 1.0, 2.0)), dtype="float"))
        return apply("ipow", x, exponent=self.choices.randint(0, 3))

    def comparison(self) -> Node:
        name = self.choice("lt", "le", "eq")
        return apply(name, self.node(raw=True) + 0.1234, self.node(raw=True))

    def logical(self) -> Node:
        x = self.node("bool")
        truth = apply("const", value=self.choices.random() < 0.5, dtype="bool")
        if self.choices.random() < 0.3:
            return apply("not", x)
        return apply(self.choice("and", "or"), x, self.choices.choice((truth, x, self.node("bool"))))

    def where(self) -> Node:
        x, zero = self.node(), apply("const", value=0.0, dtype="float")
        y = self.choices.choice((zero, zero, self.other(x)))
        c = self.node("bool") if self.choices.random() < 0.9 else apply("const", value=True, dtype="bool")
        return apply("where", c, *((x, y) if self.choices.random() < 0.5 else (y, x)))

    def two_choices(self) -> Node:
        c, zero = self.node("bool"), apply("const", value=0.0, dtype="float")
        x, y = self.node(), self.node()
        return apply("where", c, x, zero) + apply("where", c, *self.choices.choice(((zero, y), (y, zero))))

    def reduce(self) -> Node:
        x = self.node()
        return apply(self.choice("sum", "sum", "sum", "max"), x, labels=self.labels(x))

    def product_sum(self) -> Node:
        product = self.node() * self.node()
        return apply("sum", product, labels=self.labels(product))

    def argmax(self) -> Node:
        x = self.node(raw=True)
        return apply("cast", apply("argmax", x, labels=self.labels(x)), dtype="float")

    def contract(self) -> Node:
        a, b = self.node(), self.node()
        shared = [label for label in a.type.labels if label in b.type.sizes]
        return apply("contract", a, b, labels=tuple(self.choices.sample(shared, self.choices.randint(0, len(shared)))))

    def cast(self) -> Node:
        return apply("cast", apply("cast", self.node("bool"), dtype=self.choice("i32", "float")), dtype="float")

    def relabel(self) -> Node:
        x = self.node()
        old = self.label(x)
        return apply("relabel", x, names=((old, self.choice(*FRESH, *x.type.labels)),))

    def back(self) -> Node:
        """A relabel that may undo one."""
        x = self.node()
        fresh = next(label for label in x.type.labels if label in FRESH)
        size = x.type.sizes[fresh]
        return apply("relabel", x, names=((fresh, next(k for k, s in AXES.items() if Size.of(s) == size)),))

    def expand(self) -> Node:
        label = self.choice(*AXES)
        return apply("expand", self.node(), axes=((label, Size.of(AXES[label])),))

    def drop(self) -> Node:
        x = self.node()
        return apply("drop", x, label=next(label for label in x.type.labels if x.type.sizes[label] == 1))

    def flip(self) -> Node:
        x = self.node()
        return apply("flip", x, label=self.label(x))

    def slice(self) -> Node:
        x = self.node()
        label = self.label(x)
        size = x.type.sizes[label].evaluate(SIZES)
        low = self.choices.randint(0, size - 1)
        high = self.choices.randint(low + 1, size)
        count = Size.of(high - low) if high < size or low else x.type.sizes[label]
        return apply("slice", x, label=label, start=Size.of(low), size=count)

    def pad(self) -> Node:
        x = self.node()
        low, high = self.choices.randint(0, 2), self.choices.choice((0, 1, Size.of("N")))
        fill = self.choices.choice((0.0, 0.0, 1.5))
        return apply("pad", x, label=self.label(x), low=Size.of(low), high=Size.of(high), fill=fill)

    def pieces(self) -> Node:
        """A sum of padded pieces, as the gradient of slices is."""
        x = self.node()
        label = self.label(x)
        size, parts = x.type.sizes[label], self.choices.randint(2, 3)
        pads = [
            apply("pad", apply("tanh", x + float(i)), label=label, low=size * i, high=size * (parts - 1 - i))
            for i in range(parts)
        ]
        self.choices.shuffle(pads)
        total = pads[0] if self.choices.random() < 0.5 else self.node() + pads[0]
        for p in pads[1:]:
            total = total + p if self.choices.random() < 0.7 else total - p
        return total

    def concat(self) -> Node:
        x = self.node()
        label = self.label(x)
        like = [n for n in self.pool if label in n.type.sizes and n.type.without([label]) == x.type.without([label])]
        return apply("concat", *self.choices.choices(like, k=self.choices.randint(1, 3)), label=label)

    def halves(self) -> Node:
        """A concat of slices that may be the whole."""
        x = self.node()
        label = self.label(x)
        parts = [
            apply("slice", x, label=label, start=Size.of(0), size=Size.of(1)),
            apply("slice", x, label=label, start=Size.of(1), size=x.type.sizes[label] - 1),
        ]
        self.choices.shuffle(parts)
        return apply("concat", *parts, label=label)

    def split(self) -> Node:
        x = self.node()
        label = next(k for k in x.type.labels if x.type.sizes[k] == Size.of("N") * 2)
        return apply("split", x, label=label, parts=(("P", Size.of(2)), (self.choice("Q", "N"), Size.of("N"))))

    def merge(self) -> Node:
        x = self.node()
        labels = tuple(self.choices.sample(x.type.labels, self.choices.randint(1, 2)))
        return apply("merge", x, labels=labels, label=self.choice("M", "D", labels[0]))

    def window(self) -> Node:
        x = self.node()
        taps, stride, low = self.choices.randint(1, 3), self.choices.randint(1, 2), self.choices.randint(0, 1)
        label = self.label(x)
        count = x.type.sizes[label] if stride == 1 and self.choices.random() < 0.7 else Size.of(2)
        tap, more = self.choice("P", "Q"), {"stride": Size.of(stride), "dilation": Size.of(1), "low": Size.of(low)}
        y = apply("window", x, label=label, tap=tap, taps=Size.of(taps), count=count, **more)
        if self.choices.random() < 0.5:
            return y
        return apply("fold", apply("tanh", y), label=label, tap=tap, size=x.type.sizes[label], **more)

    def gather(self) -> Node:
        x, i = self.node(), self.node("i32")
        if self.choices.random() < 0.2:
            label = self.label(x)
            return apply("gather", x, apply("iota", label=label, size=x.type.sizes[label]), labels=(label,))
        return apply("gather", x, i, labels=(self.label(x),))

    def scatter(self) -> Node:
        x, i = self.node(), self.node("i32")
        labels = (self.label(x),)
        g = apply("tanh", apply("gather", x, i, labels=labels))
        return apply("scatter", g, i, labels=labels, type=x.type)

    def random(self) -> Node:
        counters = [apply("const", value=7, dtype="i32"), *([self.node("i32")] if self.choices.random() < 0.5 else [])]
        return apply("uniform", *counters, stream=self.choices.randint(0, 9), axes=(("N", Size.of("N")),))

    def undone(self) -> Node:
        """A move that takes back the last one."""
        x = self.node()
        y, op = x.operands[0], x.op
        match op:
            case Pad():
                return apply("slice", x, label=op.label, start=op.low, size=y.type.sizes[op.label])
            case Merge():
                return apply("split", x, label=op.label, parts=tuple((k, y.type.sizes[k]) for k in op.labels))
            case Drop():
                return apply("expand", x, axes=((op.label, Size.of(1)),))
            case Flip() | Stop():
                return make(op, x)
            case Concat():
                return apply("slice", x, label=op.label, start=Size.of(0), size=y.type.sizes[op.label])
            case Sum():
                return apply("expand", x, axes=tuple(axis for axis in y.type.axes if axis[0] in op.labels))
        raise LookupError

    def scaled_sum(self) -> Node:
        c, x, y = self.choices.choice(NUMBERS), self.node(), self.node()
        return x * c + self.node() * (y * c) if self.choices.random() < 0.5 else x * c - y * c

    def scan(self) -> Node:
        """h = tanh(h * 1 + x_t * w), with slices, captures, emits and a carry that a pass may do without."""
        x = self.choices.choice([n for n in self.pool if n.type.is_float and n.type.sizes.get("T") == Size.of("T")])
        type_ = x.type.without(["T"])
        fitting = [n for n in self.pool if n.type.is_float and set(n.type.axes) <= set(type_.axes)]
        w, same = self.choices.choice(fitting), self.choices.choice(fitting)
        same = apply("expand", same, axes=(("T", Size.of("T")),))
        h, steady, x_t, same_t, w_in, zero, unused = slots = new_slots(
            [type_, w.type, type_, same.type.without(["T"]), w.type, Type("float"), w.type]
        )
        step = apply("tanh", h * 1.0 + x_t * w_in + (steady + zero) * same_t)
        body = Body(2, 2, slots, (step, steady), (step * 0.5, x_t, 0.0 - (0.0 - h), h, step * 0.5, unused))
        scan = Scan("T", Size.of("T"), self.choices.random() < 0.5, 0, body)
        zeros = apply("expand", apply("const", value=0.0, dtype="float"), axes=type_.axes)
        loop = make(scan, zeros, w, x, same, w, apply("const", value=0.0, dtype="float"), w)
        results = (0, 1, 2, 3, 4, scan.entry(0), scan.entry(1), scan.final(0), scan.final(1))
        return project(loop, self.choices.choice(results))


STEPS: tuple[Callable[[_Maker], Node], ...] = (
    *(_Maker.unary, _Maker.binary, _Maker.binary, _Maker.binary, _Maker.quotient, _Maker.power) * 2,
    *(_Maker.comparison, _Maker.comparison, _Maker.logical, _Maker.where, _Maker.two_choices, _Maker.cast),
    *(_Maker.reduce, _Maker.reduce, _Maker.product_sum, _Maker.product_sum, _Maker.contract, _Maker.argmax),
    *(_Maker.relabel, _Maker.back, _Maker.expand, _Maker.expand, _Maker.drop, _Maker.flip, _Maker.slice, _Maker.pad),
    *(_Maker.pieces, _Maker.concat, _Maker.halves, _Maker.split, _Maker.merge, _Maker.window),
    *(_Maker.gather, _Maker.scatter, _Maker.scan, _Maker.random, _Maker.undone, _Maker.undone, _Maker.scaled_sum),
)
