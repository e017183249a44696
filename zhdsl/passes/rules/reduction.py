"""Rules of sum, max and contract: nothing is summed that need not be, and sums of products become contractions."""

from __future__ import annotations

from dataclasses import replace

from zhdsl.ir.node import Node, apply, make
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Reduce
from zhdsl.ops.index import Scatter
from zhdsl.ops.movement import Flip, Merge, Pad, Split
from zhdsl.passes.patterns import (
    at_most,
    both_ways,
    constant,
    contraction,
    covers,
    filled,
    has,
    invariant,
    is_op,
    spread,
    summed,
)
from zhdsl.passes.rewriting import Rules
from zhdsl.passes.rules.broadcast import axes_of, bare


def labels_of(n: Node) -> tuple[str, ...]:
    """The labels that are reduced."""
    assert isinstance(n.op, Reduce | Contract)
    return n.op.labels


# ---------------------------------------------------------------- sum and max alike
def sorted_labels(n: Node) -> Node | None:
    """sum[T, B](x) = sum[B, T](x)"""
    ordered = tuple(sorted(labels_of(n)))
    assert isinstance(n.op, Reduce | Contract)
    return make(replace(n.op, labels=ordered), *n.operands) if ordered != n.op.labels else None


def nothing_reduced(n: Node) -> Node | None:
    """sum[](x) = x; argmax[](x) = 0"""
    if labels_of(n):
        return None
    return filled(0, n.type) if is_op(n, "argmax") else n.operands[0]


def reduced_twice(n: Node) -> Node | None:
    """sum[B](sum[T](x)) = sum[B, T](x)"""
    (x,) = n.operands
    if x.op.name != n.op.name:
        return None
    return apply(n.op.name, x.operands[0], labels=tuple(sorted((*labels_of(n), *labels_of(x)))))


def single_elements(n: Node) -> Node | None:
    """sum[T](x) = drop[T](x) where T has one element"""
    x, labels = n.operands[0], labels_of(n)
    ones = [label for label in labels if x.type.sizes[label] == 1]
    if not ones:
        return None
    operands = list(n.operands)
    for label in ones:
        operands = [apply("drop", o, label=label) for o in operands]
    assert isinstance(n.op, Reduce | Contract)
    return make(replace(n.op, labels=tuple(label for label in labels if label not in ones)), *operands)


def reorder_reduced(n: Node) -> Node | None:
    """sum[T](flip[T](x)) = sum[T](x); sum[F](merge[(C, H) to F](x)) = sum[C, H](x); and back for a split"""
    (x,), labels = n.operands, set(labels_of(n))
    if isinstance(x.op, Flip) and x.op.label in labels:
        return make(n.op, x.operands[0])
    if isinstance(x.op, Merge) and x.op.label in labels:
        labels = (labels - {x.op.label}) | set(x.op.labels)
    elif isinstance(x.op, Split) and labels.issuperset(label for label, _ in x.op.parts):
        labels = (labels - {label for label, _ in x.op.parts}) | {x.op.label}
    else:
        return None
    return apply(n.op.name, x.operands[0], labels=tuple(sorted(labels)))


# ---------------------------------------------------------------- sum
def sum_of_expand(n: Node) -> Node | None:
    """sum[B](expand[B](x)) = x * B"""
    (x,), labels = n.operands, labels_of(n)
    axes = axes_of(x)
    if not any(label in axes for label in labels):
        return None
    times = Size.of(1)
    for label in labels:
        times = times * axes.get(label, 1)
    inner = bare(x)
    return spread(summed(inner, labels) * constant(times, inner.type.dtype), n.type)


def max_of_expand(n: Node) -> Node | None:
    """max[B](expand[B](x)) = x, where B is not empty for certain"""
    (x,), labels = n.operands, labels_of(n)
    gone = [label for label in labels if at_most(1, axes_of(x).get(label, Size.of(0)))]
    if not gone:
        return None
    return apply("max", spread(bare(x), x.type.without(gone)), labels=tuple(k for k in labels if k not in gone))


def reduce_before_expand(n: Node) -> Node | None:
    """sum[T](expand[B](x)) = expand[B](sum[T](x)), also of max and argmax"""
    (x,) = n.operands
    outside = [label for label in axes_of(x) if label not in labels_of(n)]
    return spread(make(n.op, spread(bare(x), x.type.without(outside))), n.type) if outside else None


