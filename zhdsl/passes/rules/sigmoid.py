"""What is a sigmoid, p = 1 / (1 + exp(-z)), in each of the ways to write it; and its derivative, p * (1 - p).

0.5 * (1 + tanh(0.5 * z))      1 / (1 + exp(-z))      exp(z) / (1 + exp(z))      1 - p is the sigmoid of -z
"""

from __future__ import annotations

from zhdsl.ir.node import Node, apply
from zhdsl.passes.patterns import both_ways, combined, constant, is_number, is_op, minus, number
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.scaled import Scaled


def logit(p: Node) -> Node | None:
    """z of a sigmoid of z, else `None`."""
    if not p.type.is_float or len(p.operands) != 2:
        return None
    a, b = p.operands
    if is_op(p, "sub") and is_number(a, 1):
        z = logit(b)
        return minus(z) if z else None
    if is_op(p, "div"):
        w = one_plus_exp(b)
        if w is None:
            return None
        return minus(w) if is_number(a, 1) else w if is_op(a, "exp") and a.operands[0] is w else None
    if is_op(p, "mul"):
        return next((_doubled(x) for x, half in both_ways(p) if is_number(half, 0.5) and _doubled(x)), None)
    return None


def sigmoid(z: Node) -> Node:
    """The form of the library; its error is below the rounding of 1, for any z."""
    return 0.5 * (1.0 + apply("tanh", 0.5 * z))


def one_plus_exp(n: Node) -> Node | None:
    """w of 1 + exp(w), else `None`."""
    if not is_op(n, "add"):
        return None
    return next((e.operands[0] for one, e in both_ways(n) if is_number(one, 1) and is_op(e, "exp")), None)


def _doubled(n: Node) -> Node | None:
    """2 * u of 1 + tanh(u), -2 * u of 1 - tanh(u); u must be something halved."""
    if not is_op(n, "add", "sub"):
        return None
    pairs = both_ways(n) if is_op(n, "add") else [n.operands]
    for one, t in pairs:
        if is_number(one, 1) and is_op(t, "tanh") and (z := _halved(t.operands[0])):
            return z if is_op(n, "add") else minus(z)
    return None


def _halved(u: Node) -> Node | None:
    """z of z * 0.5 or z / 2."""
    scaled = Scaled.of(u)
    if not scaled:
        return None
    half = (scaled.form == "times" and is_number(scaled.c, 0.5)) or (scaled.form == "over" and is_number(scaled.c, 2))
    return scaled.v if half else None


def derivative_again(n: Node) -> Node | None:
    """(v * 0.5) * (1 - t * t) * 0.5 = v * p * (1 - p), with t = tanh(z / 2), p = (1 + t) / 2

    Since p * (1 - p) = (1 + t) / 2 * (1 - t) / 2 = (1 - t * t) / 4. Only where the constants are found: else it is the
    derivative of a tanh.
    """
    outer = Scaled.of(n)
    if not outer or outer.form != "times" or not is_op(outer.v, "mul"):
        return None
    for x, s in both_ways(outer.v):
        inner, t = Scaled.of(x), _squared_in(s)
        if not inner or inner.form != "times" or t is None or _halved(t.operands[0]) is None:
            continue
        c = combined("mul", outer.c, inner.c)
        if c is None or number(c) is None:
            continue
        p = 0.5 * (1.0 + t)
        return inner.v * constant(4 * (number(c) or 0), t.type.dtype) * p * (1.0 - p)
    return None


def _squared_in(s: Node) -> Node | None:
    """t of 1 - t * t, where t is a tanh."""
    if not is_op(s, "sub") or not is_number(s.operands[0], 1) or not is_op(s.operands[1], "mul"):
        return None
    t, again = s.operands[1].operands
    return t if t is again and is_op(t, "tanh") else None


RULES: Rules = {"mul": (derivative_again,)}
