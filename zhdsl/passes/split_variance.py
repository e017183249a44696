"""Sums of squared deviations of data in two levels, so that one pass over the data is enough: for printed loops.

    %2 = sum[B, H](ipow[2](sub(%x, %m)))        becomes, with the mean of each sample %mb = sum[H](%x) / H,

    %2 = sum[B](sum[H](ipow[2](sub(%x, %mb)))) + H * sum[B](ipow[2](sub(%mb, %m)))

True for every %m without B and H, since the deviations from a sample's own mean add up to 0. The first term needs one
sample at a time, while it is in the cache; the second only the means. Sums of the same %x over the same labels are
split alike. (Chan, Golub & LeVeque 1983, eq. 1.5: the same accuracy as in two passes.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Node, apply, builder, topological
from zhdsl.ir.sizes import Size
from zhdsl.ops.elementwise import IPow
from zhdsl.ops.reduce import Sum
from zhdsl.passes.patterns import constant, is_op
from zhdsl.passes.rewriting import changed


def split_variance(graph: Graph) -> Graph:
    """The graph with variances over samples and places in two levels."""
    return changed(graph, _split)


@dataclass(frozen=True)
class Variance:
    """sum[outer, inner]((x - m)^2): `outer` have sizes that are known at run time only."""

    x: Node
    m: Node
    outer: tuple[str, ...]
    inner: tuple[str, ...]


def _variance(n: Node) -> Variance | None:
    if not isinstance(n.op, Sum) or not isinstance(n.operands[0].op, IPow) or n.operands[0].op.exponent != 2:
        return None
    (deviation,) = n.operands[0].operands
    if not is_op(deviation, "sub"):
        return None
    x, m = deviation.operands
    labels = n.op.labels
    outer = tuple(label for label in labels if x.type.sizes.get(label, Size.of(0)).symbols)
    inner = tuple(label for label in labels if label not in outer)
    fits = all(label in x.type.sizes for label in labels) and not any(label in m.type.sizes for label in labels)
    return Variance(x, m, outer, inner) if fits and outer and inner else None


def _split(outputs: Sequence[Node]) -> Sequence[Node]:
    order = topological(outputs)
    found = {n: v for n in order if (v := _variance(n)) is not None}
    if not found:
        return outputs
    means = {(v.x, tuple(sorted((*v.outer, *v.inner)))): v for v in found.values()}
    b, new = builder(), dict[Node, Node]()
    for node in order:
        with b.at(b.origins.get(node, NOWHERE)):
            new[node] = _replaced(node, found, means, new)
        b.note(new[node], b.origins.get(node, NOWHERE), b.names.get(node))
    return [new[o] for o in outputs]


def _replaced(
    node: Node,
    found: Mapping[Node, Variance],
    means: Mapping[tuple[Node, tuple[str, ...]], Variance],
    new: Mapping[Node, Node],
) -> Node:
    """What a node becomes, its operands being done."""
    variance = found.get(node)
    if variance is not None:
        return _two_levels(variance, new[variance.x], new[variance.m])
    if isinstance(node.op, Sum):
        like = means.get((node.operands[0], tuple(sorted(node.op.labels))))
        if like is not None:
            return apply("sum", apply("sum", new[like.x], labels=like.inner), labels=like.outer)
    return builder().make(node.op, tuple(new[x] for x in node.operands))


def _two_levels(v: Variance, x: Node, m: Node) -> Node:
    count = Size.of(1)
    for label in v.inner:
        count = count * x.type.sizes[label]
    many = constant(count, x.type.dtype)
    mean = apply("sum", x, labels=v.inner) / many
    near = apply("sum", apply("ipow", x - mean, exponent=2), labels=v.inner)
    far = apply("sum", apply("ipow", mean - m, exponent=2), labels=v.outer)
    return apply("sum", near, labels=v.outer) + many * far
