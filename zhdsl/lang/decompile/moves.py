"""Moves of elements, indices and draws as expressions: a table from op to rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT
from zhdsl.lang import ast
from zhdsl.lang.decompile import syntax
from zhdsl.lang.decompile.scalars import Rule, literal, without
from zhdsl.lang.decompile.value import Scope, Value, converted, order_of


# ---------------------------------------------------------------- sources
def _iota(s: Scope, node: Node) -> Value:
    op: Any = node.op
    return Value(syntax.index(syntax.name("iota"), syntax.made_axis(op.label, op.size)), (op.label,))


def _uniform(s: Scope, node: Node) -> Value:
    op: Any = node.op
    args = [syntax.made_axis(label, n) for label, n in op.axes]
    args.append(syntax.keyword("stream", syntax.number(op.stream)))
    order = tuple(label for label, _ in op.axes)
    if not s.is_counter(node.operands):
        values = [s.use(x) for x in node.operands]
        args.append(syntax.keyword("key", syntax.several(v.expr for v in values)))
        shared = {label for v in values for label in v.order}
        order += tuple(sorted(shared))
    return Value(syntax.index(syntax.name("uniform"), *args), order)


def _expand(s: Scope, node: Node) -> Value:
    op: Any = node.op
    (x,) = node.operands
    statics = [syntax.made_axis(label, n) for label, n in op.axes]
    order = tuple(label for label, _ in op.axes)
    if not statics:
        return s.use(x)
    if x.op.name != "const":
        value = s.use(x)
        return Value(syntax.call("expand", value.expr, statics=statics), (*order, *value.order))
    return _filled(x, statics, order)


def _filled(constant: Node, statics: Sequence[ast.Arg], order: tuple[str, ...]) -> Value:
    """`zeros[B]`, `ones[B]`, `expand[B](0.5)`: floats are made, other dtypes cast."""
    value: Any = getattr(constant.op, "value", None)
    dtype = constant.type.dtype
    named = {0.0: "zeros", 1.0: "ones"}.get(value) if isinstance(value, int | float) and dtype != "bool" else None
    if named and str(value) != "-0.0":
        made = Value(syntax.index(syntax.name(named), *statics), order)
    else:
        inner = literal(constant, False) if dtype != "i32" or isinstance(value, Size) else syntax.number(float(value))
        made = Value(syntax.call("expand", inner, statics=statics), order)
    sized = isinstance(value, Size)
    return made if dtype in (FLOAT, "bool") or sized else converted(made, dtype)


# ---------------------------------------------------------------- indices
def indexed(value: Value, arg: ast.Arg, order: tuple[str, ...]) -> Value:
    """`x[arg]`, in the brackets that x ends in if it does."""
    if value.indexed and isinstance(value.expr, ast.Index):
        expr = syntax.index(value.expr.base, *value.expr.args, arg)
    else:
        expr = syntax.index(value.expr, arg)
    return Value(expr, order, indexed=True)


def _slice(s: Scope, node: Node) -> Value:
    op: Any = node.op
    (x,) = node.operands
    value, n = s.use(x), x.type.sizes[op.label]
    low = None if op.start == 0 else _end(op.start, n)
    high = None if op.start + op.size == n else _end(op.start + op.size, n)
    if low is None and high is None:
        return value
    return indexed(value, syntax.keyword(op.label, syntax.span_of(low, high)), value.order)


def _end(at: Size, n: Size) -> ast.Expr:
    """A bound, counted from the end where that is shorter to say."""
    left = (n - at).number
    return syntax.number(-left) if at.number is None and left is not None and left > 0 else syntax.size(at)


def _drop(s: Scope, node: Node) -> Value:
    """One position: `x[T=0]` of a slice of one element, or of an axis that has just one."""
    label: str = getattr(node.op, "label", "")
    (x,) = node.operands
    inner: Any = x.op
    if inner.name == "slice" and inner.label == label and inner.size == 1 and s.in_line(x):
        value, at = s.use(x.operands[0]), _end(inner.start, x.operands[0].type.sizes[label])
    else:
        value, at = s.use(x), syntax.number(0)
    return indexed(value, syntax.keyword(label, at), without(value.order, (label,)))


def _relabel(s: Scope, node: Node) -> Value:
    """All renamings of one index are made at once; those of a second one stand in brackets of their own."""
    names = {old: new for old, new in getattr(node.op, "names", ()) if old != new}
    value = s.use(node.operands[0])
    if value.indexed and isinstance(value.expr, ast.Index) and isinstance(value.expr.args[-1], ast.Relabel):
        value = Value(value.expr, value.order)
    for old, new in names.items():
        value = indexed(value, syntax.relabel(old, new), value.order)
    return Value(value.expr, tuple(names.get(label, label) for label in value.order), indexed=value.indexed)


def _gather(s: Scope, node: Node) -> Value:
    labels: tuple[str, ...] = getattr(node.op, "labels", ())
    x, *places = (s.tensor(operand) for operand in node.operands)
    args = [syntax.keyword(label, i.expr) for label, i in zip(labels, places, strict=True)]
    rest = without(x.order, labels)
    new = [label for label in order_of_all(places) if label not in rest]
    first = next(label for label in x.order if label in labels)
    order: list[str] = []
    for label in x.order:
        order += new if label == first else []
        order += [label] if label not in labels else []
    return Value(syntax.index(x.expr, *args), tuple(order))


def order_of_all(values: Iterable[Value]) -> list[str]:
    """All labels, in order of their first mention."""
    return list(dict.fromkeys(label for v in values for label in v.order))


def _scatter(s: Scope, node: Node) -> Value:
    op: Any = node.op
    g, *places = (s.tensor(operand) for operand in node.operands)
    statics: list[ast.Arg] = [syntax.keyword(label, syntax.size(op.type.sizes[label])) for label in op.labels]
    of_indices = [label for label in order_of_all(places) if label not in op.labels]
    summed = [label for label in of_indices if label not in op.type.sizes]
    if len(summed) < len(of_indices):
        names: ast.Expr = syntax.several(map(syntax.name, summed)) if summed else NONE
        statics.append(syntax.keyword("sum", names))
    order = (*op.labels, *(n for n in g.order if n in op.type.sizes and n not in op.labels))
    return Value(syntax.call("scatter", g.expr, *(i.expr for i in places), statics=statics), order)


NONE = ast.Constant("none", span=syntax.PLACE)


# ---------------------------------------------------------------- pads, parts
def _pad(s: Scope, node: Node) -> Value:
    """Pads of one fill, one inside the other, are one `pad`."""
    fill: float = getattr(node.op, "fill", 0.0)
    statics: list[ast.Arg] = []
    x, labels = node, set[str]()
    while x.op.name == "pad" and getattr(x.op, "fill", None) == fill and (x is node or s.in_line(x)):
        label: str = getattr(x.op, "label", "")
        if label in labels:
            break
        labels.add(label)
        statics.insert(0, _padding(x))
        x = x.operands[0]
    if fill != 0:
        statics.append(syntax.keyword("value", syntax.number(fill, whole=True)))
    value = s.use(x)
    return Value(syntax.call("pad", value.expr, statics=statics), value.order)


def _padding(node: Node) -> ast.Arg:
    op: Any = node.op
    low, high = syntax.size(op.low), syntax.size(op.high)
    return syntax.keyword(op.label, low if op.low == op.high else syntax.several((low, high)))


def _concat(s: Scope, node: Node) -> Value:
    label: str = getattr(node.op, "label", "")
    numbers = [x.operands[0].op for x in node.operands if x.op.name == "expand" and s.in_line(x)]
    known: list[Any] = [getattr(op, "value", None) for op in numbers if op.name == "const"]
    listed = len(known) == len(node.operands) and all(type(v) in (int, float) for v in known)
    if listed and node.type.axes == ((label, Size.of(len(known))),):
        items = syntax.several(map(syntax.number, known))
        return Value(syntax.index(syntax.name("values"), syntax.keyword(label, items)), (label,))
    if stacked := _stacked(s, node, label):
        return stacked
    parts = [s.use(x) for x in node.operands]
    return Value(syntax.call("concat", *(v.expr for v in parts), statics=[syntax.name(label)]), order_of(parts))


def _stacked(s: Scope, node: Node, label: str) -> Value | None:
    """`stack[G](a, b)`: a concat of tensors that only get the axis for it."""
    one = ((label, Size.of(1)),)
    if not all(getattr(x.op, "axes", None) == one and s.in_line(x) for x in node.operands):
        return None
    parts = [s.use(x.operands[0]) for x in node.operands]
    order = (label, *order_of(parts))
    return Value(syntax.call("stack", *(v.expr for v in parts), statics=[syntax.name(label)]), order)


def _flip(s: Scope, node: Node) -> Value:
    value = s.use(node.operands[0])
    label: str = getattr(node.op, "label", "")
    return Value(syntax.call("flip", value.expr, statics=[syntax.name(label)]), value.order)


def _split(s: Scope, node: Node) -> Value:
    op: Any = node.op
    value = s.use(node.operands[0])
    if not op.parts:
        return indexed(value, syntax.keyword(op.label, syntax.number(0)), without(value.order, (op.label,)))
    parts = syntax.several(syntax.keyword(label, syntax.size(n)) for label, n in op.parts)
    i = value.order.index(op.label)
    order = (*value.order[:i], *(label for label, _ in op.parts), *value.order[i + 1 :])
    return Value(syntax.call("split", value.expr, statics=[syntax.keyword(op.label, parts)]), order)


def _merge(s: Scope, node: Node) -> Value:
    op: Any = node.op
    value = s.use(node.operands[0])
    if not op.labels:
        return Value(syntax.call("expand", value.expr, statics=[syntax.keyword(op.label, syntax.number(1))]),
                     (op.label, *value.order))  # fmt: skip
    parts = syntax.several(map(syntax.name, op.labels))
    first = next(label for label in value.order if label in op.labels)
    order = tuple(
        op.label if label == first else label for label in value.order if label == first or label not in op.labels
    )
    return Value(syntax.call("merge", value.expr, statics=[syntax.keyword(op.label, parts)]), order)


# ---------------------------------------------------------------- windows
def _window(s: Scope, node: Node) -> Value:
    """Windows of one form along several axes, one inside the other, are one `window`."""
    axes: list[Any] = []
    x = node
    while x.op.name == "window" and (x is node or s.in_line(x)) and _shape_of_window(x) == _shape_of_window(node):
        axes.insert(0, _tapped(x))
        x = x.operands[0]
    value = s.use(x)
    taps: list[Any] = [getattr(a, "new", None) or f"{getattr(a, 'id', '')}'" for a in axes]
    statics = [*axes, *_options(_shape_of_window(node))]
    return Value(syntax.call("window", value.expr, statics=statics), (*value.order, *taps))


def _tapped(node: Node) -> ast.Arg:
    """`T`, whose taps are `T'`, or `T as K`."""
    op: Any = node.op
    return syntax.name(op.label) if op.tap == f"{op.label}'" else syntax.relabel(op.label, op.tap)


def _shape_of_window(node: Node) -> tuple[tuple[str, Any], ...]:
    """The options of a window; what the checker would take anyway is left out."""
    op: Any = node.op
    n = node.operands[0].type.sizes[op.label]
    extent = (op.taps - 1) * op.dilation + 1
    found: list[tuple[str, Any]] = [("size", op.taps)]
    found += [("stride", op.stride)] if op.stride != 1 else []
    found += [("dilation", op.dilation)] if op.dilation != 1 else []
    natural = (n + 2 * op.low - extent) // op.stride + 1 == op.count
    same = same_padding(n, extent, op.stride)
    if same == (op.low, op.count) and not (natural and op.low == 0):
        found.append(("pad", "same"))
    elif op.low != 0:
        found.append(("pad", op.low))
    if not natural and same != (op.low, op.count):
        found.append(("count", op.count))
    if op.fill != 0:
        found.append(("value", op.fill))
    return tuple(found)


def same_padding(n: Size, extent: Size, stride: Size) -> tuple[Size, Size]:
    """Padding below and number of positions of `pad = "same"`."""
    from zhdsl.ir.sizes import extreme

    count = -(-n // stride)
    missing = extreme("max", [(count - 1) * stride + extent - n, 0])
    return missing // 2, count


def _options(given: Iterable[tuple[str, Any]]) -> list[ast.Arg]:
    made: list[ast.Arg] = []
    for name, value in given:
        if isinstance(value, str):
            expr: ast.Expr = ast.String(value, span=syntax.PLACE)
        else:
            expr = syntax.size(value) if isinstance(value, Size) else syntax.number(value, whole=True)
        made.append(syntax.keyword(name, expr))
    return made


def _fold(s: Scope, node: Node) -> Value:
    axes: list[Node] = []
    x = node
    while x.op.name == "fold" and (x is node or s.in_line(x)) and _shape_of_fold(x) == _shape_of_fold(node):
        axes.insert(0, x)
        x = x.operands[0]
    value = s.use(x)
    statics = [*map(_tapped, axes), *_options(_shape_of_fold(node))]
    gone = [getattr(f.op, "tap", "") for f in axes]
    return Value(syntax.call("fold", value.expr, statics=statics), without(value.order, gone))


def _shape_of_fold(node: Node) -> tuple[tuple[str, Any], ...]:
    op: Any = node.op
    sizes = node.operands[0].type.sizes
    extent = (sizes[op.tap] - 1) * op.dilation + 1
    found: list[tuple[str, Any]] = []
    found += [("stride", op.stride)] if op.stride != 1 else []
    found += [("dilation", op.dilation)] if op.dilation != 1 else []
    found += [("pad", op.low)] if op.low != 0 else []
    if (sizes[op.label] - 1) * op.stride + extent - 2 * op.low != op.size:
        found.append(("size", op.size))
    return tuple(found)


RULES: dict[str, Rule] = {
    "iota": _iota,
    "uniform": _uniform,
    "expand": _expand,
    "slice": _slice,
    "drop": _drop,
    "relabel": _relabel,
    "gather": _gather,
    "scatter": _scatter,
    "pad": _pad,
    "concat": _concat,
    "flip": _flip,
    "split": _split,
    "merge": _merge,
    "window": _window,
    "fold": _fold,
}
