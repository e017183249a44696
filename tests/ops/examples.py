"""Examples of every op: operands and attributes from which tests of ops, backends and the textual form are generated.

Sizes: B=3, T=5 (odd), D=4, K=2, U=1 (does not stretch), E=0 (empty).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import zhdsl.ops  # noqa: F401  (fills the registry)
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import Node, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.loop import project

SIZES = {"B": 3, "T": 5, "D": 4, "K": 2, "U": 1, "E": 0}


@dataclass(frozen=True)
class Example:
    """One use of an op.

    Attributes:
        operands: types of the operands, over the symbols of `SIZES`.
        attributes: the op's fields.
        integers: i32 operands are drawn from low <= i < high, per operand or for all.
        make: how the result is made of the operands, where it is not the op alone.
    """

    operands: tuple[Type, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    integers: tuple[int, int] | tuple[tuple[int, int], ...] = (-4, 5)
    make: Callable[[Sequence[Node]], Node] | None = None

    def node(self, name: str) -> Node:
        """The result on inputs `x0, x1 …`, in the builder in force."""
        inputs = [apply("input", port=f"x{i}", type=t) for i, t in enumerate(self.operands)]
        return self.make(inputs) if self.make else apply(name, *inputs, **self.attributes)

    def inputs(self) -> list[Node]:
        """The inputs of `node`."""
        return [apply("input", port=f"x{i}", type=t) for i, t in enumerate(self.operands)]

    def values(self, name: str, seed: int = 0) -> list[np.ndarray]:
        """Operands drawn from the op's domain, axes sorted by label; floats in float64."""
        rng = np.random.default_rng([seed, *name.encode()])
        return [self._drawn(REGISTRY[name].domain, i, t, rng) for i, t in enumerate(self.operands)]

    def _drawn(self, domain: Any, i: int, type_: Type, rng: np.random.Generator) -> np.ndarray:
        shape = type_.shape(SIZES)
        if type_.dtype == "bool":
            return np.asarray(rng.integers(0, 2, shape), bool)
        if type_.dtype == "i32":
            low, high = self.integers[i] if isinstance(self.integers[0], tuple) else self.integers
            return np.asarray(rng.integers(low, high, shape), np.int32)
        here = domain[min(i, len(domain) - 1)] if isinstance(domain, tuple) else domain
        return np.asarray(rng.uniform(here.low, here.high, shape))


def axis(text: str) -> tuple[str, Size]:
    """`T`, `T=3`, `T=B`, `S=2*T`."""
    label, _, size = text.partition("=")
    factor, _, symbol = (size or label).rpartition("*")
    value = Size.of(int(symbol) if symbol.isdigit() else symbol)
    return label, value * int(factor) if factor else value


def axes(text: str) -> tuple[tuple[str, Size], ...]:
    return tuple(axis(part) for part in text.split())


def t(text: str = "", dtype: str = "float") -> Type:
    """A type from `B T=3`."""
    return Type(dtype, axes(text))


def i32(text: str = "") -> Type:
    return t(text, "i32")


def boolean(text: str = "") -> Type:
    return t(text, "bool")


def of(*operands: Type, **attributes: Any) -> Example:
    return Example(operands, attributes)


UNARY = (of(t("B T")), of(t()), of(t("U")), of(t("B E")))
BINARY = (
    of(t("B T"), t("B T")),
    of(t("B T"), t("D T")),
    of(t("T"), t()),
    of(t(), t()),
    of(t("B U"), t("U")),
    of(t("B"), t("E T")),
)
INT_UNARY = (of(i32("B T")),)
INT_BINARY = (of(i32("B T"), i32("T D")), of(i32(), i32("B")))
LOGICAL = (of(boolean("B T"), boolean("D T")), of(boolean(), boolean("B E")))


def positive(*examples: Example) -> tuple[Example, ...]:
    """The examples with the second operand drawn from 1 … 4."""
    return tuple(Example(e.operands, e.attributes, ((-9, 10), (1, 5))) for e in examples)


