"""Sums of zero-padded pieces: pieces that lie side by side are a concat, as one would write the gradient of slices.

pad(di, 0, 3N) + pad(df, N, 2N) + pad(dg, 2N, N) + pad(do, 3N, 0)      concat(di, df, dg, do)
"""

from __future__ import annotations

from zhdsl.ir.node import Node, make
from zhdsl.ops.movement import Pad
from zhdsl.passes.patterns import both_ways, is_op
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.movement import joined, padded

LONGEST_SUM = 64  # terms that are looked at


def add_pad(n: Node) -> Node | None:
    """(x + pad(a)) + pad(b) = x + pad(concat(a, b)) where b follows a, or a follows b; pad(a) + pad(b) = pad(a + b)"""
    return next((s for x, p in both_ways(n) if is_op(p, "pad") and (s := _met(x, p, LONGEST_SUM))), None)


def sub_pad(n: Node) -> Node | None:
    """(x + pad(a)) - pad(b) = x + pad(concat(a, -b))"""
    x, p = n.operands
    return _met(x, make(p.op, -p.operands[0]), LONGEST_SUM) if is_op(p, "pad") else None


def _met(x: Node, p: Node, left: int) -> Node | None:
    """The sum x with its first piece that p lies beside replaced by both."""
    if is_op(x, "pad"):
        return _beside(x, p)
    if not is_op(x, "add") or not left:
        return None
    a, b = x.operands
    if found := _met(a, p, left - 1):
        return found + b
    found = _met(b, p, left - 1)
    return a + found if found else None


def _beside(a: Node, b: Node) -> Node | None:
    """pad(x) + pad(y) as one, if x and y touch or coincide."""
    if not (isinstance(a.op, Pad) and isinstance(b.op, Pad)) or a.op.label != b.op.label or a.op.fill or b.op.fill:
        return None
    label, (x,), (y,) = a.op.label, a.operands, b.operands
    if x.type.without([label]) != y.type.without([label]):
        return None
    x_end, y_end = a.op.low + x.type.sizes[label], b.op.low + y.type.sizes[label]
    if a.op.low == b.op.low and x_end == y_end:
        return padded(x + y, label, a.op.low, a.op.high)
    if x_end == b.op.low:
        return padded(joined([x, y], label), label, a.op.low, b.op.high)
    return padded(joined([y, x], label), label, b.op.low, a.op.high) if y_end == a.op.low else None


RULES: Rules = {"add": (add_pad,), "sub": (sub_pad,)}
