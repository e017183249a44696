"""Loops as `scan t over T from h = … { … emit y, last h }`.

The body is a scope of its own: slices are `x[t]`, captured values keep their outer names, and a carried name takes its
new value on the line that computes it as soon as nobody needs the old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zhdsl.ir.body import Body
from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.lang.decompile import syntax
from zhdsl.lang.decompile.value import Value
from zhdsl.lang.decompile.writer import Line, Writer, text
from zhdsl.ops.loop import Scan

SHORT_EMIT = 32  # columns of a value that stands behind `emit` without a name


def write_scan(outer: Writer, node: Node) -> None:
    """The lines of a loop, and the names of those of its results that are used."""
    _Loop(outer, node).write()


@dataclass(eq=False)
class _Carry:
    """A carried value: its name, its slot, what it becomes; `before` is the name of its value on entry, if read."""

    name: str
    slot: Node
    next: Node
    before: str = ""
    done: bool = False


class _BodyWriter(Writer):
    """Lines of a loop's body, where a carried name may take its new value."""

    carries: list[_Carry]
    emitted: list[Node]
    forward: bool

    def is_forward(self, node: Node) -> bool:
        return self.forward

    def place(self, node: Node, value: Value) -> None:
        for carry in self.carries:
            if carry.next is node and not carry.done and not value.literal and self._old_is_done(carry, node):
                carry.done = True
                self.put(carry.name, node, value)
                return
        super().place(node, value)

    def _old_is_done(self, carry: _Carry, node: Node) -> bool:
        """Whether nothing that is still to be printed needs the carried value before this step."""
        later = self.order[self.order.index(node) + 1 :]
        waiting = [x for n in later for x in n.operands if x is not node] + [e for e in self.emitted if e is not node]
        waiting += [c.next for c in self.carries if not c.done and c.next is not node]
        return not any(self._mentions(x, carry) for x in waiting)

    def _mentions(self, node: Node, carry: _Carry) -> bool:
        return node is carry.slot or (node in self.values and carry.name in self.values[node].names)

    def settle_emitted(self) -> None:
        """Name what is given out, unless it is short and the last assignments of carries do not change it."""
        left = {c.name for c in self.carries if not c.done and c.next is not c.slot}
        for node in self.emitted:
            value = self.values[node]
            brief = value.width <= SHORT_EMIT and node not in self.notes.names and left.isdisjoint(value.names)
            if not (value.is_name or value.literal or brief or node.op.name == "slot"):
                self.assign(node)

    def rest(self) -> Iterator[str]:
        """New values of the carries that have none yet: one by one while no other needs the old one, then at once."""
        left = [c for c in self.carries if not c.done and c.next is not c.slot]
        while left:
            free = [c for c in left if not any(c.name in self.values[o.next].names for o in left if o is not c)]
            chosen = free[:1] or left
            values = ", ".join(text(self.values[c.next].expr) for c in chosen)
            yield f"{', '.join(c.name for c in chosen)} = {values}"
            left = [c for c in left if c not in chosen]


