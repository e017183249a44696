"""Named formulas: what the library writes with primitives, as one op with its textbook derivative.

    %1 = mul(0.5, %x);  %2 = tanh(%1);  %3 = add(1.0, %2);  %4 = mul(0.5, %3)         %4 = sigmoid(%x)

`roll` finds them, `unroll` writes them out again. They live between these two only: the printer rolls a graph to print
`sigmoid(x)`; `zh grad` rolls before it differentiates, so that the derivative is s * (1 - s), and unrolls behind that.
A formula is found where the very nodes stand that the library makes of it, so printed calls keep every bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply, make, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem, union
from zhdsl.lang.decompile.rebuilding import rebuilt, remade
from zhdsl.ops.families import Canonical
from zhdsl.ops.special import erf


@dataclass(frozen=True)
class Formula(Canonical):
    """A function of the library as one op; no backend knows it."""

    family: ClassVar[str] = "movement"  # of no interest to rules

    def written(self, *xs: Node) -> Node:
        """The nodes that the library makes of it."""
        raise NotImplementedError

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        """The op and operands that the node may be the last node of."""
        raise NotImplementedError

    def infer(self, *types: Type) -> Type:
        return types[0]


@dataclass(frozen=True)
class Activation(Formula):
    """A formula of single elements: rules and passes may treat it as any such op."""

    family: ClassVar[str] = "elementwise"


Found = tuple[Formula, tuple[Node, ...]]


def const(value: float | Size, like: Node) -> Node:
    return apply("const", value=value, dtype=like.type.dtype)


def below(node: Node, *path: tuple[str, int]) -> Node | None:
    """The node found by going down: at each step the op that must be there, and the operand to go to."""
    for op, slot in path:
        if node.op.name != op:
            return None
        node = node.operands[slot]
    return node


# ---------------------------------------------------------------- activations
@dataclass(frozen=True)
class Relu(Activation):
    """max(x, 0); its slope is told by the result."""

    name: ClassVar[str] = "relu"

    def numpy(self, *arrays: Array) -> Array:
        (x,) = arrays
        return np.asarray(np.where(x > 0, x, 0), x.dtype)

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        return apply("where", apply("lt", const(0.0, x), x), x, const(0.0, x))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        return (cls(), (node.operands[1],)) if node.op.name == "where" and node.type.is_float else None

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (apply("where", apply("lt", const(0.0, y), y), g, const(0.0, y)),)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """s = 1 / (1 + e^-x), ds = s (1 - s)."""

    name: ClassVar[str] = "sigmoid"

    def numpy(self, *arrays: Array) -> Array:
        (x,) = arrays
        return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), x.dtype)

    def written(self, *xs: Node) -> Node:
        return 0.5 * (1.0 + apply("tanh", 0.5 * xs[0]))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        x = below(node, ("mul", 1), ("add", 1), ("tanh", 0), ("mul", 1))
        return (cls(), (x,)) if x else None

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (g * y * (1.0 - y),)


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + e^x), its derivative is the sigmoid."""

    name: ClassVar[str] = "softplus"

    def numpy(self, *arrays: Array) -> Array:
        (x,) = arrays
        return np.asarray(np.logaddexp(x, 0), x.dtype)

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        small = apply("where", apply("lt", const(0.0, x), x), -x, x)
        return Relu().written(x) + apply("log", 1.0 + apply("exp", small))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        x = below(node, ("add", 1), ("log", 0), ("add", 1), ("exp", 0), ("where", 2))
        return (cls(), (x,)) if x else None

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (g * make(Sigmoid(), x),)


@dataclass(frozen=True)
class Gelu(Activation):
    """x Φ(x), derivative Φ(x) + x φ(x) with Φ, φ the normal distribution and its density."""

    name: ClassVar[str] = "gelu"

    def numpy(self, *arrays: Array) -> Array:
        (x,) = arrays
        return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2.0))), x.dtype)

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        return 0.5 * x * (1.0 + apply("erf", x / math.sqrt(2.0)))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        x = below(node, ("mul", 1), ("add", 1), ("erf", 0), ("div", 0))
        return (cls(), (x,)) if x else None

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        below_x = 0.5 * (1.0 + apply("erf", x / math.sqrt(2.0)))
        density = apply("exp", -0.5 * apply("ipow", x, exponent=2)) / math.sqrt(2.0 * math.pi)
        return (g * (below_x + x * density),)


