"""Gives delicate expressions the form whose intermediates neither overflow nor cancel.

    %1 = exp(%z);  %2 = sum[K](%1);  %3 = div(%1, %2);  %4 = log(%3)
        m = max[K](z) where finite, else 0;  d = z - m;  d - log(sum[K](exp(d)))
    log(add(1.0, exp(%x)))
        max(x, 0) + log(1 + exp(-|x|))

Run it before differentiation: then the derivative is that of the good form. A rule keeps the value wherever the old
form is computed without overflow, and its limits at ±inf and nan; where the old form is inf or nan only because an
intermediate overflows, the new one is the value that exact arithmetic has. Proofs stand with the rules, e is exp.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply, make
from zhdsl.ops.families import Reduce
from zhdsl.ops.index import Gather
from zhdsl.passes.patterns import both_ways, constant, is_number, is_op, minus, number
from zhdsl.passes.rewriting import Rules, rewrite
from zhdsl.passes.rules.sigmoid import logit, one_plus_exp, sigmoid

EXACT_MOVES = ("relabel", "slice", "drop", "flip", "split", "merge", "expand", "stop")  # log(move(x)) = move(log(x))


def stabilize_numerics(graph: Graph) -> Graph:
    """The graph with the delicate expressions rewritten."""
    return rewrite(rewrite(graph, LIKELIHOODS), STABLE)


# ---------------------------------------------------------------- logarithms
def log_inside(n: Node) -> Node | None:
    """log(e(z)) = z; log(e(z) / s) = z - log(s), also where a move or a pick lies between

    For s > 0 the logarithm's law. s = 0: e(z)/0 = inf, log inf = inf; z + inf = inf. s < 0: both nan. s = inf: log 0 =
    -inf; z - inf = -inf. z = -inf: log 0 = -inf in both unless s = 0: nan in both. What overflows is e(z) alone.
    A pick that is out of range reads 0, and log 0 = -inf: kept by a where.
    """
    (x,) = n.operands
    picked: Node | None = None
    if is_op(x, "gather"):
        picked, x = x, x.operands[0]
    moves = []
    while is_op(x, *EXACT_MOVES):
        moves.append(x.op)
        (x,) = x.operands
    answer = _log(x)
    if answer is None:
        return None
    for op in reversed(moves):
        answer = make(op, answer)
    return answer if picked is None else _picked(picked, answer)


def _log(x: Node) -> Node | None:
    """log(x) without the exponential in x, if there is one to be undone."""
    if is_op(x, "exp"):
        return x.operands[0]
    z = logit(x)
    if z is not None:
        return -softplus(minus(z))
    if is_op(x, "div"):
        above = _log(x.operands[0])
        return None if above is None else above - apply("log", x.operands[1])
    return None


def _picked(gather: Node, x: Node) -> Node:
    """x picked as the gather does, -inf where it is out of range."""
    assert isinstance(gather.op, Gather)
    indices = gather.operands[1:]
    answer = make(gather.op, x, *indices)
    outside = constant(-inf, x.type.dtype)
    for label, i in zip(gather.op.labels, indices, strict=True):
        size = constant(x.type.sizes[label], "i32")
        inside = apply("and", apply("le", constant(0, "i32"), i), apply("lt", i, size))
        answer = apply("where", inside, answer, outside)
    return answer


def log_one_plus_exp(n: Node) -> Node | None:
    """log(1 + e(x)) = softplus(x)"""
    x = one_plus_exp(n.operands[0])
    return None if x is None or not_positive(x) else softplus(x)


def softplus(x: Node) -> Node:
    """max(x, 0) + log(1 + e(-|x|))

    x > 0: log(1 + e(x)) = log(e(x) * (e(-x) + 1)) = x + log(1 + e(-x)). x <= 0: as it was. The argument of e is never
    positive, so e is at most 1. inf: inf + log 1 = inf; -inf: 0 + log 1 = 0; nan stays nan in the second term.
    """
    zero = constant(0.0, x.type.dtype)
    above = apply("lt", zero, x)
    small = apply("exp", apply("where", above, minus(x), x))
    return apply("where", above, x, zero) + apply("log", 1.0 + small)


def log_likelihood(n: Node) -> Node | None:
    """y * log(p) + (1 - y) * log(1 - p) = y * z - softplus(z), with p the sigmoid of z: the derivative is y - p at once

    log(p) = -softplus(-z) = z - softplus(z) and log(1 - p) = -softplus(z); the softplus has the factor y + (1 - y) = 1.
    z finite: p is 0 or 1 by rounding alone. z = -inf: y * -inf in both, nan where y = 0; z = inf likewise.
    """
    for x, other in both_ways(n):
        for y, log_p in both_ways(x) if is_op(x, "mul") else ():
            for w, log_q in both_ways(other) if is_op(other, "mul") else ():
                if not (is_op(log_p, "log") and is_op(log_q, "log") and complementary(y, w)):
                    continue
                z = logit(log_p.operands[0])
                if z is not None and complementary(log_p.operands[0], log_q.operands[0]):
                    return y * z - softplus(z)
    return None


def complementary(x: Node, y: Node) -> bool:
    """Whether one is 1 minus the other."""
    return any(is_op(a, "sub") and is_number(a.operands[0], 1) and a.operands[1] is b for a, b in ((x, y), (y, x)))


# ---------------------------------------------------------------- sums of exponentials
def log_sum_exp(n: Node) -> Node | None:
    """log(sum[K](e(x))) = m + log(sum[K](e(x - m))), m = max[K](x) where that is finite, else 0

    sum e(x) = e(m) * sum e(x - m) for finite m; the largest term of the new sum is 1, so it lies between 1 and K.
    All x = -inf: m is 0, log 0 = -inf. Some x = inf: m is 0, log inf = inf. nan stays nan.
    """
    (s,) = n.operands
    if not is_op(s, "sum") or not is_op(s.operands[0], "exp") or not_positive(s.operands[0].operands[0]):
        return None
    assert isinstance(s.op, Reduce)
    (x,) = s.operands[0].operands
    m = largest(x, s.op.labels)
    return m + apply("log", apply("sum", apply("exp", x - m), labels=s.op.labels))


def softmax(n: Node) -> Node | None:
    """e(x) / sum[K](e(x)) = e(x - m) / sum[K](e(x - m)), m as above

    Both e(x) and the sum have the factor e(m). All x = -inf: m is 0, 0 / 0 = nan in both; some x = inf likewise.
    """
    e, s = n.operands
    if not is_op(e, "exp") or not is_op(s, "sum") or s.operands[0] is not e or not_positive(e.operands[0]):
        return None
    assert isinstance(s.op, Reduce)
    shifted = apply("exp", e.operands[0] - largest(e.operands[0], s.op.labels))
    return shifted / apply("sum", shifted, labels=s.op.labels)


def largest(x: Node, labels: Iterable[str]) -> Node:
    """The maximum along the labels where it is finite, else 0; a constant for differentiation."""
    m = apply("stop", apply("max", x, labels=tuple(labels)))
    finite = apply("and", apply("lt", constant(-inf, x.type.dtype), m), apply("lt", m, constant(inf, x.type.dtype)))
    return apply("where", finite, m, constant(0.0, x.type.dtype))


def not_positive(x: Node) -> bool:
    """Whether x is made never to be above 0: a number, where(0 < a, -a, a), something minus a maximum."""
    if is_op(x, "where"):
        return _negative_size(x)
    if is_op(x, "neg"):
        (x,) = x.operands
    return (number(x) or 1) <= 0 or (is_op(x, "add", "sub") and any(map(_is_maximum, x.operands)))


def _negative_size(x: Node) -> bool:
    """Whether x is where(0 < a, -a, a) or where(a < 0, a, -a)."""
    c, y, z = x.operands
    a = z if is_op(y, "neg") and y.operands[0] is z else y
    if not is_op(c, "lt") or not (y is a or z is a) or not any(is_op(o, "neg") and o.operands[0] is a for o in (y, z)):
        return False
    low, high = c.operands
    return (is_number(low, 0) and high is a and z is a) or (is_number(high, 0) and low is a and y is a)


def _is_maximum(m: Node) -> bool:
    while is_op(m, "stop", "where", "expand", "relabel", "drop", "neg"):
        m = m.operands[1 if is_op(m, "where") else 0]
    return is_op(m, "max")


# ---------------------------------------------------------------- sigmoids
def sigmoid_of_quotient(n: Node) -> Node | None:
    """e(x) / (1 + e(x)) = 1 / (1 + e(-x)): inf / inf for large x otherwise"""
    e, s = n.operands
    if not is_op(e, "exp") or one_plus_exp(s) is not e.operands[0] or not_positive(e.operands[0]):
        return None
    return 1.0 / (1.0 + apply("exp", minus(e.operands[0])))


def sigmoid_of_product(n: Node) -> Node | None:
    """g / (1 + e(x)) * e(x) = g / (1 + e(-x)): the derivative of log(1 + e(x)), 0 * inf for large x otherwise"""
    for q, e in both_ways(n):
        if not is_op(q, "div") or not is_op(e, "exp") or not_positive(e.operands[0]):
            continue
        if one_plus_exp(q.operands[1]) is e.operands[0]:
            return q.operands[0] / (1.0 + apply("exp", minus(e.operands[0])))
    return None


def sigmoid_of_choice(n: Node) -> Node | None:
    """where(0 < x, g - t, t) = g * sigmoid(x), t = g / (1 + e(-|x|)) * e(-|x|): the derivative of softplus

    x > 0: g - g * e(-x) / (1 + e(-x)) = g / (1 + e(-x)). x <= 0: g * e(x) / (1 + e(x)).
    """
    c, y, t = n.operands
    if not (is_op(y, "sub") and y.operands[1] is t and is_op(t, "mul") and is_op(c, "lt")):
        return None
    for q, e in both_ways(t):
        if not (is_op(q, "div") and q.operands[0] is y.operands[0] and is_op(e, "exp")):
            continue
        size = e.operands[0]
        same = one_plus_exp(q.operands[1]) is size and is_op(size, "where") and size.operands[0] is c
        if same and _negative_size(size) and is_number(c.operands[0], 0):
            return y.operands[0] * sigmoid(c.operands[1])
    return None


LIKELIHOODS: Rules = {"add": (log_likelihood,)}  # before each of its logarithms is looked at alone
STABLE: Rules = {
    "log": (log_inside, log_one_plus_exp, log_sum_exp),
    "div": (softmax, sigmoid_of_quotient),
    "mul": (sigmoid_of_product,),
    "where": (sigmoid_of_choice,),
}
