"""Rules of add, sub, mul, div and neg: signs move towards the results and cancel, constants that meet are joined.

A constant `c`, `d` is any scalar made of constants alone, so `1 / B` too; `v` is anything else. A constant mostly stays
where it is written: moving it on would take the user's names, `p = 0.5 * (1 + tanh(z))`, out of the program.
"""

from __future__ import annotations

from typing import NamedTuple

from zhdsl.ir.node import Node, apply
from zhdsl.passes.patterns import both_ways, combined, invariant, is_number, is_op, negated, number
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.scaled import Scaled
from zhdsl.passes.rules.sigmoid import logit


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
    """--x = x; -(x * -c) = x * c, and so of x / -c and -c / x; -(v * c) = v * -c, and so of v / c and c / v"""
    (x,) = n.operands
    if is_op(x, "neg"):
        return x.operands[0]
    scaled = Scaled.of(x)
    return positive(x) or (scaled.at(negated(scaled.c)) if scaled and number(scaled.c) is not None else None)


def add_negative(n: Node) -> Node | None:
    """x + v * -c = x - v * c, and so of v / -c, -c / v and -c itself"""
    return next((a - plain for a, b in both_ways(n) if (plain := positive(b))), None)


def sub_negative(n: Node) -> Node | None:
    """x - v * -c = x + v * c, and so of v / -c, -c / v and -c itself"""
    x, y = n.operands
    plain = positive(y)
    return x + plain if plain else None


def positive(n: Node) -> Node | None:
    """-n, if n is a negative number or has one as a factor."""
    if (number(n) or 0) < 0:
        return negated(n)
    if not is_op(n, "mul", "div"):
        return None
    for i, x in enumerate(n.operands):
        if invariant(x) and (plain := positive(x)):
            return apply(n.op.name, *(plain if i == k else o for k, o in enumerate(n.operands)))
    return None


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
    inner = Scaled.of(outer.v) if outer and logit(outer.v) is None else None  # a sigmoid stays one
    if not outer or not inner:
        return None
    form, op, swapped = COMPOSED[outer.form, inner.form]
    constants = (inner.c, outer.c) if swapped else (outer.c, inner.c)
    c = combined(op, *constants)
    return None if c is None else Scaled(inner.v, c, form, outer.first).at(c)


def mul_reciprocal(n: Node) -> Node | None:
    """x * (1 / v) = x / v, where v is as large as n"""
    for x, y in both_ways(n):
        if is_op(y, "div") and is_number(y.operands[0], 1) and y.operands[1].type == n.type:
            return x / y.operands[1]
    return None


def scale_smaller(n: Node) -> Node | None:
    """a * (v * c) = (a * c) * v where a has fewer axes than v"""
    for a, x in both_ways(n):
        scaled = Scaled.of(x)
        if scaled and scaled.form != "under" and scaled.v.type == n.type != a.type and not invariant(a):
            return scaled.around(a) * scaled.v
    return None


def div_scaled(n: Node) -> Node | None:
    """x / (v * c) = (x / v) / c, where v is as large as n"""
    x, y = n.operands
    scaled = Scaled.of(y)
    if not scaled or scaled.form != "times" or scaled.v.type != n.type or invariant(x):
        return None
    return x / scaled.v / scaled.c


# ---------------------------------------------------------------- common factors
def common_factor(n: Node) -> Node | None:
    """v * c + w * c = (v + w) * c; v * c + w * (z * c) = (v + w * z) * c, for a constant c"""
    x, y = n.operands
    for scaled, other, swap in ((Scaled.of(x), y, False), (Scaled.of(y), x, True)):
        rest = without_factor(other, scaled.c) if scaled and scaled.form == "times" else None
        if scaled and rest:
            return scaled.around(apply(n.op.name, *((rest, scaled.v) if swap else (scaled.v, rest))))
    return None


def without_factor(n: Node, c: Node, depth: int = 3) -> Node | None:
    """n / c, if c is a factor of n: in a product, a dividend, a negation, a where with 0 on the other side."""
    if is_op(n, "mul") and any(x is c for x in n.operands):
        return n.operands[0] if n.operands[1] is c else n.operands[1]
    for i in _linear_in(n) if depth else ():
        rest = without_factor(n.operands[i], c, depth - 1)
        if rest:
            return apply(n.op.name, *(rest if i == k else x for k, x in enumerate(n.operands)))
    return None


def _linear_in(n: Node) -> tuple[int, ...]:
    """The operands from each of which alone a factor may be taken out."""
    if is_op(n, "where"):
        return tuple(i for i in (1, 2) if is_number(n.operands[3 - i], 0))
    return {"mul": (0, 1), "div": (0,), "neg": (0,)}.get(n.op.name, ())


def common_divisor(n: Node) -> Node | None:
    """x / s + y / s = (x + y) / s"""
    x, y = n.operands
    if not is_op(x, "div") or not is_op(y, "div") or x.operands[1] is not y.operands[1]:
        return None
    return apply(n.op.name, x.operands[0], y.operands[0]) / x.operands[1]


SUMS = (common_factor, common_divisor)
RULES: Rules = {
    "add": (add_zero, add_neg, add_negative, add_twice, add_constants, *SUMS),
    "sub": (sub_zero, sub_neg, sub_negative, add_constants, *SUMS),
    "mul": (mul_one, product_neg, scale_constants, scale_smaller, mul_reciprocal),
    "div": (div_one, product_neg, scale_constants, div_scaled),
    "neg": (neg_of,),
}
