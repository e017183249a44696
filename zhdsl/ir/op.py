"""The contract of an op: one frozen dataclass per primitive, its fields are its static attributes.

A class says everything about its op: the rule for types (`infer`), the meaning (`numpy`), the derivative (`vjp`, which
builds graph), the kernel's scalar expression as data, and where tests may draw operands. `register` makes it known by
name; everything else (tests, docs, textual form, backends) follows from the registry and from the op's *family*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type

if TYPE_CHECKING:
    from zhdsl.ir.arrays import Array
    from zhdsl.ir.node import Node

FAMILIES = ("source", "elementwise", "reduce", "contract", "movement", "index", "random", "loop")


@dataclass(frozen=True)
class Uniform:
    """Where generated tests draw an operand: uniformly from [low, high]."""

    low: float
    high: float


@dataclass(frozen=True)
class Op:
    """Root of all ops. Subclasses are frozen dataclasses; equal fields mean the same op."""

    name: ClassVar[str]
    family: ClassVar[str]
    arity: ClassVar[int | None] = 1  # None: any number
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = Uniform(-2.0, 2.0)

    def infer(self, *types: Type) -> Type:
        """The result's type. Raises `TypeProblem`."""
        raise TypeError(f"{self.name} has no rule for types")

    def numpy(self, *args: Any, **more: Any) -> Array:
        """The meaning, in NumPy. What it is given depends on the family: see the family's class."""
        raise TypeError(f"{self.name} has no meaning")

    def vjp(self, *args: Any, **more: Any) -> tuple[Node | None, ...]:
        """`vjp(g, y, *xs)`: cotangents of the operands `xs` from `g`, that of the result `y`, as new graph.

        `None`: not differentiable in that operand. A cotangent may have the labels of a by-name broadcast: the caller
        sums what the operand lacks and expands what only it has.
        """
        raise TypeError(f"{self.name} has no derivative")

    def bind(self, sizes: Mapping[str, int]) -> Op:
        """The op with all its sizes evaluated."""
        values = {f.name: _bound(getattr(self, f.name), sizes) for f in fields(self)}
        return replace(self, **values) if values else self

    def substitute(self, values: Mapping[str, Size]) -> Op:
        """The op with symbols in its sizes replaced."""
        new = {f.name: _substituted(getattr(self, f.name), values) for f in fields(self)}
        return replace(self, **new) if new else self


def _bound(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Size):
        return Size.of(value.evaluate(sizes))
    if isinstance(value, Type):
        return Type(value.dtype, tuple((n, Size.of(s.evaluate(sizes))) for n, s in value.axes))
    if hasattr(value, "bind"):
        return value.bind(sizes)
    return tuple(_bound(v, sizes) for v in value) if isinstance(value, tuple) else value


def _substituted(value: Any, values: Mapping[str, Size]) -> Any:
    if hasattr(value, "substitute"):
        return value.substitute(values)
    return tuple(_substituted(v, values) for v in value) if isinstance(value, tuple) else value


REGISTRY: dict[str, type[Op]] = {}
C = TypeVar("C", bound=type[Op])


def register(cls: C) -> C:
    """Make an op known by its name."""
    if cls.family not in FAMILIES or cls.name in REGISTRY:
        raise TypeError(f"{cls.__name__}: unknown family or second op of this name")
    REGISTRY[cls.name] = cls
    return cls
