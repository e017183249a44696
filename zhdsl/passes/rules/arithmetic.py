"""Rules of add, sub, mul, div and neg: signs and constants move towards the results, where they meet and cancel.

A constant `c`, `d` is any scalar made of constants alone, so `1 / B` too; `v` is anything else.
"""

from __future__ import annotations

from typing import NamedTuple

from zhdsl.ir.node import Node, apply
from zhdsl.passes.patterns import both_ways, combined, invariant, is_number, is_op, negated, number
from zhdsl.passes.rewriting import Rules


# ---------------------------------------------------------------- neutral elements
def add_zero(n: Node) -> Node | None:
    """x + 0 = x"""
    return next((x for x, c in both_ways(n) if is_number(c, 0)), None)


def sub_zero(n: Node) -> Node | None:
    """x - 0 = x; 0 - x = -x"""
    x, y = n.operands
    return x if is_number(y, 0) else -y if is_number(x, 0) else None


def mul_one(n: Node) -> Node | None:
    """x * 1 = x; x * -1 = -x"""
    for x, c in both_ways(n):
        if is_number(c, 1):
            return x
        if is_number(c, -1):
            return -x
    return None


def div_one(n: Node) -> Node | None:
    """x / 1 = x; x / -1 = -x"""
    x, c = n.operands
    return x if is_number(c, 1) else -x if is_number(c, -1) else None


def add_twice(n: Node) -> Node | None:
    """x + x = x * 2"""
    x, y = n.operands
    return x * 2 if x is y else None


# ---------------------------------------------------------------- signs
def add_neg(n: Node) -> Node | None:
    """x + -y = x - y; -x + -y = -(x + y)"""
    x, y = n.operands
    if is_op(x, "neg") and is_op(y, "neg"):
        return -(x.operands[0] + y.operands[0])
    return next((a - b.operands[0] for a, b in both_ways(n) if is_op(b, "neg")), None)


def sub_neg(n: Node) -> Node | None:
    """x - -y = x + y; -x - y = -(x + y)"""
    x, y = n.operands
    if is_op(y, "neg"):
        return x + y.operands[0]
    return -(x.operands[0] + y) if is_op(x, "neg") else None


def product_neg(n: Node) -> Node | None:
    """-x * y = x * -y = -(x * y); the same of /"""
    x, y = n.operands
    if is_op(x, "neg"):
        return -apply(n.op.name, x.operands[0], y)
    return -apply(n.op.name, x, y.operands[0]) if is_op(y, "neg") else None


def neg_of(n: Node) -> Node | None:
    """--x = x; -(x - y) = y - x; -(v * c) = v * -c; -(v / c) = v / -c; -(c / v) = -c / v"""
    (x,) = n.operands
    if is_op(x, "neg"):
        return x.operands[0]
    if is_op(x, "sub"):
        return x.operands[1] - x.operands[0]
    scaled = Scaled.of(x)
    return scaled.at(negated(scaled.c)) if scaled and number(scaled.c) is not None else None


def add_negative(n: Node) -> Node | None:
    """x + v * -c = x - v * c, and so of v / -c, -c / v and -c itself"""
    return next((a - positive for a, b in both_ways(n) if (positive := _positive(b))), None)


def sub_negative(n: Node) -> Node | None:
    """x - v * -c = x + v * c, and so of v / -c, -c / v and -c itself"""
    x, y = n.operands
    positive = _positive(y)
    return x + positive if positive else None


def _positive(n: Node) -> Node | None:
    """-n if n has a factor that is a negative number."""
    if (number(n) or 0) < 0:
        return negated(n)
    scaled = Scaled.of(n)
    return scaled.at(negated(scaled.c)) if scaled and (number(scaled.c) or 0) < 0 else None


# ---------------------------------------------------------------- constants that are added
class Shifted(NamedTuple):
    """v + c, or c - v where `minus`."""

    v: Node
    c: Node
    minus: bool

    @staticmethod
    def of(n: Node) -> Shifted | None:
        if not is_op(n, "add", "sub"):
            return None
        a, b = n.operands
        if invariant(a) == invariant(b):
            return None
        if invariant(b):
            return Shifted(a, b if is_op(n, "add") else negated(b), False)
        return Shifted(b, a, is_op(n, "sub"))


