"""What the ops of one family share: the rule for types, and what `numpy` is given.

Arrays come in canonical order: axes sorted by label. Backends run families, not names, and are free in their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from zhdsl.ir.arrays import Array
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size, SizeLike, Undecided
from zhdsl.ir.types import Axis, Type, TypeProblem, union


@dataclass(frozen=True)
class Canonical(Op):
    """Ops with sizes or labels in their fields: numbers become `Size`s, lists tuples, so that equal ops are equal."""

    def __post_init__(self) -> None:
        for f in fields(self):
            rule = CANONICAL.get(str(f.type))
            if rule:
                object.__setattr__(self, f.name, rule(getattr(self, f.name)))


def _axes(axes: Iterable[tuple[str, SizeLike]]) -> tuple[Axis, ...]:
    return tuple((label, Size.of(size)) for label, size in axes)


CANONICAL: dict[str, Callable[[Any], Any]] = {  # by the annotation of the field
    "Size": Size.of,
    "tuple[Axis, ...]": _axes,
    "tuple[str, ...]": tuple,
    "tuple[tuple[str, str], ...]": lambda pairs: tuple(sorted(map(tuple, pairs))),
    "float": lambda value: math.nan if value != value else float(value) + 0.0,  # one nan, no -0.0
}


@dataclass(frozen=True)
class Source(Canonical):
    """A value from outside or a constant: no operands, the type is an attribute."""

    family: ClassVar[str] = "source"
    arity: ClassVar[int | None] = 0


@dataclass(frozen=True)
class Elementwise(Op):
    """A scalar function over the union of the operands' labels; a missing label repeats.

    Attributes of the class:
        kernel: the scalar expression, with the operands as `{x}`, `{y}`, `{z}` and the op's own fields by name.
        takes: dtypes of operands: `float`, `number` (i32 or float), `bool`, `any`; all operands alike.
        gives: `same` or a dtype.

    `numpy(self, *arrays)` is given arrays that broadcast against one another.
    """

    family: ClassVar[str] = "elementwise"
    kernel: ClassVar[str]
    takes: ClassVar[str] = "float"
    gives: ClassVar[str] = "same"

    def infer(self, *types: Type) -> Type:
        dtype = self.common(types)
        return Type(dtype if self.gives == "same" else self.gives, union(types))

    def common(self, types: tuple[Type, ...]) -> str:
        """The dtype all operands have. Raises `TypeProblem`."""
        dtypes = {t.dtype for t in types}
        if len(dtypes) != 1:
            raise TypeProblem(f"{self.name} of different dtypes: {', '.join(sorted(dtypes))}")
        dtype = dtypes.pop()
        allowed = {"float": types[0].is_float, "number": dtype != "bool", "bool": dtype == "bool", "any": True}
        if not allowed[self.takes]:
            raise TypeProblem(f"{self.name} takes {self.takes} operands, not {dtype}")
        return dtype


@dataclass(frozen=True)
class Reduce(Canonical):
    """Combines all elements along `labels`; no labels: every element alone.

    Attributes of the class, the data a backend needs:
        combine: scalar expression of `{acc}` and `{x}`, associative and commutative.
        identity: the result over no elements (`-inf` is the least number of an i32).
        gives: `same`; or `index`: i32, the row-major position (over `labels` as listed) of the first element that
            equals the combination, 0 if there is none.

    `numpy(self, x, axes)` is given the positions of the labels.
    """

    family: ClassVar[str] = "reduce"
    combine: ClassVar[str]
    identity: ClassVar[float]
    gives: ClassVar[str] = "same"
    labels: tuple[str, ...]

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_number(self.name, x)
        require_labels(self.name, x, self.labels)
        return x.without(self.labels).of_dtype("i32" if self.gives == "index" else x.dtype)


@dataclass(frozen=True)
class Labelled(Canonical):
    """Ops that move, pick or draw elements: `numpy(self, *arrays, types, out)` gets concrete types beside arrays."""

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        raise TypeError(f"{self.name} has no meaning")


@dataclass(frozen=True)
class Movement(Labelled):
    """The result's elements are the operands' (or a fill), found by an affine map of indices; `fold` is an adjoint."""

    family: ClassVar[str] = "movement"


@dataclass(frozen=True)
class Index(Labelled):
    """Positions that are data: i32 tensors that index others, or are found in them."""

    family: ClassVar[str] = "index"


@dataclass(frozen=True)
class Random(Labelled):
    """Numbers that are a pure function of counters; `numpy` answers in float64, exact in every float of 24 bits."""

    family: ClassVar[str] = "random"


# ---------------------------------------------------------------- conditions on types
def require_labels(name: str, type_: Type, labels: tuple[str, ...]) -> None:
    """Raises `TypeProblem` where the type lacks a label or one is listed twice."""
    for label in labels:
        if label not in type_.sizes:
            raise TypeProblem(f"{name}[{label}]: no axis {label} in {type_}")
        if labels.count(label) > 1:
            raise TypeProblem(f"{name}[{', '.join(labels)}]: {label} is listed twice")


def require_new(name: str, type_: Type, labels: Iterable[str]) -> None:
    """Raises `TypeProblem` where the type has one of the labels already."""
    for label in labels:
        if label in type_.sizes:
            raise TypeProblem(f"{name}: there is an axis {label} already in {type_}")


def require_number(name: str, type_: Type) -> None:
    """Raises `TypeProblem` for bool."""
    if type_.dtype == "bool":
        raise TypeProblem(f"{name} takes number operands, not bool")


def require_index(name: str, types: Iterable[Type]) -> None:
    """Raises `TypeProblem` where an index or counter is not i32."""
    for type_ in types:
        if type_.dtype != "i32":
            raise TypeProblem(f"{name}: an index must be i32, not {type_}")


def require_at_least(name: str, what: str, size: Size, least: SizeLike) -> None:
    """Raises `TypeProblem` if the size is certainly smaller."""
    if certainly_less(size, least):
        raise TypeProblem(f"{name}: {what} = {size} is less than {least}")


def certainly_less(size: Size, other: SizeLike) -> bool:
    """Whether it is smaller for all values of the symbols; what depends on them is a guard of the checker."""
    try:
        return size.compare(other) < 0
    except Undecided:
        return False


def number(size: Size) -> int:
    """A bound size as an int."""
    value: Any = size.number
    if value is None:
        raise TypeError(f"{size} is not bound")
    return int(value)


# ---------------------------------------------------------------- arrays and labels
def shape(type_: Type) -> tuple[int, ...]:
    """The concrete shape in canonical order."""
    return tuple(number(size) for _, size in type_.axes)


def arrange(x: Array, labels: Iterable[str], target: Iterable[str]) -> Array:
    """x, whose axes are `labels`, with its axes in the order of `target` and size 1 where it has none."""
    has, wanted = list(labels), list(target)
    ordered = x.transpose([has.index(label) for label in wanted if label in has])
    sizes = dict(zip(has, x.shape, strict=True))
    return ordered.reshape([sizes.get(label, 1) for label in wanted])
