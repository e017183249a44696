"""Contraction: a sum of products, the matrix product of named axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node
from zhdsl.ir.op import register
from zhdsl.ir.types import Type, TypeProblem, union
from zhdsl.ops.families import Canonical, require_labels


@register
@dataclass(frozen=True)
class Contract(Canonical):
    """y = sum[labels](a * b); the product over the union is never made. Labels of both that stay are batch.

    Shapes    a: S ∪ labels, b: R ∪ labels -> y: S ∪ R      Dtypes  float, same -> same
    Gradient  da = g * b, db = g * a      (the fitting sums them, and so makes contractions of them again)
    """

    name: ClassVar[str] = "contract"
    family: ClassVar[str] = "contract"
    arity: ClassVar[int | None] = 2
    labels: tuple[str, ...]

    def infer(self, *types: Type) -> Type:
        a, b = types
        if a.dtype != b.dtype or not a.is_float:
            raise TypeProblem(f"contract takes two floats of one dtype, not {a.dtype} and {b.dtype}")
        require_labels("contract", a, self.labels)
        require_labels("contract", b, self.labels)
        return Type(a.dtype, union(types)).without(self.labels)

    def numpy(self, a: Array, b: Array, *, types: tuple[Type, Type], out: Type) -> Array:
        number = {label: i for i, (label, _) in enumerate(union(types))}
        subscripts = [[number[label] for label in t.labels] for t in (*types, out)]
        return np.asarray(np.einsum(a, subscripts[0], b, subscripts[1], subscripts[2], optimize=True))

    def vjp(self, g: Node, y: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
        return (g * b, g * a)
