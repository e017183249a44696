"""Rules of where, not, and, or: what is chosen twice, or whatever holds."""

from __future__ import annotations

from zhdsl.ir.node import Node, apply
from zhdsl.passes.patterns import is_number, is_op, is_truth, negated, number, spread
from zhdsl.passes.rewriting import Rules


def same_branches(n: Node) -> Node | None:
    """where(c, x, x) = x"""
    _, x, y = n.operands
    return spread(x, n.type) if x is y else None


def where_not(n: Node) -> Node | None:
    """where(not c, x, y) = where(c, y, x)"""
    c, x, y = n.operands
    return apply("where", c.operands[0], y, x) if is_op(c, "not") else None


def where_where(n: Node) -> Node | None:
    """where(c, where(c, x, y), z) = where(c, x, z); where(c, x, where(c, y, z)) = where(c, x, z)"""
    c, x, y = n.operands
    if is_op(x, "where") and x.operands[0] is c:
        return spread(apply("where", c, x.operands[1], y), n.type)
    if is_op(y, "where") and y.operands[0] is c:
        return spread(apply("where", c, x, y.operands[2]), n.type)
    return None


def where_of_truths(n: Node) -> Node | None:
    """where(c, true, false) = c; where(c, false, true) = not c"""
    c, x, y = n.operands
    if is_truth(x, True) and is_truth(y, False):
        return c
    return apply("not", c) if is_truth(x, False) and is_truth(y, True) else None


def where_neg(n: Node) -> Node | None:
    """where(c, -x, -y) = -where(c, x, y), also where one of the two is a number"""
    c, x, y = n.operands
    if not (is_op(x, "neg") or is_op(y, "neg")):
        return None
    plain = [z.operands[0] if is_op(z, "neg") else negated(z) if number(z) is not None else None for z in (x, y)]
    return -apply("where", c, *(z for z in plain if z)) if None not in plain else None


def common_condition(n: Node) -> Node | None:
    """where(c, x, 0) + where(c, 0, y) = where(c, x, y); where(c, x, 0) - where(c, y, 0) = where(c, x - y, 0)"""
    a, b = n.operands
    if not (is_op(a, "where") and is_op(b, "where") and a.operands[0] is b.operands[0]):
        return None
    (c, x1, y1), (_, x2, y2) = a.operands, b.operands
    if not any(is_number(z, 0) for z in (x1, x2, y1, y2)):
        return None
    return spread(apply("where", c, apply(n.op.name, x1, x2), apply(n.op.name, y1, y2)), n.type)


def compare_neg(n: Node) -> Node | None:
    """c < -x = x < -c; -x < c = -c < x; -x < -y = y < x; and so of <="""
    x, y = n.operands
    if not (is_op(x, "neg") or is_op(y, "neg")) or not n.operands[0].type.is_float:
        return None
    plain = [z.operands[0] if is_op(z, "neg") else negated(z) if number(z) is not None else None for z in (y, x)]
    return apply(n.op.name, *(z for z in plain if z)) if None not in plain else None


def not_not(n: Node) -> Node | None:
    """not not x = x"""
    (x,) = n.operands
    return x.operands[0] if is_op(x, "not") else None


def same_twice(n: Node) -> Node | None:
    """x and x = x; x or x = x"""
    x, y = n.operands
    return x if x is y else None


RULES: Rules = {
    "where": (same_branches, where_not, where_where, where_of_truths, where_neg),
    "add": (common_condition,),
    "sub": (common_condition,),
    "lt": (compare_neg,),
    "le": (compare_neg,),
    "not": (not_not,),
    "and": (same_twice,),
    "or": (same_twice,),
}
