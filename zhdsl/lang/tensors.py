"""Operations between tensors by name: where labels meet, which order the result has, which dtype.

The result has the order of the operand whose labels include the other's (the left one if both do), else the left
one's labels and then the new ones. There is no stretching of size 1 and no alignment by position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zhdsl.ir.node import Node, apply
from zhdsl.ir.sizes import Size, Undecided
from zhdsl.ir.types import FLOAT, FLOATS, Type
from zhdsl.lang.elaborator import Elaborator, constant
from zhdsl.lang.problem import Note, Problem, named
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import Many, Tensor, is_number, kind_of
from zhdsl.source import Span

RANKS = ("bool", "i32")


def order_of(tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """The order of a by-name operation's result."""
    best = tensors[0].order if tensors else ()
    for t in tensors[1:]:
        if set(t.order) > set(best):
            best = t.order
        elif not set(t.order) <= set(best):
            best = best + tuple(label for label in t.order if label not in best)
    return best


def meet(e: Elaborator, s: Scope, tensors: Sequence[Tensor], spans: Sequence[Span], at: Span, but: str = "") -> None:
    """Raises `Problem` where one label has two sizes; `but` is a label that may."""
    first: dict[str, tuple[Tensor, Span]] = {}
    for t, span in zip(tensors, spans, strict=True):
        for label in t.order:
            other, place = first.setdefault(label, (t, span))
            if label != but and not same(s, other.type.sizes[label], t.type.sizes[label]):
                raise disagreement(e, s, label, (other, t), (place, span), at)


def same(s: Scope, a: Size, b: Size) -> bool:
    """Whether two sizes are provably equal."""
    return a == b


def disagreement(
    e: Elaborator, s: Scope, label: str, pair: tuple[Tensor, Tensor], spans: tuple[Span, Span], at: Span
) -> Problem:
    """The error of two tensors that meet with one label and two sizes."""
    left, right = (t.type.sizes[label] for t in pair)
    notes = [sides(e, s, tensor, span) for tensor, span in zip(pair, spans, strict=True)]
    name, place = s.shown(label), at if spans[0] == spans[1] else spans[0]
    if left.number is not None and right.number is not None:
        thin = next((named(p) for n, p in zip((left, right), spans, strict=True) if n == 1), "")
        help_ = f"a size of 1 is not stretched: drop the axis, `{thin}[{name}=0]`" if thin else ""
        return Problem("Z0312", f"axes do not agree: {name} is {left} and {right}", place, *notes, help=help_)
    help_ = f"if they are always equal, say so: `require {left} == {right}`"
    return Problem("Z0313", f"sizes are not provably equal: {name} is {left} and {right}", place, *notes, help=help_)


def sides(e: Elaborator, s: Scope, tensor: Tensor, span: Span) -> Note:
    """One operand in a message: its name if it has one, its type, and where it was made."""
    name = named(span, "")
    return span, (f"{name}: " if name else "") + s.show(tensor) + made_at(e, tensor.node, span)


def made_at(e: Elaborator, node: Node, here: Span) -> str:
    """` (from line 5)`: where a value was made, if that is on another line of the same text."""
    places = sorted((o.span for o in e.builder.origins.get(node, ())), key=lambda p: p.key)
    other = [p for p in places if p.source is here.source and p.line != here.line]
    return f" (from line {other[0].line})" if other else ""


