"""Rules that bring the softmax back into its own derivative, p = e / s with e = exp(z), s the sum of e along its axis.

    cross-entropy    scatter(-c, y) + e * (c / s)          (p - scatter(1, y)) * c
    attention        e * (g / s - t / s)                   p * (g - t)

`s` may be guarded against an empty row, where(0 < s, s, 1), as the library writes it.
"""

from __future__ import annotations

from zhdsl.ir.node import Node, apply, make
from zhdsl.ops.index import Scatter
from zhdsl.passes.patterns import both_ways, filled, is_number, is_op, spread, value
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.arithmetic import positive


def normalises(s: Node, e: Node) -> bool:
    """Whether s is the sum of e, an exponential, guarded or not."""
    if is_guarded(s):
        s = s.operands[1]
    return is_op(e, "exp") and is_op(s, "sum") and s.operands[0] is e


def is_guarded(s: Node) -> bool:
    """Whether s is where(0 < s, s, 1): a positive number, whatever s is."""
    if not is_op(s, "where"):
        return False
    c, x, one = s.operands
    return is_number(one, 1) and is_op(c, "lt") and is_number(c.operands[0], 0) and c.operands[1] is x


def softmax_again(n: Node) -> Node | None:
    """(x / s) * e = x * (e / s)"""
    for x, e in both_ways(n):
        if is_op(x, "div") and normalises(x.operands[1], e):
            return x.operands[0] * (e / x.operands[1])
    return None


def where_of_quotient(n: Node) -> Node | None:
    """where(c, x / s, 0) = where(c, x, 0) / s, since s is guarded: positive, never nan, so that 0 / s = 0"""
    c, x, zero = n.operands
    if not (is_op(x, "div") and is_number(zero, 0) and is_guarded(x.operands[1])):
        return None
    return apply("where", c, x.operands[0], zero) / x.operands[1]


def scatter_of_inside(n: Node) -> Node | None:
    """scatter(where(0 <= i and i < V, g, h), i) = scatter(g, i): what is out of range is not written anyway"""
    assert isinstance(n.op, Scatter)
    g, *indices = n.operands
    if len(indices) != 1 or not is_op(g, "where") or not is_inside(g.operands[0], n):
        return None
    return make(n.op, spread(g.operands[1], g.type), *indices)


def is_inside(c: Node, scatter: Node) -> bool:
    """Whether c says that the one index of a scatter is in range."""
    assert isinstance(scatter.op, Scatter)
    if not is_op(c, "and"):
        return False
    low, high = c.operands
    index, size = scatter.operands[1], scatter.op.type.sizes[scatter.op.labels[0]]
    if not is_op(low, "le") or not is_op(high, "lt") or low.operands[1] is not index or high.operands[0] is not index:
        return False
    limit = value(high.operands[1])
    return is_number(low.operands[0], 0) and limit is not None and limit == size


def one_hot(n: Node) -> Node | None:
    """scatter(g, i) - where(i in range, g, 0) * p = (p - scatter(1, i)) * -where(i in range, g, 0)

    A scatter without a label that it sums writes g once per row: it is scatter(1, i) * g.
    """
    x, y = n.operands
    if not (is_op(x, "scatter") and is_op(y, "mul")):
        return None
    for w, p in both_ways(y):
        if not (is_op(w, "where") and is_softmax(p) and _weighs(w, x)):
            continue
        assert isinstance(x.op, Scatter)
        g, index = x.operands
        ones = apply("scatter", filled(1, g.type), index, labels=x.op.labels, type=x.op.type)
        weight = apply("where", w.operands[0], positive(w.operands[1]) or -w.operands[1], w.operands[2])
        return (p - ones) * weight
    return None


def is_softmax(p: Node) -> bool:
    return is_op(p, "div") and normalises(p.operands[1], p.operands[0])


def _weighs(w: Node, scatter: Node) -> bool:
    """Whether w is where(index in range, g, 0) of a scatter of g that sums nothing."""
    g, *indices = scatter.operands
    same = w.operands[1] is (g.operands[0] if is_op(g, "expand") else g)
    pointwise = len(indices) == 1 and all(label in scatter.type.sizes for label in g.type.labels)
    return same and pointwise and is_number(w.operands[2], 0) and is_inside(w.operands[0], scatter)


RULES: Rules = {
    "mul": (softmax_again,),
    "where": (where_of_quotient,),
    "scatter": (scatter_of_inside,),
    "sub": (one_hot,),
}
