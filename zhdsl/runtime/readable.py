"""The passes for a program that is to be read: identities that shorten it, none that take it away from the text.

    %1 = mul(%g, div(-1.0, float(B)))            -(g / B)
    %2 = neg(sub(%y, %p))                        p - y
    %4 = tanh(contract[N](%h_before, %U) …)      h, which the forward loop gives out

The forward part stays as the user wrote it, but for what no number depends on. The backward part is simplified by the
rules of the algebra, without those that pay only in time: they scatter relabels, take apart what is written together,
or move an axis of one element out of the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply, make, rebuild, topological
from zhdsl.ir.sizes import Size, Undecided
from zhdsl.ir.types import Type
from zhdsl.ops.contract import Contract
from zhdsl.ops.loop import Scan, project
from zhdsl.ops.movement import Concat
from zhdsl.passes import run_passes
from zhdsl.passes.drop_dead_code import drop_dead_code
from zhdsl.passes.erase_stops import erase_stops
from zhdsl.passes.fold_constants import RULES as CONSTANTS
from zhdsl.passes.hoist_products import hoist_products
from zhdsl.passes.loop_body import Lifting
from zhdsl.passes.merge_common_subexpressions import merge_common_subexpressions
from zhdsl.passes.patterns import both_ways, combined, constant, contraction, has, invariant, is_op, number, value
from zhdsl.passes.rewriting import Rule, Rules, changed, changed_body, joined, rewrite, with_bodies
from zhdsl.passes.rules import broadcast, choice
from zhdsl.passes.rules.scaled import Scaled
from zhdsl.passes.simplify_algebra import RULES as ALGEBRA
from zhdsl.passes.simplify_loops import simplify_loops
from zhdsl.passes.sink_sums import sink_sums

FOR_SPEED = frozenset(
    (
        "compute_before_relabel",
        "move_before_relabel",
        "reduce_before_relabel",
        "single_elements",
        "concat_flat",
        "scale_smaller",
        "sum_of_quotient",
        "sum_of_product",
    )
)


# ---------------------------------------------------------------- rules
def over_size(n: Node) -> Node | None:
    """x * (1 / c) = x / c; x * (-1 / c) = -(x / c)"""
    for x, y in both_ways(n):
        if is_op(y, "div") and invariant(y) and abs(number(y.operands[0]) or 0) == 1 and not invariant(x):
            quotient = x / y.operands[1]
            return quotient if number(y.operands[0]) == 1 else -quotient
    return None


def neg_of_scaled_difference(n: Node) -> Node | None:
    """-((x - y) / c) = (y - x) / c, and so of products"""
    (x,) = n.operands
    if not is_op(x, "mul", "div") or not is_op(x.operands[0], "sub"):
        return None
    a, b = x.operands[0].operands
    return apply(x.op.name, b - a, x.operands[1])


def joined_scales(n: Node) -> Node | None:
    """(v * c) * (w * d) = (v * w) * (c * d), and so of quotients"""
    a, b = map(Scaled.of, n.operands)
    if not a or not b or "under" in (a.form, b.form):
        return None
    c, over = (a.c, b.c) if a.form == "times" else (b.c, a.c)
    if a.form == b.form:
        both = combined("mul", a.c, b.c)
        return None if both is None else a._replace(v=a.v * b.v).at(both)
    both = combined("div", c, over)
    return None if both is None else a._replace(v=a.v * b.v, form="times").at(both)


def sum_over(n: Node) -> Node | None:
    """sum[K](x / s) = sum[K](x) / s, where s has no K and is no constant"""
    (x,) = n.operands
    if not is_op(x, "div") or invariant(x.operands[1]) or has(x.operands[1], getattr(n.op, "labels", ())):
        return None
    return make(n.op, x.operands[0]) / x.operands[1]


def sum_of_factors(n: Node) -> Node | None:
    """sum[F](x * w) = contract[F](x, w), where neither is a constant"""
    return (
        product_summed(n) if is_op(n.operands[0], "mul") and not any(map(invariant, n.operands[0].operands)) else None
    )


def one_at_least(n: Node) -> Node | None:
    """max(B, 1) = B: an axis has an element"""
    c, x, y = n.operands
    if not is_op(c, "lt") or c.operands != (y, x) or number(x) != 1 or not isinstance(value(y), Size):
        return None
    return y


def mean_again(n: Node) -> Node | None:
    """(sum[D](x) / s) * (c / D) = (sum[D](x) / D / s) * c, for a c that is ±1"""
    c, x = _scale(n)
    total = x and _first_factor(x)
    if c is None or x is None or total is None or not total.type.is_float:
        return None
    times = _times(c, total)
    if times is None or abs(times) != 1:
        return None
    again = _divided(x, total)
    return again if times == 1 else -again


def _scale(n: Node) -> tuple[Node | None, Node | None]:
    """c and x of c * x, x * c or x / c; c is then 1 / c as a node."""
    a, b = n.operands
    if is_op(n, "mul"):
        return (a, b) if invariant(a) else (b, a) if invariant(b) else (None, None)
    return (constant(1.0, b.type.dtype) / b, a) if invariant(b) and not is_op(a, *SUMS) else (None, None)


SUMS = ("sum", "contract")


def _first_factor(x: Node) -> Node | None:
    """The sum that stands first in a product or quotient."""
    for _ in range(6):
        if is_op(x, *SUMS):
            return x
        if not is_op(x, "mul", "div"):
            return None
        x = x.operands[0]
    return None


def _times(c: Node, total: Node) -> float | None:
    """c times the number of elements that are summed, if that is a number."""
    labels: tuple[str, ...] = getattr(total.op, "labels", ())
    count = Type("i32", tuple((k, total.operands[0].type.sizes[k]) for k in labels)).count()
    over: Size | float = 1.0
    if is_op(c, "div"):
        c, over = c.operands[0], _known(c.operands[1])
    found = number(c)
    try:
        ratio = count / Size.of(over) if isinstance(over, Size) else count
    except Undecided:
        return None
    factors = dict(ratio.terms)
    if found is None or factors.keys() != {()}:
        return None
    times = found * float(factors[()]) / (over if isinstance(over, float) else 1.0)
    return round(times) if abs(times - round(times)) < 1e-12 else times


def _known(n: Node) -> Size | float:
    found = value(n)
    return found if isinstance(found, Size) else float(found or 0)


def _divided(x: Node, total: Node) -> Node:
    """x with the sum that stands first in it divided by the number of its elements."""
    if x is total:
        labels: tuple[str, ...] = getattr(total.op, "labels", ())
        count = Type("i32", tuple((k, total.operands[0].type.sizes[k]) for k in labels)).count()
        return total / constant(count, total.type.dtype)
    return make(x.op, _divided(x.operands[0], total), x.operands[1])


OURS: Rules = {"mul": (over_size,), "neg": (neg_of_scaled_difference,), "where": (one_at_least,)}
IN_FORWARD = frozenset(
    [
        "add_zero",
        "sub_zero",
        "mul_one",
        "div_one",
        "product_neg",
        "sum_of_expand",
        "sum_of_neg",
        "reduce_before_expand",
        "nothing_reduced",
    ]
)
FORWARD = joined(
    OURS,
    CONSTANTS,
    choice.RULES,
    broadcast.RULES,
    {op: tuple(rule for rule in rules if rule.__name__ in IN_FORWARD) for op, rules in ALGEBRA.items()},
)
BACKWARD = joined(
    OURS, ALGEBRA, {"mul": (mean_again, joined_scales), "div": (mean_again,), "sum": (sum_over, sum_of_factors)}
)


def _readable(rules: Rules, keep: Callable[[Node], bool] = lambda n: False) -> Rules:
    """The rules without those that are for speed; nodes to be kept have no answer."""

    def tamed(rule: Rule) -> Rule:
        return lambda n: None if keep(n) else rule(n)

    return {op: tuple(tamed(rule) for rule in found if rule.__name__ not in FOR_SPEED) for op, found in rules.items()}


# ---------------------------------------------------------------- before differentiation
def simplify_forward(graph: Graph) -> Graph:
    """The graph without what no number depends on: masks that are true, sizes that are known."""
    return rewrite(graph, _readable(FORWARD))


def tidy(graph: Graph) -> Graph:
    """What is to be differentiated, ready to be read."""
    return run_passes(graph, (simplify_forward, simplify_loops, drop_dead_code))


def assumptions(graph: Graph) -> list[str]:
    """What the readable derivative of a graph, its formulas found, takes for granted."""
    found = []
    rules = {op: tuple(r for r in rules if r is not one_at_least) for op, rules in FORWARD.items()}
    with rewrite(graph, _readable(rules)).building() as b:
        nodes = list(b.origins)
        if any(is_op(n, "where") and one_at_least(n) for n in nodes):
            found.append("no axis is empty")
        if any(is_op(n, "likelihood") for n in nodes):
            found.append("every label is one of the classes")
    return found


# ---------------------------------------------------------------- after it
@dataclass(frozen=True, eq=False)
class Kept(Scan):
    """A loop of the forward part: the passes on loops do not know it by this name."""

    name: ClassVar[str] = "kept"


def shorten(graph: Graph) -> Graph:
    """The graph with its backward part as one would write it down; its formulas stay."""
    graph = erase_stops(graph)
    forward = _forward(graph)
    kept = changed(graph, lambda outputs: _remade(outputs, Kept, lambda n: n in forward))
    passes = (simplify_backward, simplify_loops, name_summands, sink_sums, hoist_products, drop_dead_code)
    short = run_passes(kept, passes)
    read = changed(short, _read_emitted)
    return drop_dead_code(changed(read, lambda outputs: _remade(outputs, Scan, lambda n: True)))


def simplify_backward(graph: Graph) -> Graph:
    """The graph with every rule applied to what only gradients need."""
    return rewrite(graph, _readable(BACKWARD, _forward(graph).__contains__))


def _forward(graph: Graph) -> frozenset[Node]:
    return frozenset(topological(p.node for p in graph.outputs if p.role != "grad"))


def _remade(outputs: Sequence[Node], kind: type[Scan], which: Callable[[Node], bool]) -> Sequence[Node]:
    """Loops as ops of this kind."""

    def rule(old: Node, operands: tuple[Node, ...]) -> Node | None:
        if not isinstance(old.op, Scan) or type(old.op) is kind or not which(old):
            return None
        return make(kind(**{f.name: getattr(old.op, f.name) for f in fields(old.op)}), *operands)

    return rebuild(outputs, rule)


def name_summands(graph: Graph) -> Graph:
    """In loops, sum[B](g) for contract[B](a, x) where g = a * x is there: behind the loop, the one g is then summed."""

    def rule(old: Node, operands: tuple[Node, ...]) -> Node | None:
        if type(old.op) is not Scan:
            return None
        return make(with_bodies(old.op, lambda body: changed_body(body, _summands)), *operands)

    return changed(graph, lambda outputs: rebuild(outputs, rule))


def _summands(outputs: Sequence[Node]) -> Sequence[Node]:
    there = set(topological(outputs))

    def rule(old: Node, operands: tuple[Node, ...]) -> Node | None:
        if not isinstance(old.op, Contract) or apply("mul", *old.operands) not in there:
            return None
        return apply("sum", apply("mul", *operands), labels=old.op.labels)

    return rebuild(outputs, rule)


def _read_emitted(outputs: Sequence[Node]) -> Sequence[Node]:
    """What a forward loop gives out is read instead of computed again."""
    there = set(topological(outputs))
    known = {again: given for node in there if isinstance(node.op, Kept) for again, given in _emitted(node)}
    return rebuild(outputs, lambda old, operands: known.get(old))


def _emitted(node: Node) -> Iterator[tuple[Node, Node]]:
    """For every result of a loop: how it is computed from the values on entry, and the result itself."""
    assert isinstance(node.op, Scan)
    body, lifting = node.op.body, Lifting(node)
    lifting.known |= {slot: project(node, node.op.entry(i)) for i, slot in enumerate(body.slots[: body.carries])}
    for i, emitted in enumerate(body.emits):
        if lifting.can(emitted) and emitted not in body.slots:
            yield lifting.over_steps(emitted), project(node, i)


# ---------------------------------------------------------------- last touches
def touch_up(graph: Graph) -> Graph:
    """What depends on who uses a value.

    concat(concat(a, b), c) = concat(a, b, c) and -(a - b) = b - a, where the inner one has no other use; contract(a, x)
    in the order of a product a * x that is there, since the printer then says `sum[B](g)`.
    """
    return changed(run_passes(graph, (merge_common_subexpressions, drop_dead_code)), _touched)


def contracted(graph: Graph) -> Graph:
    """Sums of products as the checker makes them of `sum[B](a * b)`."""
    return rewrite(graph, {"sum": (product_summed,)})


def product_summed(n: Node) -> Node | None:
    """sum[B](a * b) = contract[B](a, b)"""
    (x,), labels = n.operands, getattr(n.op, "labels", ())
    if not (is_op(x, "mul") and x.type.is_float and labels):
        return None
    a, b = x.operands
    return contraction(a, b, labels)


def _touched(outputs: Sequence[Node]) -> Sequence[Node]:
    there = topological(outputs)
    uses = Counter(x for node in there for x in node.operands)
    uses.update(outputs)

    def rule(old: Node, operands: tuple[Node, ...]) -> Node | None:
        if isinstance(old.op, Concat):
            return _flat(old, operands, uses)
        if is_op(old, "neg") and is_op(old.operands[0], "sub") and uses[old.operands[0]] == 1:
            a, b = operands[0].operands
            return b - a
        return _turned(old, operands, uses) if isinstance(old.op, Contract) else None

    return rebuild(outputs, rule)


def _flat(old: Node, operands: tuple[Node, ...], uses: Counter[Node]) -> Node:
    parts = [
        y for x, n in zip(old.operands, operands, strict=True) for y in (n.operands if _inner(x, old, uses) else (n,))
    ]
    return make(old.op, *parts)


def _inner(x: Node, outer: Node, uses: Counter[Node]) -> bool:
    return x.op == outer.op and uses[x] == 1


def _turned(old: Node, operands: tuple[Node, ...], uses: Counter[Node]) -> Node | None:
    """The printer says `sum[B](g)` where g = a * x has a name."""
    a, x = old.operands
    there = not uses[apply("mul", a, x)] and uses[apply("mul", x, a)]
    return make(old.op, *operands[::-1]) if there else None
