"""`x[…]` of a tensor: positions, slices, the current slice of a scan, gathers, renames.

Several tensor indices at once are pointwise with each other; labels that tensor and index share are pointwise too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Size, Undecided
from zhdsl.lang import ast, tensors
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate, lacking, size
from zhdsl.lang.problem import Problem, conversion
from zhdsl.lang.scans import slice_now
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import ScanIndex, Tensor, shown
from zhdsl.source import Span


def index(e: Elaborator, s: Scope, t: Tensor, x: ast.Index) -> Tensor:
    """The value of `t[args]`."""
    gathers: list[tuple[str, Tensor, Span]] = []
    if not x.args:
        raise Problem("Z0408", "an index names its axis: `x[T=0]`", x.span)
    for together, args in groupby(x.args, lambda arg: isinstance(arg, ast.Relabel)):
        if together:
            t = rename(s, t, [arg for arg in args if isinstance(arg, ast.Relabel)])
            continue
        for arg in args:
            t = _along(e, s, t, arg, gathers) if isinstance(arg, ast.Keyword) else _unnamed(e, s, t, arg, x)
    return gather(e, s, t, gathers, x.span) if gathers else t


def axis_of(s: Scope, t: Tensor, name: str, span: Span) -> str:
    """The graph's label of an axis that the tensor must have."""
    value = s.vars.get(name)
    label = s.labels.get(name) or getattr(value, "label", None)
    if label is None or label not in t.type.sizes:
        raise lacking(s, t, name, span)
    return str(label)


def rename(s: Scope, t: Tensor, args: Sequence[ast.Relabel]) -> Tensor:
    """`x[T as Q]`; several side by side are made at once, `x[T as Q, Q as T]` swaps."""
    old = [axis_of(s, t, arg.old, arg.span) for arg in args]
    names: dict[str, str] = {}
    for arg, label in zip(args, old, strict=True):
        new = s.introduce(arg.new)
        if (new != label and new in set(t.type.sizes) - set(old)) or new in names.values() or label in names:
            raise Problem("Z0311", f"{s.show(t)} has an axis {arg.new} already", arg.span)
        names[label] = new
        if s.size(arg.new) is None:
            s.sizes.setdefault(arg.new, t.type.sizes[label]) if arg.new not in s.vars else None
    return tensors.renamed(t, names)


def _unnamed(e: Elaborator, s: Scope, t: Tensor, arg: ast.Arg, x: ast.Index) -> Tensor:
    value: Any = None
    if isinstance(arg, ast.Name):
        value = s.vars.get(arg.id)
    if isinstance(value, ScanIndex):
        return slice_now(s, t, x, value)
    if isinstance(arg, ast.Range | ast.Rest | ast.RestSized):
        raise Problem("Z0408", "an index names its axis: `x[T=0..4]`", arg.span)
    raise Problem(
        "Z0408",
        "an index names its axis: `x[T=0]`",
        arg.span,
        help=f"e.g. `[{s.shown(t.order[0])}={arg.span.text}]`" if t.order else "this tensor has no axes",
    )


def _along(e: Elaborator, s: Scope, t: Tensor, arg: ast.Keyword, gathers: list[tuple[str, Tensor, Span]]) -> Tensor:
    label = axis_of(s, t, arg.name, arg.span)
    if isinstance(arg.value, ast.Rest):
        raise Problem("Z0408", "a rest is no index", arg.value.span)
    if isinstance(arg.value, ast.Range):
        n = t.type.sizes[label]
        low = _bound(e, s, arg.value.low, n) if arg.value.low is not None else Size.of(0)
        high = _bound(e, s, arg.value.high, n) if arg.value.high is not None else n
        return take_range(e, s, t, label, low, high, arg.span)
    value = evaluate(e, s, arg.value)
    if isinstance(value, ScanIndex):
        raise Problem("Z0408", "the current slice is written without the axis: `x[t]`", arg.span)
    if isinstance(value, Tensor):
        if value.type.dtype != "i32":
            help_ = conversion("i32", arg.value.span)
            raise Problem("Z0504", f"an index is i32, this is {s.show(value)}", arg.value.span, help=help_)
        gathers.append((label, value, arg.value.span))
        return t
    if isinstance(value, bool) or not isinstance(value, int | Size):
        raise Problem("Z0504", f"an index is a whole number, this is {shown(value)}", arg.value.span)
    return take_one(e, s, t, label, Size.of(value), arg.span)


def _bound(e: Elaborator, s: Scope, x: ast.Expr, n: Size) -> Size:
    value = size(e, s, x, "a bound")
    return n + value if value.number is not None and value.number < 0 else value


def take_one(e: Elaborator, s: Scope, t: Tensor, label: str, at: Size, span: Span) -> Tensor:
    """One position; the axis goes."""
    n = t.type.sizes[label]
    if at.number is not None and at.number < 0:
        at = n + at
    _inside(e, s, at, n - 1, label, n, span)
    node = apply("slice", t.node, label=label, start=at, size=Size.of(1))
    return Tensor(apply("drop", node, label=label), tuple(a for a in t.order if a != label))


def take_range(e: Elaborator, s: Scope, t: Tensor, label: str, low: Size, high: Size, span: Span) -> Tensor:
    """Positions low to high (excluded)."""
    n = t.type.sizes[label]
    if tensors.certain(lambda: low.compare(high) > 0):
        raise Problem("Z0327", f"{' '.join(span.text.split())} runs backwards", span, help="`flip[T](x)` turns an axis")
    _inside(e, s, low, high, label, n, span)
    _inside(e, s, high, n, label, n, span)
    if low == Size.of(0) and high == n:
        return t
    return Tensor(apply("slice", t.node, label=label, start=low, size=high - low), t.order)


def _inside(e: Elaborator, s: Scope, a: Size, b: Size, label: str, n: Size, span: Span) -> None:
    """a <= b, now or as a guard; and 0 <= a."""
    name, text = s.shown(label), " ".join(span.text.split())
    for low, high in ((a, b), (Size.of(0), a)):
        try:
            if low.compare(high) > 0:
                help_ = f"{name} has {n} elements, 0 to {n - 1}" if n.number else f"{name} has {n} elements"
                raise Problem("Z0327", f"{text} is outside of the axis", span, help=help_)
        except Undecided:
            e.guard(low, "<=", high, span, f"{text} of an axis {name} of {n}")


def gather(e: Elaborator, s: Scope, t: Tensor, gathers: list[tuple[str, Tensor, Span]], at: Span) -> Tensor:
    """The labels of the indices stand where the first indexed axis stood."""
    labels = tuple(label for label, _, _ in gathers)
    if len(set(labels)) < len(labels):
        raise Problem("Z0408", "an axis is indexed twice", at)
    rest = Tensor(t.node, tuple(a for a in t.order if a not in labels))
    whole = [Tensor(i.node, tuple(a for a in i.order if a not in labels)) for _, i, _ in gathers]
    for i, (_, value, span) in enumerate(gathers):
        for label in value.order:
            for other, where in [(rest, at)] + [(w, at) for w in whole[:i]]:
                if label in other.order and other.type.sizes[label] != value.type.sizes[label]:
                    raise tensors.disagreement(e, s, label, (other, value), (where, span), at)
    new: list[str] = []
    for _, value, _ in gathers:
        new += [a for a in value.order if a not in new and a not in rest.order]
    order: list[str] = []
    for a in t.order:
        if a == next(x for x in t.order if x in labels):
            order += new
        if a not in labels:
            order.append(a)
    node = apply("gather", t.node, *(i.node for _, i, _ in gathers), labels=labels)
    return Tensor(node, tuple(order))
