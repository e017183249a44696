"""The body of a loop: a closed piece of graph, what one step computes.

Its inputs are `slot` nodes, in order: the carried values, the current slices, the captured values. It names the next
carried values and what is emitted. Nothing in it refers to a node outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from zhdsl.ir.node import Node, apply, rebuild, topological
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type

_keys = itertools.count(1)


@dataclass(frozen=True, eq=False)
class Body:
    """One step of a loop.

    Attributes:
        carries: how many of the slots are carried values.
        slices: how many of the slots after them are slices.
        slots: all inputs; those after carries and slices are captured.
        next: the carried values after the step, one per carry.
        emits: what the step gives out.
    """

    carries: int
    slices: int
    slots: tuple[Node, ...]
    next: tuple[Node, ...]
    emits: tuple[Node, ...]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that a step computes, operands first; slots included where they are used."""
        return topological((*self.next, *self.emits))

    @property
    def outputs(self) -> tuple[Node, ...]:
        return (*self.next, *self.emits)

    def with_outputs(self, outputs: Sequence[Node]) -> Body:
        """The same slots and counts, other outputs (next, then emits)."""
        n = len(self.next)
        return Body(self.carries, self.slices, self.slots, tuple(outputs[:n]), tuple(outputs[n:]))

    def mapped(self, change: Callable[[Any], Any]) -> Body:
        """The body with `change` applied to every op, slots included."""
        new_slots = tuple(_renewed(s, change) for s in self.slots)
        given = dict(zip(self.slots, new_slots, strict=True))

        def renew(node: Node, operands: tuple[Node, ...]) -> Node:
            from zhdsl.ir.node import make

            return make(change(node.op), *operands)

        outputs = rebuild(self.outputs, renew, given)
        return Body(self.carries, self.slices, new_slots, outputs[: len(self.next)], outputs[len(self.next) :])

    def bind(self, sizes: Mapping[str, int]) -> Body:
        """The body with all sizes evaluated."""
        from zhdsl.ir.node import Builder

        with Builder():
            return self.mapped(lambda op: op.bind(sizes))

    def substitute(self, values: Mapping[str, Size]) -> Body:
        return self.mapped(lambda op: op.substitute(values))


def _renewed(slot: Node, change: Callable[[Any], Any]) -> Node:
    from zhdsl.ir.node import make

    return make(change(slot.op))


def new_slots(types: Sequence[Type]) -> tuple[Node, ...]:
    """Slots of a body that is about to be made, with a key that no other body has."""
    key = next(_keys)
    return tuple(apply("slot", key=key, index=i, type=t) for i, t in enumerate(types))


def bodies(op: Op) -> list[Body]:
    """The bodies among an op's fields."""
    return [value for f in fields(op) if isinstance(value := getattr(op, f.name), Body)]