# ---------------------------------------------------------------- along an axis
@dataclass(frozen=True)
class Softmax(Formula):
    """p = e^x / sum e^x, dx = p (g - sum g p)."""

    name: ClassVar[str] = "softmax"
    label: str

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        e = apply("exp", _shifted(x, self.label))
        s = apply("sum", e, labels=(self.label,))
        return e / apply("where", apply("lt", const(0.0, s), s), s, const(1.0, s))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        return _along(cls, below(node, ("div", 0), ("exp", 0), ("sub", 0)), below(node, ("div", 1), ("where", 1)))

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (y * (g - apply("sum", g * y, labels=(self.label,))),)


@dataclass(frozen=True)
class LogSoftmax(Formula):
    """x - log sum e^x, dx = g - softmax(x) sum g."""

    name: ClassVar[str] = "log_softmax"
    label: str

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        d = _shifted(x, self.label)
        s = apply("sum", apply("exp", d), labels=(self.label,))
        return d - apply("log", apply("where", apply("lt", const(0.0, s), s), s, const(1.0, s)))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        s = below(node, ("sub", 1), ("log", 0), ("where", 1))
        return _along(cls, below(node, ("sub", 0), ("sub", 0)), s)

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (g - make(Softmax(self.label), x) * apply("sum", g, labels=(self.label,)),)


def _shifted(x: Node, label: str) -> Node:
    """x - max(x), finite where the maximum is."""
    m = apply("stop", apply("max", x, labels=(label,)))
    return x - apply("where", apply("lt", const(-math.inf, m), m), m, const(0.0, m))


def _along(cls: Any, x: Node | None, s: Node | None) -> Found | None:
    """The formula along the one label that s sums over."""
    labels: tuple[str, ...] = getattr(s.op, "labels", ()) if s is not None else ()
    return (cls(labels[0]), (x,)) if x is not None and len(labels) == 1 else None


@dataclass(frozen=True)
class Mean(Formula):
    """The sum over some axes divided by the number of elements."""

    name: ClassVar[str] = "mean"
    labels: tuple[str, ...]
    count: Size

    def infer(self, *types: Type) -> Type:
        return types[0].without(self.labels)

    def written(self, *xs: Node) -> Node:
        (x,) = xs
        return _sum(x, self.labels) / const(self.count, x)

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        total = below(node, ("div", 0))
        if total is None or total.op.name not in ("sum", "contract"):
            return None
        x = total.operands[0] if total.op.name == "sum" else apply("mul", *total.operands)
        labels: tuple[str, ...] = getattr(total.op, "labels", ())
        count = Type("i32", tuple((n, x.type.sizes[n]) for n in labels)).count()
        return (cls(labels, count), (x,)) if labels else None


def _sum(x: Node, labels: tuple[str, ...]) -> Node:
    """A sum as the checker makes it: that of a product is a contraction."""
    if x.op.name == "mul" and all(label in a.type.sizes for label in labels for a in x.operands):
        return apply("contract", *x.operands, labels=labels)
    return apply("sum", x, labels=labels)


# ---------------------------------------------------------------- classes
@dataclass(frozen=True)
class OneHot(Formula):
    """1 at the label, 0 elsewhere."""

    name: ClassVar[str] = "one_hot"
    label: str
    size: Size
    dtype: str

    def infer(self, *types: Type) -> Type:
        return types[0].extended(((self.label, self.size),)).of_dtype(self.dtype)

    def written(self, *xs: Node) -> Node:
        places = apply("iota", label=self.label, size=self.size)
        return apply("cast", apply("eq", xs[0], places), dtype=self.dtype)

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        places = below(node, ("cast", 0), ("eq", 1))
        label = below(node, ("cast", 0), ("eq", 0))
        if places is None or label is None or places.op.name != "iota":
            return None
        op: Any = places.op
        return cls(op.label, op.size, node.type.dtype), (label,)


