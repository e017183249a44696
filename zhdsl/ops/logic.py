"""Truth values: comparisons, connectives, and the choice between two values. Elementwise, as in `elementwise`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply, lift
from zhdsl.ir.op import register
from zhdsl.ir.types import Type, TypeProblem, union
from zhdsl.ops.elementwise import Binary, Cotangents
from zhdsl.ops.families import Elementwise


@dataclass(frozen=True)
class Comparison(Binary):
    """Two numbers to a truth value: constant almost everywhere, without a gradient."""

    takes: ClassVar[str] = "number"
    gives: ClassVar[str] = "bool"

    def vjp(self, g: Node, y: Node, *xs: Node) -> Cotangents:
        return (None, None)


@dataclass(frozen=True)
class Logical(Elementwise):
    """Of truth values, without a gradient."""

    takes: ClassVar[str] = "bool"
    gives: ClassVar[str] = "bool"

    def vjp(self, g: Node, y: Node, *xs: Node) -> Cotangents:
        return (None,) * len(xs)


@register
@dataclass(frozen=True)
class Where(Elementwise):
    """A choice, y where c holds, else z.

    Shapes    c: S, y: R, z: Q -> S ∪ R ∪ Q      Dtypes  bool, any, same -> same as y
    Gradient  dy = where(c, g, 0), dz = where(c, 0, g): never c * g, so what is not taken may be infinite
    """

    name: ClassVar[str] = "where"
    arity: ClassVar[int | None] = 3
    kernel: ClassVar[str] = "({x} ? {y} : {z})"
    takes: ClassVar[str] = "any"

    def infer(self, *types: Type) -> Type:
        if types[0].dtype != "bool":
            raise TypeProblem(f"the condition of where must be bool, not {types[0]}")
        return Type(self.common(types[1:]), union(types))

    def numpy(self, c: Array, y: Array, z: Array) -> Array:
        return np.where(c, y, z)

    def vjp(self, g: Node, out: Node, c: Node, y: Node, z: Node) -> Cotangents:
        zero = lift(0.0, g)
        return (None, apply("where", c, g, zero), apply("where", c, zero, g))


@register
@dataclass(frozen=True)
class Lt(Comparison):
    """x < y; false with nan.

    Shapes    x: S, y: R -> S ∪ R      Dtypes  number -> bool
    Gradient  none
    """

    name: ClassVar[str] = "lt"
    kernel: ClassVar[str] = "({x} < {y})"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.less(x, y)


@register
@dataclass(frozen=True)
class Le(Comparison):
    """x <= y; false with nan.

    Shapes    x: S, y: R -> S ∪ R      Dtypes  number -> bool
    Gradient  none
    """

    name: ClassVar[str] = "le"
    kernel: ClassVar[str] = "({x} <= {y})"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.less_equal(x, y)


@register
@dataclass(frozen=True)
class Eq(Comparison):
    """x == y; false with nan.

    Shapes    x: S, y: R -> S ∪ R      Dtypes  any -> bool
    Gradient  none
    """

    name: ClassVar[str] = "eq"
    kernel: ClassVar[str] = "({x} == {y})"
    takes: ClassVar[str] = "any"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.equal(x, y)


@register
@dataclass(frozen=True)
class Not(Logical):
    """Negation.

    Shapes    x: S -> S      Dtypes  bool -> bool
    Gradient  none
    """

    name: ClassVar[str] = "not"
    kernel: ClassVar[str] = "(!{x})"

    def numpy(self, x: Array) -> Array:
        return np.logical_not(x)


@register
@dataclass(frozen=True)
class And(Logical):
    """Both hold.

    Shapes    x: S, y: R -> S ∪ R      Dtypes  bool -> bool
    Gradient  none
    """

    name: ClassVar[str] = "and"
    arity: ClassVar[int | None] = 2
    kernel: ClassVar[str] = "({x} && {y})"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.logical_and(x, y)


@register
@dataclass(frozen=True)
class Or(Logical):
    """One of the two holds, or both.

    Shapes    x: S, y: R -> S ∪ R      Dtypes  bool -> bool
    Gradient  none
    """

    name: ClassVar[str] = "or"
    arity: ClassVar[int | None] = 2
    kernel: ClassVar[str] = "({x} || {y})"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.logical_or(x, y)
