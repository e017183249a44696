"""Contractions as matrix products: sum[K](a * b) with a: batch + M + K, b: batch + K + N, result: batch + M + N.

A library product wants each of M, N, K to be one run of memory, and one of every matrix's two strides to be 1. Views
that are so already are used as they are (transposed ones too); another is copied first, and if it is large or the
overlapping view of a window, only a piece at a time. The product over the union of labels never exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from zhdsl.ir.node import Node
from zhdsl.ops.contract import Contract
from zhdsl.ops.elementwise import Add, Mul
from zhdsl.ops.reduce import Sum
from zhdsl.schedule import pieces
from zhdsl.schedule.program import Kernel, Step, Tile
from zhdsl.schedule.tape import Copy, Tape
from zhdsl.schedule.views import View, arranged, by_stride, merged_stride, sample, without

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Sides:
    """The two operands by size, and the labels by what they do.

    Attributes:
        big, small: the operands; `swapped` if the larger one is the second.
        batch: labels of both that stay; summed: labels of both that do not, as they lie in the larger operand.
    """

    big: View
    small: View
    swapped: bool
    batch: Labels
    summed: Labels

    def outer(self, view: View) -> Labels:
        """The labels that only this operand has, as they lie in it."""
        return tuple(n for n in by_stride(view) if n not in self.batch and n not in self.summed)


def place_product(tape: Tape, node: Node, a: View, b: View) -> View:
    """Write the steps of a contraction.

    Returns:
        The result's place; labels along which both operands merely repeat are left out.
    """
    assert isinstance(node.op, Contract)
    a, b, labels = plain(tape, a, b, node.op.labels)
    if not labels:
        order = tuple(dict.fromkeys((*a.labels, *b.labels)))
        return tape.step(Mul(), (a, b), node.type.dtype, [(n, node.type.sizes[n]) for n in order], node)
    sides = sides_of(a, b, labels)
    if not sides.outer(sides.big) and not sides.outer(sides.small) and not _dots(sides):
        return _weighed(tape, node, sides)
    return _multiplied(tape, node, sides, result_order(sides, tape.layout.wishes.get(node)))


def plain(tape: Tape, a: View, b: View, labels: Sequence[str]) -> tuple[View, View, tuple[str, ...]]:
    """The operands without labels along which one of them repeats: sums over those concern the other one alone."""
    for label in labels:
        if label not in a.varying and label not in b.varying:
            a = tape.copy(a, a.labels)
    a, b = (without(v, {n for n in v.labels if n not in v.varying}) for v in (a, b))
    alone_a, alone_b = ([n for n in labels if n not in v.sizes] for v in (b, a))
    both = tuple(n for n in labels if n in a.sizes and n in b.sizes)
    return _summed(tape, a, alone_a), _summed(tape, b, alone_b), both


def _summed(tape: Tape, view: View, labels: Sequence[str]) -> View:
    if not labels:
        return view
    axes = [axis for axis in view.axes if axis[0] not in labels]
    return tape.step(Sum(tuple(labels)), (view,), tape.buffers[view.buffer].dtype, axes)


def sides_of(a: View, b: View, labels: Sequence[str]) -> Sides:
    """The operands of a contraction by size, with the roles of their labels."""
    swapped = _weight(b) > _weight(a)
    big, small = (b, a) if swapped else (a, b)
    batch = tuple(n for n in by_stride(big) if n in small.sizes and n not in labels)
    return Sides(big, small, swapped, batch, tuple(n for n in by_stride(big) if n in labels))


def _weight(view: View) -> tuple[bool, int]:
    """What has a size that is not known is data and leads; weights follow."""
    return bool(view.count.symbols), sample(view.count)


# ---------------------------------------------------------------- the result's order
def result_order(sides: Sides, wish: Labels | None) -> Labels:
    """The order wished for if a product can write it without a copy, else batch + larger + smaller operand's."""
    big, small = sides.outer(sides.big), sides.outer(sides.small)
    default = (*sides.batch, *big, *small)
    if wish is None:
        return default
    order = tuple(n for n in wish if n in default)
    ends_well = len(order) == len(default) and (not order or order[-1] not in sides.batch or not (big or small))
    if not ends_well or (overlaps(sides.big) and tuple(n for n in order if n in big) != big):
        return default
    return order


# ---------------------------------------------------------------- without a matrix: every label is in both operands
def _dots(sides: Sides) -> bool:
    """Whether the sums run over contiguous memory in both operands."""
    return all(merged_stride(view, sides.summed) == 1 for view in (sides.big, sides.small))


def _weighed(tape: Tape, node: Node, sides: Sides) -> View:
    """Products into scratch, then sums, piece by piece: many short strided sums are no work for a library."""
    view, dtype = sides.big, node.type.dtype
    order = by_stride(view)
    tile = pieces.tile(view, order[0], pieces.ELEMENTWISE)
    depth = tape.depth_of((sides.big, sides.small))
    scratch = tape.local(dtype, pieces.axes(arranged(view, order).axes, tile))
    out = tape.buffer(dtype, [(n, node.type.sizes[n]) for n in sides.batch], depth)
    steps = [Step(Mul(), (sides.big, sides.small), scratch)]
    return _accumulated(tape, steps, Step(Sum(sides.summed), (scratch,), out, node), tile, depth)