ELEMENTWISE: dict[str, tuple[Example, ...]] = {
    **dict.fromkeys(("add", "sub", "mul", "lt", "le"), BINARY + INT_BINARY),
    "eq": BINARY + INT_BINARY + LOGICAL,
    **dict.fromkeys(("div", "pow"), BINARY),
    **{name: BINARY + positive(*INT_BINARY) for name in ("floordiv", "mod")},
    **dict.fromkeys(("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "floor"), UNARY),
    "neg": UNARY + INT_UNARY,
    "stop": (*UNARY, *INT_UNARY, of(boolean("B"))),
    "not": (of(boolean("B T")), of(boolean()), of(boolean("E"))),
    "and": LOGICAL,
    "or": LOGICAL,
    "ipow": (
        *(of(t("B T"), exponent=k) for k in (-2, -1, 0, 1, 2, 3, 7)),
        of(t(), exponent=5),
        of(t("E"), exponent=3),
        *(of(i32("B T"), exponent=k) for k in (0, 1, 2, 5)),
    ),
    "where": (
        of(boolean("B T"), t("B T"), t("T")),
        of(boolean("T"), t("B"), t("D")),
        of(boolean(), t("B"), t()),
        of(boolean("B E"), t("E"), t("B")),
        of(boolean("B U"), i32("U T"), i32("B")),
        of(boolean("B"), boolean("T"), boolean()),
    ),
    "cast": (
        of(t("B T"), dtype="i32"),
        of(t("B T"), dtype="bool"),
        of(t("B T"), dtype="f64"),
        of(t("B T", "f64"), dtype="float"),
        of(i32("B T"), dtype="float"),
        of(boolean("B T"), dtype="float"),
        of(boolean("B E"), dtype="i32"),
    ),
}

REDUCE: dict[str, tuple[Example, ...]] = {
    name: (
        of(t("B T D"), labels=("T",)),
        of(t("B T D"), labels=("T", "B")),
        of(t("B T"), labels=("B", "T")),
        of(t("B T"), labels=()),
        of(t(), labels=()),
        of(t("B U"), labels=("U",)),
        of(t("B E"), labels=("E",)),
        of(t("B E"), labels=("B",)),
        of(i32("B T D"), labels=("D", "B")),
        of(i32("B E"), labels=("E",)),
    )
    for name in ("sum", "max", "argmax")
}

CONTRACT: dict[str, tuple[Example, ...]] = {
    "contract": (
        of(t("B D"), t("D K"), labels=("D",)),
        of(t("B T D"), t("B D S=T"), labels=("D",)),  # B is batch
        of(t("B T D"), t("D T K"), labels=("T", "D")),
        of(t("D"), t("D"), labels=("D",)),
        of(t("B U"), t("U K"), labels=("U",)),
        of(t("B E"), t("E K"), labels=("E",)),
        of(t("B E"), t("B T"), labels=("B",)),
        of(t("B"), t("K"), labels=()),
    )
}

MOVEMENT: dict[str, tuple[Example, ...]] = {
    "relabel": (
        of(t("B T"), names=(("T", "A"),)),
        of(t("B T D"), names=(("B", "T"), ("T", "B"))),
        of(t("B T D"), names=(("B", "T"), ("T", "D"), ("D", "B"))),
        of(t("B E"), names=(("E", "Z"), ("B", "Y"))),
        of(t(), names=()),
        of(i32("B U"), names=(("U", "A"),)),
    ),
    "expand": (
        of(t("T"), axes=axes("B D")),
        of(t(), axes=axes("Z=K")),
        of(t("B"), axes=axes("U")),
        of(t("B"), axes=axes("E")),
        of(t("E"), axes=axes("B")),
        of(boolean("T"), axes=axes("A=T")),
    ),
    "drop": (
        of(t("B U=1"), label="U"),
        of(t("U=1"), label="U"),
        of(t("A=1 E"), label="A"),
        of(i32("A=1 B Z=1"), label="Z"),
    ),
    "split": (
        of(t("B T=15"), label="T", parts=axes("P=5 Q=3")),
        of(t("B T=15"), label="T", parts=axes("Q=3 A=5")),
        of(t("B H=2*T"), label="H", parts=axes("H=2 A=T")),
        of(t("D F=3*E"), label="F", parts=axes("A=3 E")),
        of(t("D A=1"), label="A", parts=()),
        of(i32("B=24 T"), label="B", parts=axes("Z=2 A=3 M=4")),
    ),
    "merge": (
        of(t("B T D"), labels=("T", "B"), label="F"),
        of(t("B T D"), labels=("B", "T"), label="B"),
        of(t("B T D"), labels=("D", "B", "T"), label="A"),
        of(t("B E"), labels=("E", "B"), label="F"),
        of(t("B"), labels=(), label="A"),
        of(boolean("B U"), labels=("U", "B"), label="F"),
    ),
    "slice": (
        of(t("B T"), label="T", start=1, size=3),
        of(t("B T"), label="T", start=0, size=Size.of("T")),
        of(t("B T"), label="T", start=Size.of("T") - 2, size=2),
        of(t("B T"), label="T", start=2, size=0),
        of(t("E"), label="E", start=0, size=0),
        of(i32("B T"), label="B", start=Size.of("B") - 1, size=1),
    ),
    "pad": (
        of(t("B T"), label="T", low=1, high=2),
        of(t("B T"), label="B", low=0, high=Size.of("K"), fill=-math.inf),
        of(t("B E"), label="E", low=2, high=0, fill=1.5),
        of(t("U"), label="U", low=0, high=0),
        of(i32("B T"), label="T", low=0, high=3, fill=7.0),
        of(boolean("B T"), label="B", low=1, high=0),
    ),
    "concat": (
        of(t("B T"), t("B T=2"), t("B T=U"), label="T"),
        of(t("B T"), label="B"),
        of(t("B T"), t("B=E T"), label="B"),
        of(t("D T=1"), t("D T=1"), label="T"),
        of(i32("T"), i32("T=3"), label="T"),
        of(boolean("B T"), boolean("B T=E"), label="T"),
    ),
    "flip": (of(t("B T"), label="T"), of(t("B T"), label="B"), of(t("B E"), label="E"), of(i32("U"), label="U")),
}


def window(x: Type, label: str, taps: Any, count: Any, **more: Any) -> Example:
    steps = {"stride": 1, "dilation": 1, "low": 0} | more
    return of(x, label=label, tap=label + "'", taps=taps, count=count, **steps)


def fold(x: Type, label: str, size: Any, **more: Any) -> Example:
    return of(x, label=label, tap=label + "'", size=size, **({"stride": 1, "dilation": 1, "low": 0} | more))


WINDOW: dict[str, tuple[Example, ...]] = {
    "window": (
        window(t("B T"), "T", 3, Size.of("T") - 2),
        window(t("B T"), "T", 3, Size.of("T"), low=1),
        window(t("B T D"), "T", 2, 3, stride=2, low=1, fill=-1.5),
        window(t("B T"), "T", 3, 4, stride=3, dilation=2, low=4),
        window(t("B T"), "T", 2, 2, low=-1),  # starts inside
        window(t("B T"), "T", 2, 2, stride=5, low=-3),
        window(t("D T"), "D", 1, 2, stride=2),  # leaves gaps
        window(t("B E"), "E", 2, 3, low=1),
        window(t("B T"), "T", 3, 0),
        window(t("B U"), "U", Size.of("K"), 1, low=1, fill=-math.inf),
        window(i32("B T"), "T", 3, Size.of("T"), low=1),
    ),
    "fold": (
        fold(t("B T T'=3"), "T", Size.of("T") + 2),
        fold(t("B T T'=3"), "T", Size.of("T"), low=1),
        fold(t("B T=3 T'=2 D"), "T", 5, stride=2, low=1),
        fold(t("B T=4 T'=3"), "T", 6, stride=3, dilation=2, low=4),
        fold(t("B T=2 T'=2"), "T", 5, low=-1),
        fold(t("T=2 T'=1"), "T", 4, stride=2),
        fold(t("B T=3 T'=2"), "T", 0, low=1),
        fold(t("B T=E T'=3"), "T", 4),
        fold(t("B U U'=K"), "U", 1, low=1),
        fold(i32("B T T'=3"), "T", Size.of("T"), low=1),
    ),
}


def indexed(x: Type, *indices: Type, labels: Sequence[str], high: int = 7, **attributes: Any) -> Example:
    """Indices drawn from -2 up, so that some are out of range."""
    return Example((x, *indices), {"labels": labels, **attributes}, (-2, high))


INDEX: dict[str, tuple[Example, ...]] = {
    "gather": (
        indexed(t("V=T D"), i32("B T"), labels=["V"]),  # an embedding
        indexed(t("B V=T"), i32("B"), labels=["V"]),  # a pick, pointwise in B
        indexed(t("B T D"), i32("B T"), labels=["T"]),  # the index has the indexed label
        indexed(t("B T D"), i32("A=K"), i32("A=K Z=2"), labels=["T", "D"]),  # a crop
        indexed(t("T"), i32(), labels=["T"]),
        indexed(t("B E"), i32("K"), labels=["E"]),
        indexed(t("B T"), i32("E"), labels=["T"]),
        indexed(t("B U"), i32("K"), labels=["U"], high=2),
        indexed(i32("B T"), i32("K B"), labels=["T"]),
        indexed(boolean("B T"), i32("K"), labels=["T"]),
    ),
    "scatter": (
        indexed(t("B T D"), i32("B T"), labels=["V"], type=t("V=T D")),
        indexed(t("B"), i32("B"), labels=["V"], type=t("B V=T")),
        indexed(t("B T D"), i32("B T"), labels=["T"], type=t("B T=7 D")),
        indexed(t("B A=K Z=2"), i32("A=K"), i32("A=K Z=2"), labels=["T", "D"], type=t("B T D")),
        indexed(t(), i32(), labels=["T"], type=t("T")),
        indexed(t("B K"), i32("K"), labels=["E"], type=t("B E")),
        indexed(t("B E"), i32("E"), labels=["T"], type=t("B T")),
        indexed(i32("B T"), i32("T"), labels=["V"], type=i32("B V=3")),
    ),
    "topk": (
        of(t("B T"), label="T", k=2, new="K"),
        of(t("B T D"), label="B", k=3, new="B"),
        of(t("B T"), label="T", k=0, new="Z"),
        of(t("U"), label="U", k=1, new="A"),
        of(t("B E"), label="E", k=0, new="E"),
        of(i32("B T"), label="T", k=Size.of("T"), new="A"),
    ),
}

RANDOM: dict[str, tuple[Example, ...]] = {
    "uniform": (
        of(i32(), i32(), stream=3, axes=axes("T B")),
        of(i32(), stream=0, axes=axes("B T")),
        of(i32(), i32("B"), stream=2**32 - 1, axes=axes("T U")),
        of(i32("D"), i32("B"), i32(), stream=1, axes=axes("A=3")),
        of(i32(), stream=7, axes=()),
        of(i32(), i32(), stream=7, axes=axes("E T")),
    )
}

SOURCE: dict[str, tuple[Example, ...]] = {
    "const": (
        of(value=1.5, dtype="float"),
        of(value=-0.0, dtype="float"),
        of(value=math.nan, dtype="float"),
        of(value=3, dtype="i32"),
        of(value=True, dtype="bool"),
        of(value=Size.of("T") * 2 - 1, dtype="float"),
        of(value=Size.of("B"), dtype="i32"),
    ),
    "iota": (of(label="T", size=Size.of("T")), of(label="A", size=Size.of("E")), of(label="A", size=1)),
    "input": (Example((t("B T"),), make=lambda xs: xs[0]), Example((i32("B"),), make=lambda xs: xs[0])),
    "param": (of(path="dense.W", type=t("D K")),),
    "state": (of(path="norm.mean", type=t("D")),),
    "slot": (of(key=1, index=0, type=t("B")),),
}


def recurrence(xs: Sequence[Node], reverse: bool = False, truncate: int = 0) -> Node:
    """h = tanh(x + w * h), y = h * h: operands h, x (with T), w."""
    h, x, w = slots = new_slots([xs[0].type, xs[1].type.without(["T"]), xs[2].type])
    new = apply("tanh", x + w * h)
    body = Body(1, 1, slots, (new,), (new * new,))
    size = xs[1].type.sizes["T"]
    return apply("scan", *xs, label="T", size=size, reverse=reverse, truncate=truncate, body=body)


def doubled(xs: Sequence[Node]) -> Node:
    """2 * x * y with its derivative stated by hand: a function as `fn … grad (dy)` makes it."""
    x, y, _, dy = slots = new_slots([xs[0].type, xs[1].type, xs[0].type, xs[0].type])
    body = Body(0, 0, slots, (), (2.0 * y * dy, 2.0 * x * dy))
    return apply("override", 2.0 * xs[0] * xs[1], *xs, label="doubled", body=body)


CELL = (t("B"), t("T B"), t("B"))
LOOP: dict[str, tuple[Example, ...]] = {
    "scan": (
        Example(CELL, make=lambda xs: project(recurrence(xs), 0)),
        Example(CELL, make=lambda xs: project(recurrence(xs, reverse=True), 0)),
        Example((t("B"), t("T=E B"), t("B")), make=lambda xs: project(recurrence(xs), 0)),
    ),
    "project": (
        Example(CELL, make=lambda xs: project(recurrence(xs), 1)),
        Example(CELL, make=lambda xs: project(recurrence(xs, reverse=True), 2)),
    ),
    "override": (Example((t("B"), t("B")), make=doubled),),
}

EXAMPLES: dict[str, tuple[Example, ...]] = {
    **SOURCE,
    **ELEMENTWISE,
    **REDUCE,
    **CONTRACT,
    **MOVEMENT,
    **WINDOW,
    **INDEX,
    **RANDOM,
    **LOOP,
}

CASES = [(name, i) for name, examples in EXAMPLES.items() for i in range(len(examples))]