class _Loop:
    """One loop on its way to lines."""

    def __init__(self, outer: Writer, node: Node):
        assert isinstance(node.op, Scan)
        self.outer, self.node, self.op = outer, node, node.op
        self.body: Body = node.op.body
        found = [n for n in outer.order if n.op.name == "project" and n.operands[0] is node]
        self.results = dict(sorted((getattr(n.op, "index", 0), n) for n in found))

    def write(self) -> None:
        """The operands get names, then the body is printed, then the header before it."""
        outer, ne, nc = self.outer, len(self.body.emits), self.body.carries
        first = nc + self.body.slices
        for i, operand in enumerate(self.node.operands[nc:], nc):
            outer.named(operand, short=i < first)
        emitted = [self.body.emits[i] for i in self.results if i < ne]
        own = [outer.notes.hints[n] for n in self.results.values() if n in outer.notes.hints]
        self.inner = _BodyWriter(outer.names.inner(own), outer.notes, (*self.body.next, *emitted), outer.level + 1)
        self.inner.counters = (*outer.counters, ("step of", self.node))
        self.inner.emitted, self.inner.forward = emitted, outer.is_forward(self.node)
        self.t = self.inner.names.fresh(self.op.label.lower())
        self._slots()
        self._entries([i - ne for i in self.results if ne <= i < ne + nc], emitted)
        self.inner.write(self.inner.order)
        self.inner.settle_emitted()
        lines = [*self.inner.lines, *(Line(line, None, self.inner.level) for line in self.inner.rest())]
        self._put([*lines, Line(f"emit {', '.join(map(self._emit, self.results))}", None, self.inner.level)])

    # ------------------------------------------------------------ what stands in the slots
    def _slots(self) -> None:
        body, inner, operands = self.body, self.inner, self.node.operands
        first = body.carries + body.slices
        inner.carries = [
            _Carry(inner.names.fresh(self._carry_name(i)), slot, after)
            for i, (slot, after) in enumerate(zip(body.slots, body.next, strict=False))
        ]
        for carry, init in zip(inner.carries, operands, strict=False):
            inner.values[carry.slot] = Value(syntax.name(carry.name), self.outer.values[init].order)
        for slot, whole in zip(body.slots[body.carries : first], operands[body.carries : first], strict=True):
            inner.values[slot] = self._slice(whole)
            if whole.op.name == "iota":
                inner.keys[slot] = ("step of", self.node)
        for slot, operand in zip(body.slots[first:], operands[first:], strict=True):
            inner.values[slot] = self.outer.values[operand]
            inner.keys[slot] = self.outer.key_of(operand)

    def _carry_name(self, i: int) -> str:
        names, last = self.outer.notes.names, self.results.get(len(self.body.emits) + self.body.carries + i)
        found = names.get(self.body.slots[i]) or names.get(self.body.next[i])
        return found or (self.outer.notes.hints.get(last) if last else None) or "c"

    def _slice(self, whole: Node) -> Value:
        value = self.outer.values[whole]
        order = tuple(label for label in value.order if label != self.op.label)
        return Value(syntax.index(value.expr, syntax.name(self.t)), order)

    def _entries(self, read: Sequence[int], emitted: Sequence[Node]) -> None:
        """`h_before = h`: values on entry that are given out."""
        inner = self.inner
        for i, carry in enumerate(inner.carries):
            if i in read or carry.slot in emitted:
                carry.before = inner.names.fresh(f"{carry.name}_before")
                inner.lines.append(Line(f"{carry.before} = {carry.name}", None, inner.level))

    # ------------------------------------------------------------ header and results
    def _emit(self, i: int) -> str:
        ne, nc = len(self.body.emits), self.body.carries
        if i >= ne + nc:
            return f"last {self.inner.carries[i - ne - nc].name}"
        carry = self._entry_of(i)
        return carry.before if carry else text(self.inner.values[self.body.emits[i]].expr)

    def _entry_of(self, i: int) -> _Carry | None:
        """The carry whose value on entry is the result i."""
        ne = len(self.body.emits)
        slot = self.body.slots[i - ne] if i >= ne else self.body.emits[i]
        return next((c for c in self.inner.carries if c.slot is slot), None)

    def _put(self, lines: Sequence[Line]) -> None:
        outer = self.outer
        place = self._place(lines)
        names = [outer.fresh(n, self._default(i)) for i, n in self.results.items()]
        binds = [
            f"{c.name} = {text(outer.values[x].expr)}"
            for c, x in zip(self.inner.carries, self.node.operands, strict=False)
        ]
        header = f"{', '.join(names)} = scan {self.t} over {self.op.label}{self._length(place)}"
        header += " reverse" * self.op.reverse + (f" truncate {self.op.truncate}" if self.op.truncate else "")
        header += f" from {', '.join(binds)}" if binds else ""
        outer.lines += [Line(f"{header} {{", self.node, outer.level), *lines, Line("}", None, outer.level)]
        for name, (i, node) in zip(names, self.results.items(), strict=True):
            outer.values[node] = Value(syntax.name(name), self._order(i, place or 0))

    def _length(self, place: int | None) -> str:
        known = place is not None or self.op.size == Size.of(self.op.label)
        return "" if known else f" = {text(syntax.size(self.op.size))}"

    def _place(self, lines: Sequence[Line]) -> int | None:
        """Where the axis of the loop stands in the first tensor of which the body takes a slice."""
        values = [self.outer.values[x] for x in self.node.operands[self.body.carries :]]
        orders = {text(syntax.index(v.expr, syntax.name(self.t))): v.order for v in values}
        for line in lines:
            found = [
                (m.start(), order)
                for s, order in orders.items()
                if (m := re.search(rf"(?<!\w){re.escape(s)}", line.text))
            ]
            if found:
                return min(found)[1].index(self.op.label)
        return None

    def _order(self, i: int, place: int) -> tuple[str, ...]:
        ne, nc = len(self.body.emits), self.body.carries
        if i >= ne + nc:
            return self.outer.values[self.node.operands[i - ne - nc]].order
        carry = self._entry_of(i)
        inside = self.outer.values[self.node.operands[self.inner.carries.index(carry)]] if carry else None
        order = list((inside or self.inner.values[self.body.emits[i]]).order)
        order.insert(min(place, len(order)), self.op.label)
        return tuple(order)

    def _default(self, i: int) -> str:
        """The name of a result that has none."""
        ne, nc = len(self.body.emits), self.body.carries
        if i >= ne + nc:
            return f"{self.inner.carries[i - ne - nc].name}_last"
        carry = self._entry_of(i)
        if carry:
            return carry.before
        value = self.inner.values[self.body.emits[i]]
        return text(value.expr) if value.is_name else "y"
