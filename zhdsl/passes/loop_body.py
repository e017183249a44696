"""What the passes on loops share: a body's value over all steps at once, and further slots.

By-name ops make this simple: a slice replaced by the whole tensor has one label more, and so has all that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zhdsl.ir.body import Body
from zhdsl.ir.node import NOWHERE, Node, apply, builder, make, topological
from zhdsl.ir.op import Op
from zhdsl.ir.types import Type
from zhdsl.ops.index import Scatter
from zhdsl.ops.loop import Scan


class Lifting:
    """Values of a scan's body outside of it, for all steps: slices are whole tensors, captured values themselves."""

    def __init__(self, node: Node):
        assert isinstance(node.op, Scan)
        self.label, self.size = node.op.label, node.op.size
        body = node.op.body
        self.known = dict(zip(body.slots[body.carries :], node.operands[body.carries :], strict=True))

    def can(self, n: Node) -> bool:
        """Whether a value needs no carried one and no loop within, and has no axis of the loop's name."""
        known = all(x in self.known or (x.op.name not in ("slot", "scan", "project")) for x in self._needed(n))
        return known and not self.clashes(n)

    def clashes(self, n: Node) -> bool:
        """Whether something in a step has an axis of the loop's name already: it is not the loop's."""
        return any(self.label in x.type.sizes for x in topological([n]))

    def _needed(self, n: Node) -> Sequence[Node]:
        return [x for x in topological([n]) if not x.operands or x.op.family == "loop"]

    def lift(self, n: Node) -> Node:
        """The value over all steps; without the axis where no step differs from another."""
        b = builder()
        for x in topological([n], self.known):
            operands = self._alike(x, tuple(self.known[y] for y in x.operands))
            with b.at(b.origins.get(x, NOWHERE)):
                self.known[x] = make(self._op(x, operands), *operands)
            b.note(self.known[x], NOWHERE, b.names.get(x))
        return self.known[n]

    def _alike(self, x: Node, operands: tuple[Node, ...]) -> tuple[Node, ...]:
        """The operands, all with the axis if one has it, where the op wants them alike."""
        if x.op.name not in ("concat", "scatter") or all(self.label not in y.type.sizes for y in operands):
            return operands
        wanted = operands if x.op.name == "concat" else operands[:1]
        axes = ((self.label, self.size),)
        full = (y if self.label in y.type.sizes else apply("expand", y, axes=axes) for y in wanted)
        return (*full, *operands[len(wanted) :])

    def _op(self, x: Node, operands: Sequence[Node]) -> Op:
        """The op with the axis in its attributes, where it states a whole type."""
        op = x.op
        if isinstance(op, Scatter) and any(self.label in y.type.sizes for y in operands):
            return replace(op, type=op.type.extended([(self.label, self.size)]))
        return op

    def over_steps(self, n: Node) -> Node:
        """The value over all steps, repeated along the axis if it has none."""
        whole = self.lift(n)
        if self.label in whole.type.sizes:
            return whole
        return apply("expand", whole, axes=((self.label, self.size),))


def extra_slots(body: Body, types: Sequence[Type]) -> tuple[Node, ...]:
    """Slots for a body that it does not have yet."""
    ops = [s.op for s in body.slots]
    key = max(getattr(op, "key", 0) for op in ops)
    index = max(getattr(op, "index", 0) for op in ops) + 1
    return tuple(apply("slot", key=key, index=index + i, type=t) for i, t in enumerate(types))
