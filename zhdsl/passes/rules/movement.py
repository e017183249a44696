"""Rules of slice, pad, concat, flip, drop, split, merge, window, fold, gather: moves that cancel or join."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from zhdsl.ir.node import Node, apply, make
from zhdsl.ir.sizes import Size
from zhdsl.ops.index import Gather
from zhdsl.ops.movement import Concat, Drop, Expand, Flip, Merge, Pad, Slice, Split
from zhdsl.ops.source import Iota
from zhdsl.ops.window import Fold, Window
from zhdsl.passes.patterns import at_most, is_op, spread
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.broadcast import renamed


def sliced(x: Node, label: str, start: Size, size: Size) -> Node:
    """A part of x, or x itself where the part is all of it."""
    if start == 0 and size == x.type.sizes[label]:
        return x
    return apply("slice", x, label=label, start=start, size=size)


def padded(x: Node, label: str, low: Size, high: Size, fill: float = 0.0) -> Node:
    """x padded, or x itself where nothing is added."""
    return x if low == 0 and high == 0 else apply("pad", x, label=label, low=low, high=high, fill=fill)


# ---------------------------------------------------------------- slice
def slice_of_all(n: Node) -> Node | None:
    """A slice of the whole axis is x; slice(slice(x)) is one slice."""
    assert isinstance(n.op, Slice)
    (x,), op = n.operands, n.op
    if op.size == x.type.sizes[op.label]:
        return x
    if isinstance(x.op, Slice) and x.op.label == op.label:
        return sliced(x.operands[0], op.label, x.op.start + op.start, op.size)
    return None


def slice_of_pad(n: Node) -> Node | None:
    """A slice that meets no padding is a slice of x."""
    assert isinstance(n.op, Slice)
    (x,), op = n.operands, n.op
    if not isinstance(x.op, Pad) or x.op.label != op.label:
        return None
    (inner,) = x.operands
    start = op.start - x.op.low
    if at_most(0, start) and at_most(start + op.size, inner.type.sizes[op.label]):
        return sliced(inner, op.label, start, op.size)
    return None


def slice_of_concat(n: Node) -> Node | None:
    """A slice of a concat is a concat of slices of the operands it meets."""
    assert isinstance(n.op, Slice)
    (x,), op = n.operands, n.op
    if not isinstance(x.op, Concat) or x.op.label != op.label:
        return None
    parts, at, end = [], Size.of(0), op.start + op.size
    for operand in x.operands:
        behind = at + operand.type.sizes[op.label]
        if not (at_most(behind, op.start) or at_most(end, at)):
            low = at if at_most(op.start, at) else op.start if at_most(at, op.start) else None
            high = behind if at_most(behind, end) else end if at_most(end, behind) else None
            if low is None or high is None or not at_most(low, high):
                return None
            parts.append(sliced(operand, op.label, low - at, high - low))
        at = behind
    return joined(parts, op.label) if parts else None


def slice_of_flip(n: Node) -> Node | None:
    """slice(flip(x)) = flip(slice(x)), from the other end"""
    assert isinstance(n.op, Slice)
    (x,), op = n.operands, n.op
    if not isinstance(x.op, Flip) or x.op.label != op.label:
        return None
    start = x.type.sizes[op.label] - op.start - op.size
    return make(x.op, sliced(x.operands[0], op.label, start, op.size))


# ---------------------------------------------------------------- pad and concat
def pad_of_pad(n: Node) -> Node | None:
    """pad by 0 and 0 is x; pad(pad(x)) with one fill is one pad."""
    assert isinstance(n.op, Pad)
    (x,), op = n.operands, n.op
    if op.low == 0 and op.high == 0:
        return x
    if isinstance(x.op, Pad) and x.op.label == op.label and x.op.fill == op.fill:
        return padded(x.operands[0], op.label, x.op.low + op.low, x.op.high + op.high, op.fill)
    return None


def joined(parts: Sequence[Node], label: str) -> Node:
    """The parts one behind the other."""
    return parts[0] if len(parts) == 1 else apply("concat", *parts, label=label)


def concat_flat(n: Node) -> Node | None:
    """concat(x) = x; concat(concat(x, y), z) = concat(x, y, z); empty operands vanish"""
    assert isinstance(n.op, Concat)
    label = n.op.label
    parts: list[Node] = []
    for x in n.operands:
        parts += x.operands if isinstance(x.op, Concat) and x.op.label == label else (x,)
    kept = [x for x in parts if x.type.sizes[label] != 0] or parts[:1]
    return joined(kept, label) if kept != list(n.operands) or len(kept) == 1 else None


def concat_of_slices(n: Node) -> Node | None:
    """concat(slice(x, 0, k), slice(x, k, m)) = slice(x, 0, k + m)"""
    assert isinstance(n.op, Concat)
    label, parts = n.op.label, list(n.operands)
    for i, (a, b) in enumerate(pairwise(parts)):
        if not (isinstance(a.op, Slice) and isinstance(b.op, Slice) and a.operands[0] is b.operands[0]):
            continue
        if a.op.label == b.op.label == label and a.op.start + a.op.size == b.op.start:
            parts[i : i + 2] = [sliced(a.operands[0], label, a.op.start, a.op.size + b.op.size)]
            return joined(parts, label)
    return None


# ---------------------------------------------------------------- flip, drop, split, merge
def flip_twice(n: Node) -> Node | None:
    """flip(flip(x)) = x; an axis of one element flipped is x"""
    assert isinstance(n.op, Flip)
    (x,) = n.operands
    return x.operands[0] if x.op == n.op else x if x.type.sizes[n.op.label] == 1 else None


def drop_of_expand(n: Node) -> Node | None:
    """drop[T](expand[T=1](x)) = x"""
    assert isinstance(n.op, Drop)
    (x,) = n.operands
    if not isinstance(x.op, Expand) or n.op.label not in dict(x.op.axes):
        return None
    return spread(x.operands[0], n.type)


def split_of_merge(n: Node) -> Node | None:
    """split(merge(x)) = x, renamed, where the parts are what was merged; a split into one part is a renaming"""
    assert isinstance(n.op, Split)
    (x,), op = n.operands, n.op
    if len(op.parts) == 1:
        return renamed(x, {op.label: op.parts[0][0]})
    if not isinstance(x.op, Merge) or x.op.label != op.label:
        return None
    (inner,) = x.operands
    if [size for _, size in op.parts] != [inner.type.sizes[label] for label in x.op.labels]:
        return None
    return renamed(inner, dict(zip(x.op.labels, (label for label, _ in op.parts), strict=True)))


def merge_of_split(n: Node) -> Node | None:
    """merge(split(x)) = x, renamed, where all parts are merged in order; a merge of one axis is a renaming"""
    assert isinstance(n.op, Merge)
    (x,), op = n.operands, n.op
    if len(op.labels) == 1:
        return renamed(x, {op.labels[0]: op.label})
    if not isinstance(x.op, Split) or tuple(label for label, _ in x.op.parts) != op.labels:
        return None
    return renamed(x.operands[0], {x.op.label: op.label})


# ---------------------------------------------------------------- windows and indices
def window_of_one(n: Node) -> Node | None:
    """A window of one tap at every position is x with an axis of size 1."""
    assert isinstance(n.op, Window)
    (x,), op = n.operands, n.op
    whole = op.taps == 1 and op.stride == 1 and op.low == 0 and op.count == x.type.sizes[op.label]
    return spread(x, n.type) if whole else None


def fold_of_neighbours(n: Node) -> Node | None:
    """fold[T, tap K](x) = merge[T = (T, K)](x) where windows stand side by side and cover all"""
    assert isinstance(n.op, Fold)
    (x,), op = n.operands, n.op
    taps, count = x.type.sizes[op.tap], x.type.sizes[op.label]
    beside = op.stride == taps and op.dilation == 1 and op.low == 0 and op.size == count * taps
    return apply("merge", x, labels=(op.label, op.tap), label=op.label) if beside else None


def fold_of_one(n: Node) -> Node | None:
    """A fold of one tap at every position is x without the axis of the tap."""
    assert isinstance(n.op, Fold)
    (x,), op = n.operands, n.op
    whole = x.type.sizes[op.tap] == 1 and op.stride == 1 and op.low == 0 and op.size == x.type.sizes[op.label]
    return apply("drop", x, label=op.tap) if whole else None


def gather_of_all(n: Node) -> Node | None:
    """x[V = iota[V]] = x; x[V = iota[K]] = x[V as K] where K is as long and x has no K"""
    assert isinstance(n.op, Gather)
    x, *indices = n.operands
    label, i = n.op.labels[0], indices[0]
    if len(indices) > 1 or not isinstance(i.op, Iota) or i.op.size != x.type.sizes[label]:
        return None
    free = i.op.label == label or i.op.label not in x.type.sizes
    return renamed(x, {label: i.op.label}) if free else None


# ---------------------------------------------------------------- signs
def moved_neg(n: Node) -> Node | None:
    """slice(-x) = -slice(x), and so of every move that fills with zeros"""
    x, *indices = n.operands
    if not is_op(x, "neg") or getattr(n.op, "fill", 0.0) != 0:
        return None
    return -make(n.op, x.operands[0], *indices)


def concat_of_neg(n: Node) -> Node | None:
    """concat(-x, -y) = -concat(x, y)"""
    if not all(is_op(x, "neg") for x in n.operands):
        return None
    return -make(n.op, *(x.operands[0] for x in n.operands))


RULES: Rules = {
    "slice": (slice_of_all, slice_of_pad, slice_of_concat, slice_of_flip, moved_neg),
    "pad": (pad_of_pad, moved_neg),
    "concat": (concat_flat, concat_of_slices, concat_of_neg),
    "flip": (flip_twice, moved_neg),
    "drop": (drop_of_expand, moved_neg),
    "split": (split_of_merge, moved_neg),
    "merge": (merge_of_split, moved_neg),
    "window": (window_of_one, moved_neg),
    "fold": (fold_of_one, fold_of_neighbours, moved_neg),
    "gather": (gather_of_all, moved_neg),
    "scatter": (moved_neg,),
}