def sum_of_neg(n: Node) -> Node | None:
    """sum[T](-x) = -sum[T](x)"""
    (x,) = n.operands
    return -make(n.op, x.operands[0]) if is_op(x, "neg") else None


def sum_of_product(n: Node) -> Node | None:
    """sum[F](x * w) = contract[F](x, w); what only one of the two has is summed there first"""
    (x,), labels = n.operands, labels_of(n)
    if not is_op(x, "mul"):
        return None
    a, b = x.operands
    if x.type.is_float and not (invariant(a) or invariant(b)):
        return contraction(a, b, labels)
    outside = next(((p, q) for p, q in both_ways(x) if not has(q, labels)), None)
    return summed(outside[0], labels) * outside[1] if outside and covers(outside[0], labels) else None


def sum_of_quotient(n: Node) -> Node | None:
    """sum[K](x / s) = sum[K](x) / s, where s has no K"""
    (x,), labels = n.operands, labels_of(n)
    if not is_op(x, "div") or has(x.operands[1], labels):
        return None
    return summed(x.operands[0], labels) / x.operands[1]


def sum_of_contract(n: Node) -> Node | None:
    """sum[B](contract[F](a, b)) = contract[B, F](a, b); what only one of the two has is summed there first

    Not of a convolution: the sum of a window reads every element once for each tap, that of the result once.
    """
    (x,) = n.operands
    if not is_op(x, "contract") or any(is_op(o, "window") for o in x.operands):
        return None
    a, b = x.operands
    return contraction(a, b, (*labels_of(n), *labels_of(x)))


def sum_of_pad(n: Node) -> Node | None:
    """sum[T](pad[T](x)) = sum[T](x); sum[B](pad[T](x)) = pad[T](sum[B](x))"""
    (x,), labels = n.operands, labels_of(n)
    if not isinstance(x.op, Pad) or x.op.fill != 0:
        return None
    total = make(n.op, x.operands[0])
    return total if x.op.label in labels else make(x.op, total)


def sum_of_scatter(n: Node) -> Node | None:
    """sum[V](scatter[V](g, i)) = g where 0 <= i < V, else 0, summed over what the scatter added up"""
    (x,), labels = n.operands, labels_of(n)
    if not isinstance(x.op, Scatter) or not set(labels).issuperset(x.op.labels):
        return None
    g, *indices = x.operands
    zero = constant(0, "i32")
    for label, i in zip(x.op.labels, indices, strict=True):
        inside = apply("and", apply("le", zero, i), apply("lt", i, constant(x.op.type.sizes[label], "i32")))
        g = apply("where", inside, g, constant(0, g.type.dtype))
    return summed(g, (label for label in g.type.labels if label not in n.type.sizes))


# ---------------------------------------------------------------- contract
def contract_of_expand(n: Node) -> Node | None:
    """contract[F](expand[F](x), w) = x * sum[F](w); contract[F](expand[B](x), w) = expand[B](contract[F](x, w))"""
    a, b = n.operands
    if not (is_op(a, "expand") or is_op(b, "expand")):
        return None
    both = [label for label in labels_of(n) if label in axes_of(a) and label in axes_of(b)]
    product = contraction(bare(a), bare(b), labels_of(n))
    if both:
        product = product * constant(Type("i32", tuple((k, a.type.sizes[k]) for k in both)).count(), n.type.dtype)
    return spread(product, n.type)


def contract_of_neg(n: Node) -> Node | None:
    """contract(-a, b) = -contract(a, b)"""
    for i, x in enumerate(n.operands):
        if is_op(x, "neg"):
            return -make(n.op, *(x.operands[0] if i == k else o for k, o in enumerate(n.operands)))
    return None


def contract_of_nothing(n: Node) -> Node | None:
    """contract[](a, b) = a * b"""
    return apply("mul", *n.operands) if not labels_of(n) else None


BOTH = (nothing_reduced, sorted_labels, single_elements, reduced_twice, reorder_reduced)
SUM = (sum_of_expand, reduce_before_expand, sum_of_neg, sum_of_product, sum_of_quotient, sum_of_contract, sum_of_pad)
RULES: Rules = {
    "sum": (*BOTH, *SUM, sum_of_scatter),
    "max": (*BOTH, max_of_expand, reduce_before_expand),
    "argmax": (nothing_reduced, reduce_before_expand),
    "contract": (contract_of_nothing, sorted_labels, single_elements, contract_of_expand, contract_of_neg),
}
