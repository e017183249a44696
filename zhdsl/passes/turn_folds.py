"""Turns the adjoint of a convolution into convolutions, so that no tap is ever written: for backends that print loops.

    %1 = contract[N](%g, %W)                     %1 = window[H, tap T](%g, low = taps - 1 - low)
    %2 = fold[H, tap T](%1)            becomes   %2 = contract[N, T](%1, flip[T](%W))

With a stride s every s-th tap meets every s-th place: one convolution for each place modulo s, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply, make
from zhdsl.ir.sizes import Size, ceil
from zhdsl.ops.contract import Contract
from zhdsl.ops.movement import Concat, Expand, Merge, Slice
from zhdsl.ops.window import Fold
from zhdsl.passes.patterns import filled, is_op
from zhdsl.passes.rewriting import Rules, rewrite

MOST_PLACES = 8  # strides beyond make more convolutions than they save


def turn_folds(graph: Graph) -> Graph:
    """The graph with folds of products as products of windows."""
    return rewrite(graph, RULES)


def fold_of_contract(n: Node) -> Node | None:
    """fold[H](contract[N](g, W)) = contract[N, H'](window[H](g), flip[H'](W))"""
    op, (x,) = n.op, n.operands
    assert isinstance(op, Fold)
    sides = _sides(op, x)
    if sides is None or op.stride != 1:
        return None
    g, w = sides
    assert isinstance(x.op, Contract)
    low = (w.type.sizes[op.tap] - 1) * op.dilation - op.low
    return _convolved(op, x.op.labels, g, w, (low, op.dilation, op.size))


def strided_fold_of_contract(n: Node) -> Node | None:
    """The same with a stride: place r of every s sees the taps t with t = (r + low) modulo s."""
    op, (x,) = n.op, n.operands
    assert isinstance(op, Fold)
    sides = _sides(op, x)
    numbers = [s.number for s in (op.stride, op.low, x.type.sizes.get(op.tap, op.size))]
    stride, low, taps = numbers
    if sides is None or stride is None or low is None or taps is None or op.dilation != 1:
        return None
    if not 1 < stride <= MOST_PLACES:
        return None
    g, w = sides
    assert isinstance(x.op, Contract)
    count = ceil(op.size / stride)
    places = [_place(op, x, g, w, (divmod(r + low, stride), count)) for r in range(stride)]
    stacked = apply("concat", *(apply("expand", p, axes=((op.tap, Size.of(1)),)) for p in places), label=op.tap)
    merged = apply("merge", stacked, labels=(op.label, op.tap), label=op.label)
    whole = merged.type.sizes[op.label] == op.size
    return merged if whole else apply("slice", merged, label=op.label, start=Size.of(0), size=op.size)


def _place(op: Fold, x: Node, g: Node, w: Node, where: tuple[tuple[int, int], Size]) -> Node:
    """The results at one place of every stride: a convolution with every stride-th tap from the first that meets it."""
    (shift, first), count = where
    stride, taps = op.stride.number or 1, w.type.sizes[op.tap].number or 0
    met = max(0, -(-(taps - first) // stride))
    if not met:
        sizes = tuple((label, count if label == op.label else s) for label, s in x.type.axes if label != op.tap)
        return filled(0.0, type(x.type)(x.type.dtype, sizes))
    assert isinstance(x.op, Contract)
    own = _every(w, op.tap, first, stride, met)
    return _convolved(op, x.op.labels, g, own, (Size.of(met - 1 - shift), Size.of(1), count))


def _every(w: Node, tap: str, first: int, stride: int, count: int) -> Node:
    """Taps first, first + stride, …"""
    size = w.type.sizes[tap].number or 0
    parts = [apply("slice", w, label=tap, start=Size.of(t), size=Size.of(1)) for t in range(first, size, stride)]
    return parts[0] if count == 1 else apply("concat", *parts, label=tap)


def _convolved(op: Fold, labels: Sequence[str], g: Node, w: Node, where: tuple[Size, Size, Size]) -> Node:
    low, dilation, count = where
    steps = {"stride": Size.of(1), "dilation": dilation, "low": low}
    seen = apply("window", g, label=op.label, tap=op.tap, taps=w.type.sizes[op.tap], count=count, **steps)
    turned = apply("flip", w, label=op.tap) if w.type.sizes[op.tap] != 1 else w
    return apply("contract", seen, turned, labels=tuple(sorted((*labels, op.tap))))


def _sides(op: Fold, x: Node) -> tuple[Node, Node] | None:
    """Of a product, the operand with the positions and the one with the taps, if they are two."""
    if not is_op(x, "contract"):
        return None
    for g, w in (x.operands, x.operands[::-1]):
        here = op.label in g.type.sizes and op.tap not in g.type.sizes
        there = op.tap in w.type.sizes and op.label not in w.type.sizes
        if here and there:
            return g, w
    return None


# ---------------------------------------------------------------- what stands between two folds
def fold_of_move(n: Node) -> Node | None:
    """A fold of what is put together along other labels: the parts are folded first."""
    op, (x,) = n.op, n.operands
    assert isinstance(op, Fold)
    mine = {op.label, op.tap}
    moves = {
        Concat: lambda o: {o.label},
        Expand: lambda o: {label for label, _ in o.axes},
        Merge: lambda o: {o.label, *o.labels},
        Slice: lambda o: {o.label},
    }
    labels = moves.get(type(x.op))
    if labels is None or labels(x.op) & mine:
        return None
    return make(x.op, *(make(op, part) for part in x.operands))


RULES: Rules = {"fold": (fold_of_contract, strided_fold_of_contract, fold_of_move)}
