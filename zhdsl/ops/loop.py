"""Loops: one body graph, run once per index of an axis, never unrolled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.body import Body
from zhdsl.ir.node import Node
from zhdsl.ir.op import Op, register
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem, axes_text

TUPLE = "tuple"  # the dtype of a node that stands for several values; `project` picks one


@register
@dataclass(frozen=True)
class Scan(Op):
    """The recurrence (c_t, e_t) = body(c_{t-1}, x_t), over an axis of `size` steps.

    Shapes    carries' initial values, sliced inputs (with the axis), captured values -> a tuple, see `results`
    Dtypes    any; carries keep theirs
    Gradient  a scan in the other direction over the same body, with the carries on entry as slices (autodiff.loops)

    `truncate` k cuts the gradient of the carries before every step t with t % k == 0 (truncated BPTT); 0: never.
    """

    name: ClassVar[str] = "scan"
    family: ClassVar[str] = "loop"
    arity: ClassVar[int | None] = None
    label: str
    size: Size
    reverse: bool
    truncate: int
    body: Body

    def infer(self, *types: Type) -> Type:
        body, given = self.body, list(types)
        if len(types) != len(body.slots) or len(body.next) != body.carries:
            raise TypeProblem(f"scan: {len(types)} operands for {len(body.slots)} slots")
        for i in range(body.carries, body.carries + body.slices):
            if types[i].sizes.get(self.label) != self.size:
                raise TypeProblem(f"scan over {self.label}={self.size}: {types[i]} has not this axis")
            given[i] = types[i].without([self.label])
        for slot, type_ in zip(body.slots, given, strict=True):
            if slot.type != type_:
                raise TypeProblem(f"scan: {type_} is given for a slot of {slot.type}")
        for slot, new in zip(body.slots, body.next, strict=False):
            if slot.type != new.type:
                raise TypeProblem(f"scan: a carried value changes its type, {slot.type} to {new.type}")
        return Type(TUPLE)

    @property
    def results(self) -> tuple[Type, ...]:
        """What `project` can pick: emits stacked, carries on entry stacked, final carries."""
        carries = self.body.slots[: self.body.carries]
        stacked = tuple(n.type.extended([(self.label, self.size)]) for n in (*self.body.emits, *carries))
        return stacked + tuple(n.type for n in carries)

    def entry(self, carry: int) -> int:
        """The result's index of the stacked values of a carry on entry."""
        return len(self.body.emits) + carry

    def final(self, carry: int) -> int:
        """The result's index of a carry's value after the last step."""
        return len(self.body.emits) + self.body.carries + carry

    def run(
        self,
        evaluate: Callable[..., list[Array]],
        arrays: Sequence[Array],
        operand_types: Sequence[Type],
        sizes: Mapping[str, int],
        dtype: Any,
    ) -> list[Array]:
        """The meaning, one step after the other with `evaluate` for the body; arrays in canonical order."""
        body, nc, nx = self.body, self.body.carries, self.body.slices
        steps = self.size.evaluate(sizes)
        axes = [operand_types[nc + i].index(self.label) for i in range(nx)]
        carries = [np.asarray(a) for a in arrays[:nc]]
        stacked: list[list[Array]] = [[] for _ in range(len(body.emits) + nc)]
        order = range(steps - 1, -1, -1) if self.reverse else range(steps)
        for t in order:
            slices = [np.take(a, t, axis=k) for a, k in zip(arrays[nc : nc + nx], axes, strict=True)]
            values = dict(zip(body.slots, [*carries, *slices, *arrays[nc + nx :]], strict=True))
            out = evaluate([*body.next, *body.emits], values, sizes, dtype)
            for store, value in zip(stacked, [*out[nc:], *carries], strict=True):
                store.append(value)
            carries = out[:nc]
        return [self._stack(s, t, sizes) for s, t in zip(stacked, self.results, strict=False)] + carries

    def _stack(self, values: list[Array], type_: Type, sizes: Mapping[str, int]) -> Array:
        if not values:
            return np.zeros(type_.shape(sizes))
        return np.stack(values[::-1] if self.reverse else values, axis=type_.index(self.label))


@register
@dataclass(frozen=True)
class Project(Op):
    """One value of a loop's results.

    Shapes    tuple -> the result's type          Dtypes  the result's
    Gradient  gathered per loop by autodiff
    """

    name: ClassVar[str] = "project"
    family: ClassVar[str] = "loop"
    index: int
    type: Type

    def infer(self, *types: Type) -> Type:
        if types[0].dtype != TUPLE:
            raise TypeProblem(f"project: {types[0].dtype}{axes_text(types[0].axes)} is no tuple")
        return self.type


def project(scan: Node, index: int) -> Node:
    """The `index`-th result of a scan node."""
    from zhdsl.ir.node import make

    assert isinstance(scan.op, Scan)
    return make(Project(index, scan.op.results[index]), scan)


@register
@dataclass(frozen=True)
class Override(Op):
    """A value y = f(xs) whose derivative is given: operands are y and the xs, the value is y.

    Shapes    y: S, xs -> S               Dtypes  any
    Gradient  the body with slots (xs, y, dy) and one emit per x; y itself gets none

    Source: `fn … { } grad (dy) { }` of the language. `verified` by runtime against the symbolic derivative.
    """

    name: ClassVar[str] = "override"
    family: ClassVar[str] = "movement"
    arity: ClassVar[int | None] = None
    label: str
    body: Body

    def infer(self, *types: Type) -> Type:
        if len(self.body.slots) != len(types) + 1:
            raise TypeProblem(f"{self.label}: {len(types) - 1} operands for {len(self.body.slots) - 2} slots")
        return types[0]

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        return arrays[0]

    def vjp(self, g: Node, y: Node, value: Node, *xs: Node) -> tuple[Node | None, ...]:
        return (None, *inline(self.body, [*xs, value, g]))


def inline(body: Body, values: Sequence[Node]) -> tuple[Node, ...]:
    """The body's emits with its slots replaced by nodes."""
    from zhdsl.ir.node import rebuild

    return rebuild(body.emits, lambda node, operands: None, dict(zip(body.slots, values, strict=True)))
