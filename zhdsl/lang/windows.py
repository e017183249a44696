"""`window` and `fold`: every position along an axis with its neighbours, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Size, ceil, extreme
from zhdsl.lang import ast, tensors
from zhdsl.lang.builtins import builtin, compare_now, options, quotient, take, whole_option
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import lacking, static
from zhdsl.lang.indexing import axis_of
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.shaping import fill_value
from zhdsl.lang.statics import axis_names
from zhdsl.lang.values import Axes, Builtin, Tensor
from zhdsl.source import Span

WINDOW = ("size", "stride", "dilation", "pad", "count", "value")


@builtin("window")
def _window(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """`window[...S, size = K, stride, dilation, pad](x)`: axis S becomes positions S and taps S'.

    `count` says how many positions there are; then `pad`, the distance from the first tap to the first element, may be
    negative. `S as K` calls the taps K.
    """
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    positional, named = options(e, s, b, at, WINDOW)
    if "size" not in named:
        raise Problem("Z0402", "window needs `size = …`, the number of taps", at)
    taps, stride = whole_option(e, s, named, "size", 1), whole_option(e, s, named, "stride", 1)
    dilation, fill = whole_option(e, s, named, "dilation", 1), fill_value(e, s, named)
    _positive(named, at, size=taps, stride=stride, dilation=dilation)
    pad = static(e, s, named["pad"], "pad") if "pad" in named else "valid"
    order = list(t.order)
    for label, tap in axes_with_taps(e, s, t, positional, at):
        if "count" in named:
            low, count = _offset(pad, at), Size.of(whole_option(e, s, named, "count", 1))
        else:
            low, count = _geometry(s, t.type.sizes[label], taps, stride, dilation, pad, at)
        if count.number is not None and count.number < ("count" not in named):
            raise Problem(
                "Z0328",
                f"a window of {taps} does not fit an axis {s.shown(label)} of {t.type.sizes[label]}",
                at,
                help='pad it: `pad = "same"`',
            )
        if count.number is None:
            e.guard(Size.of(1), "<=", count, at, f"a window of {taps} fits {s.shown(label)} = {t.type.sizes[label]}")
        node = apply(
            "window",
            t.node,
            label=label,
            tap=tap,
            taps=Size.of(taps),
            stride=Size.of(stride),
            dilation=Size.of(dilation),
            low=low,
            count=count,
            fill=fill,
        )
        order.append(tap)
        t = Tensor(node, tuple(order))
    return t


def _positive(named: dict[str, ast.Expr], at: Span, **numbers: Any) -> None:
    for name, value in numbers.items():
        if compare_now(value, 1) == -1:
            raise Problem("Z0324", f"{name} is at least 1, not {value}", named[name].span if name in named else at)


def axes_with_taps(e: Elaborator, s: Scope, t: Tensor, args: Sequence[ast.Arg], at: Span) -> list[tuple[str, str]]:
    """The named axes with the labels of their taps: the same with a prime."""
    found: list[tuple[str, str]] = []
    for arg in args:
        if isinstance(arg, ast.Relabel):
            found.append((axis_of(s, t, arg.old, arg.span), s.introduce(arg.new)))
            continue
        labels = axis_names(e, s, arg)
        if isinstance(arg, ast.Rest):
            taps = s.rest(arg.name + "'") or ()
        else:
            taps = tuple(s.introduce(tap_name(s, arg, label)) for label in labels)
        found += zip(labels, taps, strict=True)
    for label, _ in found:
        if label not in t.type.sizes:
            raise lacking(s, t, s.shown(label), at, "window")
    if not found and not args:
        raise Problem("Z0402", "window names its axes: `window[H, W, size = 3](x)`", at)
    return found


def tap_name(s: Scope, arg: ast.Arg, label: str) -> str:
    return (arg.id if isinstance(arg, ast.Name) and not isinstance(s.vars.get(arg.id), Axes) else s.shown(label)) + "'"


def _geometry(s: Scope, n: Size, taps: Any, stride: Any, dilation: Any, pad: Any, at: Span) -> tuple[Size, Size]:
    """Padding below and number of positions. Extent of a window: (taps - 1) * dilation + 1."""
    extent = (Size.of(taps) - 1) * dilation + 1
    if pad == "same":  # as TensorFlow: ceil(n / stride) positions, the odd one of the padding above
        count = ceil(n / stride, s.facts) if isinstance(stride, int) else -quotient(-n, stride, s)
        missing = extreme("max", [(count - 1) * stride + extent - n, 0])
        return quotient(missing, 2, s), count
    low = extent - 1 if pad == "full" else _offset(pad, at)
    if compare_now(low, 0) == -1:
        raise Problem("Z0324", f"padding is at least 0, not {low}", at)
    return low, quotient(n + 2 * low - extent, stride, s) + 1


def _offset(pad: Any, at: Span) -> Size:
    """Padding as a number."""
    low = 0 if pad in ("valid", None) else pad
    if isinstance(low, str | bool) or not isinstance(low, int | Size):
        raise Problem("Z0406", f'pad is "valid", "same", "full" or a whole number, not {pad!r}', at)
    return Size.of(low)


@builtin("fold")
def _fold(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """`fold[...S, stride, dilation, pad, size](x)`: the adjoint of window; overlapping taps add."""
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    positional, named = options(e, s, b, at, WINDOW)
    stride, dilation = whole_option(e, s, named, "stride", 1), whole_option(e, s, named, "dilation", 1)
    low = whole_option(e, s, named, "pad", 0)
    _positive(named, at, stride=stride, dilation=dilation)
    for label, tap in axes_with_taps(e, s, t, positional, at):
        if tap not in t.type.sizes:
            raise Problem("Z0302", f"fold: {s.show(t)} has no taps {s.shown(tap)}", at)
        extent = (t.type.sizes[tap] - 1) * dilation + 1
        full = (t.type.sizes[label] - 1) * stride + extent - 2 * Size.of(low)
        n = Size.of(whole_option(e, s, named, "size", 0)) if "size" in named else full
        node = apply(
            "fold",
            t.node,
            label=label,
            tap=tap,
            stride=Size.of(stride),
            dilation=Size.of(dilation),
            low=Size.of(low),
            size=n,
        )
        t = Tensor(node, tuple(o for o in t.order if o != tap))
    return t
