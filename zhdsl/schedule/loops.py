"""Loops: a scan becomes a `Loop` whose kernels see the current slices through offsets with the loop's counter.

Nothing is copied per step that a view can show: slices are views of the whole input, emits are written into the stack
at their place. A carry whose values on entry are asked for (by the derivative) lives in a stack of size + 1, each step
reading one entry and writing the next; another carry has one buffer that the step overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zhdsl.ir.node import Node, topological
from zhdsl.ir.sizes import Size
from zhdsl.ops.loop import Scan
from zhdsl.schedule.tape import Pending, Tape
from zhdsl.schedule.views import ONE, ZERO, View, drop, narrow

PlaceAll = Callable[[Tape, Sequence[Node]], None]


@dataclass(frozen=True)
class Carry:
    """A carried value: where a step reads it and writes the next one, and what the loop leaves.

    `entries` and `exits` are all its values before and after a step, if there is a stack of them.
    """

    buffer: View
    read: View
    write: View
    first: View
    final: View
    entries: View | None = None
    exits: View | None = None


def place_scan(tape: Tape, node: Node, place_all: PlaceAll) -> None:
    """Write a loop; the results that are asked for get their places in `tape.results`."""
    op = node.op
    assert isinstance(op, Scan)
    body, asked = op.body, tape.picked.get(node, set())
    operands = [tape.values[x] for x in node.operands]
    depth = tape.depth
    counter = tape.fresh("@")
    carries = [_carry(tape, op, i, counter, depth, asked) for i in range(body.carries)]
    for carry, initial in zip(carries, operands, strict=False):
        tape.move(initial, carry.first, depth)
    emits = [i for i in range(len(body.emits)) if i in asked]
    saved = tape.mark()
    _enter(tape, op, counter, operands, carries)
    place_all(tape, topological([*body.next, *(body.emits[i] for i in emits)]))
    for i in emits:
        known = _known_stack(body.emits[i], op, carries)
        tape.results[node, i] = _emit(tape, op, i, counter, depth) if known is None else known
    _advance(tape, [tape.values[n] for n in body.next], carries)
    tape.write(Pending(counter, op.size, op.reverse, tape.close_loop()), depth)
    tape.forget(saved)
    for i, carry in enumerate(carries):
        tape.settle(carry.buffer, depth)
        tape.results[node, op.final(i)] = carry.final
        if carry.entries is not None:
            tape.results[node, op.entry(i)] = carry.entries


def _enter(tape: Tape, op: Scan, counter: str, operands: Sequence[View], carries: Sequence[Carry]) -> None:
    """Open the loop and give the body's slots their places."""
    body, n = op.body, op.body.carries
    tape.open_loop(counter)
    for carry in carries:
        tape.settle(carry.buffer, tape.depth)
    slices = [drop(x, op.label, counter) for x in operands[n : n + body.slices]]
    views = [*(c.read for c in carries), *slices, *operands[n + body.slices :]]
    tape.values.update(zip(body.slots, views, strict=True))


def _carry(tape: Tape, op: Scan, i: int, counter: str, depth: int, asked: set[int]) -> Carry:
    """Memory for a carry: a stack of all its values if they are asked for, else a single one."""
    slot, new = op.body.slots[i], op.body.next[i]
    order = tape.layout.natural.get(slot, tape.layout.order(new))
    axes = [(n, slot.type.sizes[n]) for n in order]
    emitted = any(j in asked for j, node in enumerate(op.body.emits) if node in (slot, new))
    if op.entry(i) not in asked and not emitted:
        one = tape.buffer(slot.type.dtype, axes, depth)
        return Carry(one, one, one, one, one)
    stack = tape.stack(slot.type.dtype, [(op.label, op.size + 1), *axes], depth)
    at = Size.of(counter)
    read, write = (at + 1, at) if op.reverse else (at, at + 1)
    first, last = (op.size, ZERO) if op.reverse else (ZERO, op.size)
    low, high = (narrow(stack, op.label, start, op.size) for start in (ZERO, ONE))
    entries, exits = (high, low) if op.reverse else (low, high)
    here, there, begin, end = (drop(stack, op.label, p) for p in (read, write, first, last))
    return Carry(stack, here, there, begin, end, entries, exits)


def _known_stack(emit: Node, op: Scan, carries: Sequence[Carry]) -> View | None:
    """Where the emitted values are anyway: a carry before or after every step."""
    for slot, new, carry in zip(op.body.slots, op.body.next, carries, strict=False):
        found = {new: carry.exits, slot: carry.entries}.get(emit)
        if found is not None:
            return found
    return None


def _emit(tape: Tape, op: Scan, i: int, counter: str, depth: int) -> View:
    """Stack an emitted value: one entry per step."""
    node = op.body.emits[i]
    value = tape.values[node]
    axes = [(n, node.type.sizes[n]) for n in value.labels]
    stack = tape.stack(node.type.dtype, [(op.label, op.size), *axes], depth)
    tape.move(value, drop(stack, op.label, counter), depth + 1)
    return stack


def _advance(tape: Tape, values: Sequence[View], carries: Sequence[Carry]) -> None:
    """Write the next carries. A value that is itself a carry is saved first, for it may be overwritten."""
    overwritten = {c.buffer.buffer for c in carries if c.entries is None}
    depth = tape.depth
    pairs = [(v, c.write) for v, c in zip(values, carries, strict=True) if v != c.write]
    saved = [tape.copy(v, v.labels) if v.buffer in overwritten else v for v, _ in pairs]
    for value, (_, target) in zip(saved, pairs, strict=True):
        tape.move(value, target, depth)
