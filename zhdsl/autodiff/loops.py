"""The derivative of a scan is a scan in the other direction.

    forward    c_t, e_t = body(c_{t-1}, x_t, w)
    backward   dc_{t-1}, dx_t, dw_t = vjp of body at (c_{t-1}, x_t, w) from (dc_t, de_t);  dw += dw_t

The forward scan offers the carries on entry, so the backward body recomputes one step from them. Gradients of captured
values are carried as sums; the pass that sinks them out of the loop makes one product over the axis of each.
Source: the adjoint of a recurrence; Werbos, Backpropagation through time, 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from zhdsl.autodiff.naming import name_slots
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import Node, apply, make, rebuild
from zhdsl.ir.types import Type
from zhdsl.ops.loop import Scan, project

Gradients = Callable[[Sequence[Node], Sequence[Node | None], Sequence[Node]], tuple[Node | None, ...]]


def scan_vjp(node: Node, cotangents: Mapping[int, Node], gradients: Gradients) -> tuple[Node | None, ...]:
    """Cotangents of a scan's operands, from those of its results by index."""
    parts = _Parts(node, cotangents)
    slots = _Slots(parts)
    back = parts.run(slots.body(gradients))
    found: list[Node | None] = [None] * len(parts.body.slots)
    assert isinstance(back.op, Scan)
    for k, i in enumerate((*parts.carried, *parts.captured)):
        found[i] = parts.named_back(project(back, back.op.final(k)))
    for k, i in enumerate(parts.sliced):
        found[i] = project(back, k)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Parts:
    """A scan, and which of its slots and results take part in the derivative."""

    node: Node
    cotangents: Mapping[int, Node]

    @cached_property
    def scan(self) -> Scan:
        assert isinstance(self.node.op, Scan)
        return self.node.op

    @property
    def body(self) -> Body:
        return self.scan.body

    def _floats(self, start: int, stop: int) -> list[int]:
        return [i for i in range(start, stop) if self.body.slots[i].type.is_float]

    @cached_property
    def carried(self) -> list[int]:
        return self._floats(0, self.body.carries)

    @cached_property
    def sliced(self) -> list[int]:
        return self._floats(self.body.carries, self.first_captured)

    @cached_property
    def captured(self) -> list[int]:
        return self._floats(self.first_captured, len(self.body.slots))

    @property
    def first_captured(self) -> int:
        return self.body.carries + self.body.slices

    @property
    def stacked(self) -> tuple[Node, ...]:
        """What a step gives to the stacked results: emits, then carries on entry."""
        return (*self.body.emits, *self.body.slots[: self.body.carries])

    @cached_property
    def seen(self) -> list[int]:
        """Stacked results that have a cotangent."""
        return [i for i, n in enumerate(self.stacked) if i in self.cotangents and n.type.is_float]

    @cached_property
    def cut(self) -> Node | None:
        """For truncated scans, whether the gradient stops before step t: bool over the axis."""
        if not self.scan.truncate:
            return None
        t = apply("iota", label=self.scan.label, size=self.scan.size)
        k, zero = (apply("const", value=n, dtype="i32") for n in (self.scan.truncate, 0))
        return apply("eq", apply("mod", t, k), zero)

    # A captured value may have an axis of the loop's name, a carried one may not: in the backward loop, which carries
    # its gradient, that axis has another name.
    @cached_property
    def other(self) -> str:
        """A label that no slot has."""
        label, taken = f"{self.scan.label}'", {n for slot in self.body.slots for n in slot.type.labels}
        while label in taken:
            label += "'"
        return label

    def renamed(self, type_: Type) -> Type:
        return type_.renamed({self.scan.label: self.other})

    def named(self, node: Node, old: str, new: str) -> Node:
        return apply("relabel", node, names=((old, new),)) if old in node.type.sizes else node

    def named_away(self, node: Node) -> Node:
        return self.named(node, self.scan.label, self.other)

    def named_back(self, node: Node) -> Node:
        return self.named(node, self.other, self.scan.label)

    def run(self, body: Body) -> Node:
        """The backward scan: cotangents of final carries and zeros as initial values."""
        scan, nc = self.scan, self.body.carries
        finals = [self.cotangents.get(scan.final(i)) for i in self.carried]
        inits = [
            g if g is not None else _zeros(self.body.slots[i].type) for g, i in zip(finals, self.carried, strict=True)
        ]
        inits += [_zeros(self.renamed(self.body.slots[i].type)) for i in self.captured]
        slices = [] if self.cut is None else [self.cut]
        slices += self.node.operands[nc : self.first_captured]
        slices += [project(self.node, scan.entry(i)) for i in range(nc)]
        slices += [self.cotangents[i] for i in self.seen]
        op = Scan(scan.label, scan.size, not scan.reverse, 0, body)
        return make(op, *inits, *slices, *map(self.named_away, self.node.operands[self.first_captured :]))


class _Slots:
    """The slots of the backward body, in order.

    Carried: cotangents of carries, sums for captured values. Slices: the cut (if truncated), the forward slices, the
    carries on entry, cotangents of results. Captured: what the forward body captures.
    """

    def __init__(self, parts: _Parts):
        self.parts, body = parts, parts.body
        nc, first = body.carries, parts.first_captured
        groups: list[list[Type]] = [
            [body.slots[i].type for i in parts.carried],
            [parts.renamed(body.slots[i].type) for i in parts.captured],
            [] if parts.cut is None else [parts.cut.type.without([parts.scan.label])],
            [s.type for s in body.slots[nc:first]],
            [s.type for s in body.slots[:nc]],
            [parts.stacked[i].type for i in parts.seen],
            [parts.renamed(s.type) for s in body.slots[first:]],
        ]
        self.all = new_slots([t for group in groups for t in group])
        taken = iter(self.all)
        made = [[next(taken) for _ in group] for group in groups]
        self.d_carry, self.sums, self.cut, self.slices, self.entry, self.d_stacked, self.captures = made

    def body(self, gradients: Gradients) -> Body:
        """One step backward: the forward step again, and the vjp of it."""
        parts = self.parts
        old = parts.body.slots
        name_slots(self.d_carry, [old[i] for i in parts.carried])
        captures = dict(zip(old[parts.first_captured :], self.captures, strict=True))
        given = dict(zip(old, (*self.entry, *self.slices, *map(parts.named_back, self.captures)), strict=True))
        outputs = rebuild((*parts.body.next, *parts.stacked), lambda n, operands: None, given)
        after = [outputs[i] for i in parts.carried] + [outputs[parts.body.carries + i] for i in parts.seen]
        wrt = [captures.get(old[i], given[old[i]]) for i in (*parts.carried, *parts.captured, *parts.sliced)]
        found = gradients(after, [*self.d_carry, *self.d_stacked], wrt)
        grads = iter(g if g is not None else _zeros(w.type) for g, w in zip(found, wrt, strict=True))
        before = [self._until_cut(next(grads)) for _ in self.d_carry]
        sums = [total + next(grads) for total in self.sums]
        slices = len(self.cut) + len(self.slices) + len(self.entry) + len(self.d_stacked)
        return Body(len(before) + len(sums), slices, self.all, (*before, *sums), tuple(grads))

    def _until_cut(self, g: Node) -> Node:
        """The cotangent of a carry, zero where truncation stops it."""
        if not self.cut:
            return g
        return apply("where", self.cut[0], apply("const", value=0.0, dtype=g.type.dtype), g)


def _zeros(type_: Type) -> Node:
    zero = apply("const", value=0.0, dtype=type_.dtype)
    return apply("expand", zero, axes=type_.axes) if type_.axes else zero