def as_tensor(value: Any, dtype: str, span: Span) -> Tensor:
    """A value as a tensor; numbers take the given dtype where they can."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool):
        return constant(value, "bool")
    if is_number(value):
        if dtype == "bool":
            dtype = "i32"
        if isinstance(value, float) and dtype == "i32":
            dtype = FLOAT
        return constant(value, dtype)
    if isinstance(value, Many):
        raise Problem("Z0411", "one tensor is wanted here, not several values", span)
    raise Problem("Z0411", f"a tensor is wanted here, not {kind_of(value)}", span)


def rank(value: Any) -> str:
    """The dtype that a value brings into an operation: numbers are weak."""
    if isinstance(value, Tensor):
        return value.type.dtype
    return "bool" if isinstance(value, bool) else "weak float" if isinstance(value, float) else "weak int"


def common_dtype(values: Sequence[Any], s: Scope, span: Span) -> str:
    """bool < i32 < float; literals and sizes adapt; two explicit floats never mix."""
    ranks = [rank(v) for v in values]
    floats = sorted({r for r in ranks if r in FLOATS})
    if len(floats) > 1:
        help_ = f"convert one: `{floats[-1]}(x)`"
        raise Problem("Z0502", f"two kinds of float meet: {' and '.join(floats)}", span, help=help_)
    if floats:
        return floats[0]
    if "weak float" in ranks:
        return s.float
    return "i32" if "i32" in ranks or "weak int" in ranks else "bool"


def cast(t: Tensor, dtype: str) -> Tensor:
    return t if t.type.dtype == dtype else Tensor(apply("cast", t.node, dtype=dtype), t.order)


def elementwise(
    e: Elaborator,
    s: Scope,
    op: str,
    values: Sequence[Any],
    spans: Sequence[Span],
    at: Span,
    dtype: str | None = None,
    **attributes: Any,
) -> Tensor:
    """A by-name operation on values that are brought to one dtype (`dtype`, or the common one)."""
    wanted = dtype or common_dtype(values, s, at)
    tensors = [cast(as_tensor(v, wanted, p), wanted) for v, p in zip(values, spans, strict=True)]
    meet(e, s, tensors, spans, at)
    return Tensor(apply(op, *(t.node for t in tensors), **attributes), order_of(tensors))


def select(e: Elaborator, s: Scope, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Tensor:
    """`where(c, a, b)`."""
    test = as_tensor(values[0], "bool", spans[0])
    if test.type.dtype != "bool":
        raise Problem("Z0503", f"a condition is bool, this is {s.show(test)}", spans[0], help="compare: `x > 0`")
    dtype = common_dtype(values[1:], s, at)
    branches = [cast(as_tensor(v, dtype, p), dtype) for v, p in zip(values[1:], spans[1:], strict=True)]
    meet(e, s, [test, *branches], spans, at)
    return Tensor(apply("where", test.node, *(b.node for b in branches)), order_of([test, *branches]))


def to_float(value: Any, s: Scope, span: Span) -> Tensor:
    """A value as a float tensor."""
    t = as_tensor(value, s.float, span)
    return t if t.type.is_float else cast(t, s.float)


def matmul(e: Elaborator, s: Scope, a: Tensor, b: Tensor, spans: tuple[Span, Span], at: Span) -> Tensor:
    """`a @ b`: contract the last axis of a with the first of b; labels left on both sides are batch."""
    if not a.order or not b.order:
        raise Problem("Z0314", "`@` needs an axis on both sides", at, help="write `*` for a product with a scalar")
    p, q = a.order[-1], b.order[0]
    if p != q:
        names = s.shown(p), s.shown(q)
        if q in a.type.sizes:
            raise Problem(
                "Z0314",
                f"`@` is ambiguous: {names[0]} and {names[1]} are both axes of the left side",
                spans[0],
                sides(e, s, a, spans[0]),
                sides(e, s, b, spans[1]),
                help=_sum_of(names[0], spans),
            )
        if not same(s, a.type.sizes[p], b.type.sizes[q]):
            raise Problem(
                "Z0315",
                f"`@` sums {names[0]} of the left, {a.type.sizes[p]}, with {names[1]} of the right, {b.type.sizes[q]}",
                spans[0],
                sides(e, s, a, spans[0]),
                sides(e, s, b, spans[1]),
                help=_sum_of(names[0] if p in b.type.sizes else "…", spans),
            )
        inner = _private(a, b, p)
        a, b = renamed(a, {p: inner}), renamed(b, {q: inner})
        p = inner
    a, b = to_float(a, s, spans[0]), to_float(b, s, spans[1])
    meet(e, s, (a, b), spans, at)
    return contract(a, b, (p,))


def _sum_of(axis: str, spans: tuple[Span, Span]) -> str:
    return f"say what is summed: `sum[{axis}]({named(spans[0], 'a')} * {named(spans[1], 'b')})`"


def _private(a: Tensor, b: Tensor, label: str) -> str:
    """A label for a sum that neither side has."""
    name = f"{label}_k"
    while name in a.type.sizes or name in b.type.sizes:
        name += "_"
    return name


def contract(a: Tensor, b: Tensor, labels: tuple[str, ...]) -> Tensor:
    """sum[labels](a * b) for labels that at least one side has; what only one side has is summed there first."""
    nodes = []
    for mine, other in ((a, b), (b, a)):
        alone = tuple(n for n in labels if n in mine.type.sizes and n not in other.type.sizes)
        nodes.append(apply("sum", mine.node, labels=alone) if alone else mine.node)
    both = tuple(n for n in labels if n in a.type.sizes and n in b.type.sizes)
    order = tuple(n for n in order_of((a, b)) if n not in labels)
    if not both:
        return Tensor(apply("mul", *nodes), order)
    return Tensor(apply("contract", *nodes, labels=both), order)


def renamed(t: Tensor, names: dict[str, str]) -> Tensor:
    """The tensor with labels renamed; nothing happens to those that keep theirs."""
    changed = tuple((old, new) for old, new in names.items() if old in t.type.sizes and old != new)
    if not changed:
        return t
    node = apply("relabel", t.node, names=changed)
    mapping = dict(changed)
    return Tensor(node, tuple(mapping.get(label, label) for label in t.order))


def expanded(t: Tensor, axes: Sequence[tuple[str, Size]], order: tuple[str, ...]) -> Tensor:
    """The tensor repeated along axes it lacks."""
    missing = tuple((label, size) for label, size in axes if label not in t.type.sizes)
    return Tensor(apply("expand", t.node, axes=missing) if missing else t.node, order)


def reduced(op: str, t: Tensor, labels: tuple[str, ...]) -> Tensor:
    """A reduction. `sum` of a product is a contraction: the product over the union of labels is never made."""
    order = tuple(n for n in t.order if n not in labels)
    if op == "sum" and labels and t.node.op.name == "mul" and t.type.is_float:
        a, b = (Tensor(x, x.type.labels) for x in t.node.operands)
        return Tensor(contract(a, b, labels).node, order)
    return Tensor(apply(op, t.node, labels=labels) if labels else t.node, order)


def decided(question: Any, span: Span, text: str) -> bool:
    """A question about sizes that must have an answer now."""
    try:
        return bool(question())
    except Undecided:
        raise Problem("Z0325", f"cannot be decided before the sizes are known: {text}", span) from None


def certain(question: Callable[[], bool]) -> bool:
    """Whether something about sizes is certainly so."""
    try:
        return question()
    except Undecided:
        return False


def typed(type_: Type, dtype: str) -> bool:
    """Whether a tensor of this type may be given for a declared dtype ("" is the program's float)."""
    return type_.dtype == (dtype or FLOAT) or (dtype == "" and type_.is_float)
