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


def is_softmax(p: Node) -> bool:
    return is_op(p, "div") and normalises(p.operands[1], p.operands[0])


def softmax_again(n: Node) -> Node | None:
    """(x / s) * e = x * (e / s)"""
    for x, e in both_ways(n):
        if is_op(x, "div") and normalises(x.operands[1], e):
            return x.operands[0] * (e / x.operands[1])
    return None


def weight_of_softmax(n: Node) -> Node | None:
    """where(0 < s, w, 0) * p = w * p, also where w is only part of a sum or product: p is 0 in a row where s is 0"""
    for x, p in both_ways(n):
        if is_softmax(p) and is_guarded(p.operands[1]):
            weight = _unguarded(x, p.operands[1].operands[0])
            if weight is not x:
                return weight * p
    return None


def _unguarded(x: Node, guard: Node, depth: int = 3) -> Node:
    """x with where(guard, y, 0) replaced by y in its sums, products and choices."""
    if is_op(x, "where") and x.operands[0] is guard and is_number(x.operands[2], 0):
        return spread(x.operands[1], x.type)
    if depth == 0 or not is_op(x, "add", "sub", "mul", "neg", "where"):
        return x
    operands = [_unguarded(o, guard, depth - 1) if o.type.is_float else o for o in x.operands]
    return (
        x if all(a is b for a, b in zip(operands, x.operands, strict=True)) else spread(make(x.op, *operands), x.type)
    )


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
    """where(i in range, g, 0) * p - scatter(g, i) = (p - scatter(1, i)) * where(i in range, g, 0), and minus that

    A scatter without a label that it sums writes g once per row: it is scatter(1, i) * g.
    """
    for x, y in (n.operands, n.operands[::-1]):
        if not (is_op(x, "scatter") and is_op(y, "mul")):
            continue
        for w, p in both_ways(y):
            if is_op(w, "where") and is_softmax(p) and _weighs(w, x):
                assert isinstance(x.op, Scatter)
                ones = make(x.op, filled(1, x.operands[0].type), x.operands[1])
                return (p - ones) * (w if y is n.operands[0] else _negative(w))
    return None


def _negative(w: Node) -> Node:
    """-where(c, g, 0), the sign with g."""
    c, g, zero = w.operands
    return apply("where", c, positive(g) or -g, zero)


def _weighs(w: Node, scatter: Node) -> bool:
    """Whether w is where(index in range, g, 0) of a scatter of g that sums nothing."""
    g, *indices = scatter.operands
    same = w.operands[1] is (g.operands[0] if is_op(g, "expand") else g)
    pointwise = len(indices) == 1 and all(label in scatter.type.sizes for label in g.type.labels)
    return same and pointwise and is_number(w.operands[2], 0) and is_inside(w.operands[0], scatter)


def scatter_of_neg(n: Node) -> Node | None:
    """scatter(expand(-g), i) = -scatter(expand(g), i)"""
    g, *indices = n.operands
    if not is_op(g, "expand") or not is_op(g.operands[0], "neg"):
        return None
    return -make(n.op, spread(g.operands[0].operands[0], g.type), *indices)


RULES: Rules = {
    "mul": (softmax_again, weight_of_softmax),
    "where": (where_of_quotient,),
    "scatter": (scatter_of_inside, scatter_of_neg),
    "sub": (one_hot,),
}