def _accumulated(tape: Tape, steps: list[Step], last: Step, tile: Tile | None, depth: int) -> View:
    """Write a kernel that ends in this step; where pieces divide what is summed, every piece adds its part."""
    out = last.output
    if tile is None or tile.label in out.sizes:
        steps = [*steps, last]
    else:
        tape.fill(0.0, out, depth)
        part = tape.local(tape.buffers[out.buffer].dtype, out.axes)
        steps = [*steps, replace(last, output=part), Step(Add(), (out, part), out)]
    tape.write(Kernel("", "contract", tuple(steps), tile), depth)
    return out


# ---------------------------------------------------------------- what must be copied
def overlaps(view: View) -> bool:
    """Whether elements show at several indices, as in a window; judged by sample sizes."""
    reach = 1
    for label in reversed(by_stride(view)):
        stride, size = abs(sample(view.strides[label])), sample(view.sizes[label])
        if size == 1:
            continue
        if stride < reach:
            return True
        reach = stride * (size - 1) + reach
    return False


def ready(view: View, outer: Sequence[str], summed: Sequence[str]) -> bool:
    """Whether a library takes it as a matrix: the summed labels are one run, and a stride of each matrix is 1."""
    inner = merged_stride(view, summed)
    if inner is None or sample(inner) < 0:
        return False
    outer = [n for n in outer if view.sizes[n] != 1]
    if not outer:
        return True
    if overlaps(view) or any(sample(view.strides[n]) < 0 for n in outer):
        return False
    return inner == 1 or any(view.strides[n] == 1 for n in outer)


def _copied(sides: Sides, order: Labels) -> tuple[frozenset[str], frozenset[str]]:
    """Which operands (`big`, `small`) to copy: those that are large or overlapping, and all."""
    bad = set()
    for name, view in (("big", sides.big), ("small", sides.small)):
        outer = sides.outer(view)
        scattered = name == "small" and not view.count.symbols and not _runs(view, outer, order)
        if scattered or not ready(view, outer, sides.summed):
            bad.add(name)
    large = {name for name in bad if (view := getattr(sides, name)).count.symbols or overlaps(view)}
    return frozenset(large), frozenset(bad)


def _runs(view: View, outer: Labels, order: Labels) -> bool:
    """Whether labels that are neighbours in the result are one run in the operand too."""
    return all(merged_stride(view, pair) is not None for pair in pairwise(order) if set(pair) <= set(outer))


def _matrix_order(sides: Sides, view: View, order: Labels) -> Labels:
    """How a copy lies: batch, then rows and columns, what is innermost in the original innermost."""
    outer = sides.outer(view)
    if not overlaps(view):
        outer = tuple(n for n in order if n in outer)
    last = next((n for n in reversed(by_stride(view)) if n not in sides.batch), "")
    matrix = (*outer, *sides.summed) if last in sides.summed else (*sides.summed, *outer)
    return (*sides.batch, *matrix)


def _cut(sides: Sides, order: Labels, large: frozenset[str]) -> str | None:
    """The label along which operands are copied in pieces: the one that jumps farthest in the first of them.

    Of the summed labels only the outermost will do: pieces of another would be no single run.
    """
    if not large:
        return None
    view = sides.big if "big" in large else sides.small
    return next((n for n in by_stride(view) if n in order or n == sides.summed[0]), None)


# ---------------------------------------------------------------- the steps
def _multiplied(tape: Tape, node: Node, sides: Sides, order: Labels) -> View:
    """A product, of copies where it must be: whole ones of what is small, piece by piece of what is large."""
    large, bad = _copied(sides, order)
    label = _cut(sides, order, large)
    views = {"big": sides.big, "small": sides.small}
    large = frozenset(name for name in large if label in views[name].sizes)
    for name in sorted(bad - large):
        views[name] = tape.copy(views[name], _matrix_order(sides, views[name], order))
    depth, dtype = tape.depth_of(views.values()), node.type.dtype
    tile, steps = None, []
    for name in sorted(large):
        assert label is not None
        tile = tile or pieces.tile(views[name], label, pieces.MATRIX)
        new = arranged(views[name], _matrix_order(sides, views[name], order)).axes
        local = tape.local(dtype, pieces.axes(new, tile))
        steps.append(Step(Copy(), (views[name],), local))
        views[name] = local
    out = tape.buffer(dtype, [(n, node.type.sizes[n]) for n in order], depth)
    operands = (views["small"], views["big"]) if sides.swapped else (views["big"], views["small"])
    last = Step(Contract(sides.summed), operands, out, node)
    if steps:
        return _accumulated(tape, steps, last, tile, depth)
    tape.write(last, depth)
    return out