def add_constants(n: Node) -> Node | None:
    """(v + c) + d = v + (c + d), and so of all sums and differences with two constants"""
    outer = Shifted.of(n)
    inner = Shifted.of(outer.v) if outer else None
    if not outer or not inner:
        return None
    total = combined("sub" if outer.minus else "add", outer.c, inner.c)
    if total is None:
        return None
    return total - inner.v if outer.minus != inner.minus else inner.v + total


# ---------------------------------------------------------------- constants that multiply
class Scaled(NamedTuple):
    """v * c (`form` "times"), v / c ("over") or c / v ("under"); `first`: the constant stands first in a product."""

    v: Node
    c: Node
    form: str
    first: bool = False

    @staticmethod
    def of(n: Node) -> Scaled | None:
        if not is_op(n, "mul", "div") or not n.type.is_float:
            return None
        a, b = n.operands
        if invariant(a) == invariant(b):
            return None
        if is_op(n, "mul"):
            return Scaled(a, b, "times") if invariant(b) else Scaled(b, a, "times", True)
        return Scaled(a, b, "over") if invariant(b) else Scaled(b, a, "under")

    def at(self, c: Node) -> Node:
        """The same with another constant."""
        if self.form == "times":
            return c * self.v if self.first else self.v * c
        return self.v / c if self.form == "over" else c / self.v

    def around(self, v: Node) -> Node:
        """The same of another value."""
        return self._replace(v=v).at(self.c)


# How two of them compose: outer form, inner form -> form of the result, op on the constants (outer, inner or swapped).
COMPOSED = {
    ("times", "times"): ("times", "mul", False),
    ("times", "over"): ("times", "div", False),
    ("times", "under"): ("under", "mul", False),
    ("over", "times"): ("times", "div", True),
    ("over", "over"): ("over", "mul", False),
    ("over", "under"): ("under", "div", True),
    ("under", "times"): ("under", "div", False),
    ("under", "over"): ("under", "mul", False),
    ("under", "under"): ("times", "div", False),
}


def scale_constants(n: Node) -> Node | None:
    """(v * c) * d = v * (c * d); (v / c) * d = v * (d / c); d / (v * c) = (d / c) / v; and so on"""
    outer = Scaled.of(n)
    inner = Scaled.of(outer.v) if outer else None
    if not outer or not inner:
        return None
    form, op, swapped = COMPOSED[outer.form, inner.form]
    constants = (inner.c, outer.c) if swapped else (outer.c, inner.c)
    c = combined(op, *constants)
    return None if c is None else Scaled(inner.v, c, form, outer.first).at(c)


def scale_outwards(n: Node) -> Node | None:
    """(v * c) * y = (v * y) * c; (v / c) * y = (v * y) / c; (v * c) / y = (v / y) * c: where v is as large as n"""
    a, b = n.operands
    pairs = [(a, b), (b, a)] if is_op(n, "mul") else [(a, b)]
    for x, y in pairs:
        scaled = Scaled.of(x)
        if scaled and scaled.form != "under" and scaled.v.type == n.type and not invariant(y):
            return scaled.around(apply(n.op.name, *((scaled.v, y) if x is a else (y, scaled.v))))
    return None


def mul_reciprocal(n: Node) -> Node | None:
    """x * (c / v) = (x / v) * c, where v is as large as n"""
    for x, y in both_ways(n):
        scaled = Scaled.of(y)
        if scaled and scaled.form == "under" and scaled.v.type == n.type and not invariant(x):
            return x / scaled.v * scaled.c
    return None


def common_scale(n: Node) -> Node | None:
    """v * c + w * c = (v + w) * c; v / c - w / c = (v - w) / c"""
    x, y = map(Scaled.of, n.operands)
    if not x or not y or x.c is not y.c or x.form != y.form or x.form == "under":
        return None
    return x.around(apply(n.op.name, x.v, y.v))


RULES: Rules = {
    "add": (add_zero, add_neg, add_negative, add_twice, add_constants, common_scale),
    "sub": (sub_zero, sub_neg, sub_negative, add_constants, common_scale),
    "mul": (mul_one, product_neg, scale_constants, scale_outwards, mul_reciprocal),
    "div": (div_one, product_neg, scale_constants, scale_outwards),
    "neg": (neg_of,),
}