@dataclass(frozen=True)
class Likelihood(Formula):
    """log_softmax(x)[label], dx = g (one_hot(label) - softmax(x)): labels are taken to be in range."""

    name: ClassVar[str] = "likelihood"
    label: str

    def infer(self, *types: Type) -> Type:
        x, label = types
        if self.label in label.sizes:
            raise TypeProblem("likelihood: the label has the axis of the classes")
        return Type(x.dtype, union((x.without((self.label,)), label)))

    def written(self, *xs: Node) -> Node:
        x, label = xs
        return apply("gather", LogSoftmax(self.label).written(x), label, labels=(self.label,))

    @classmethod
    def candidate(cls, node: Node) -> Found | None:
        q = below(node, ("gather", 0))
        found = LogSoftmax.candidate(q) if q else None
        if found is None or len(node.operands) != 2:
            return None
        op, label = found[0], node.operands[1]
        assert isinstance(op, LogSoftmax)
        return None if op.label in label.type.sizes else (cls(op.label), (*found[1], label))

    def vjp(self, g: Node, y: Node, x: Node, label: Node) -> tuple[Node | None, ...]:
        wanted = make(OneHot(self.label, x.type.sizes[self.label], x.type.dtype), label)
        return (g * (wanted - make(Softmax(self.label), x)), None)


# Those that differentiate otherwise than what they are made of, or into fewer words.
DIFFERENTIABLE: tuple[type[Formula], ...] = (Likelihood, Softplus, Gelu, Sigmoid, Softmax, LogSoftmax, Relu)
PRINTABLE: tuple[type[Formula], ...] = (Softplus, Gelu, Sigmoid, Softmax, LogSoftmax, Mean, OneHot, Relu)


def roll(graph: Graph, formulas: Sequence[type[Formula]]) -> Graph:
    """The graph, and the bodies in it, with formulas in the place of their last nodes."""
    return rebuilt(graph, lambda outputs: _rolled(outputs, formulas))


def unroll(graph: Graph) -> Graph:
    """The graph with every formula written out."""

    def written(old: Node, new: dict[Node, Node]) -> Node | None:
        return old.op.written(*(new[x] for x in old.operands)) if isinstance(old.op, Formula) else None

    return rebuilt(graph, lambda outputs: remade(outputs, written))


def _rolled(outputs: Sequence[Node], formulas: Sequence[type[Formula]]) -> Sequence[Node]:
    nodes = topological(outputs)
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for x in node.operands:
            users[x].append(node)
    found = _whole({node: hit for node in nodes if (hit := _found(node, formulas)) is not None}, users)

    def rule(old: Node, new: dict[Node, Node]) -> Node | None:
        if old not in found:
            return None
        op, xs = found[old]
        return make(op, *(new[x] if x in new else make(x.op, *(new[y] for y in x.operands)) for x in xs))

    return remade(outputs, rule)


def _found(node: Node, formulas: Sequence[type[Formula]]) -> Found | None:
    for formula in formulas:
        hit = formula.candidate(node)
        if hit is not None and hit[0].written(*hit[1]) is node:
            return hit
    return None


def _whole(found: Mapping[Node, Found], users: Mapping[Node, list[Node]]) -> Mapping[Node, Found]:
    """The formulas of which nothing that is computed on the way is used outside of formulas."""
    ways = {last: _between(last, xs) for last, (_, xs) in found.items()}
    while True:
        inside = {n for way in ways.values() for n in way}
        kept = {last: way for last, way in ways.items() if all(_stays(n, inside, users) for n in way - {last})}
        if len(kept) == len(ways):
            return {last: found[last] for last in kept}
        ways = kept


def _between(last: Node, xs: tuple[Node, ...]) -> set[Node]:
    """The nodes from the last one down, without the operands and what is below them.

    An operand may be a product that only a contraction stands for: then its factors are where the way ends.
    """
    ends = {*xs, *(y for x in xs if x.op.name == "mul" for y in x.operands)}
    way, stack = set[Node](), [last]
    while stack:
        node = stack.pop()
        if node not in way and node not in ends:
            way.add(node)
            stack.extend(node.operands)
    return way


def _stays(node: Node, inside: set[Node], users: Mapping[Node, list[Node]]) -> bool:
    """Whether it is used inside of formulas alone, or is as cheap to say again as tests and maxima are."""
    return node.op.name in SAID_AGAIN or all(user in inside for user in users.get(node, ()))


SAID_AGAIN = ("const", "iota", "lt", "max", "stop")
