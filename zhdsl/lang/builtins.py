"""The primitives of the language: a table from name to rule. Everything else of the library is written in `.zh`.

A rule is `run(e, s, builtin, values, spans, at)`; `builtin.args` are the statics as written, or `None`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Size, Undecided, ceil, extreme
from zhdsl.ir.types import FLOAT
from zhdsl.lang import ast, tensors
from zhdsl.lang.arithmetic import floored
from zhdsl.lang.bounds import multiplied
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import BUILTINS, lacking, static
from zhdsl.lang.problem import Problem, counted
from zhdsl.lang.scope import Scope
from zhdsl.lang.statics import axis_names
from zhdsl.lang.values import Builtin, Tensor, is_number, kind_of, sized
from zhdsl.source import Span

Run = Callable[[Elaborator, Scope, Builtin, Sequence[Any], Sequence[Span], Span], Any]


def builtin(*names: str) -> Callable[[Run], Run]:
    """Make a rule known under these names."""

    def note(run: Run) -> Run:
        BUILTINS.update({name: Builtin(name, run) for name in names})
        return run

    return note


def take(b: Builtin, values: Sequence[Any], count: int, at: Span) -> None:
    """Raises `Problem` unless `count` values are given."""
    if len(values) != count:
        code, verb = ("Z0403" if len(values) > count else "Z0402"), "is" if len(values) == 1 else "are"
        raise Problem(code, f"{b.name} takes {counted(count, 'value')}, {len(values)} {verb} given", at)


def no_statics(b: Builtin, at: Span) -> None:
    if b.args:
        raise Problem("Z0403", f"{b.name} takes no statics", at)


def options(
    e: Elaborator, s: Scope, b: Builtin, at: Span, known: Sequence[str] = ()
) -> tuple[list[ast.Arg], dict[str, ast.Expr]]:
    """Positional statics, and those given by one of the known names."""
    positional: list[ast.Arg] = []
    named: dict[str, ast.Expr] = {}
    for arg in b.args or ():
        if isinstance(arg, ast.Keyword) and arg.name in known and not isinstance(arg.value, ast.Range | ast.Rest):
            if arg.name in named:
                raise Problem("Z0404", f"{arg.name} of {b.name} is given twice", arg.span)
            named[arg.name] = arg.value
        else:
            positional.append(arg)
    return positional, named


# ---------------------------------------------------------------- scalar functions
STATIC: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sin": math.sin,
    "cos": math.cos,
    "erf": math.erf,
}


@builtin(*STATIC)
def _float_function(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    no_statics(b, at)
    x = values[0]
    if isinstance(x, int | float) and not isinstance(x, bool):
        try:
            return STATIC[b.name](x)
        except (ValueError, OverflowError):
            raise Problem("Z0323", f"{b.name}({x}) has no value", at) from None
    t = tensors.to_float(x, s, spans[0])
    return Tensor(apply(b.name, t.node), t.order)


@builtin("floor", "ceil")
def _rounded(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    x = values[0]
    if isinstance(x, Size):
        from zhdsl.ir.sizes import floor

        return sized((floor if b.name == "floor" else ceil)(x, s.facts))
    if isinstance(x, int | float) and not isinstance(x, bool):
        return (math.floor if b.name == "floor" else math.ceil)(finite(x, b, at))
    t = tensors.to_float(x, s, spans[0])
    if b.name == "floor":
        return Tensor(apply("floor", t.node), t.order)
    return Tensor(apply("neg", apply("floor", apply("neg", t.node))), t.order)


def finite(x: float, b: Builtin, at: Span) -> float:
    """A number that a whole number can be made of."""
    if not math.isfinite(x):
        raise Problem("Z0323", f"{b.name}({x}) has no value", at)
    return x


@builtin("where")
def _where(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 3, at)
    if isinstance(values[0], bool):
        return values[1] if values[0] else values[2]
    return tensors.select(e, s, values, spans, at)


@builtin("stop")
def _stop(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    return Tensor(apply("stop", t.node), t.order)


@builtin("f16", "bf16", "f32", "f64", "i32", "float")
def _cast(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    x = values[0]
    if is_number(x) and not isinstance(x, Size):
        return int(finite(x, b, at)) if b.name == "i32" else float(x)
    # the program's float is f32 unless it is compiled otherwise: `f32(mask)` makes the program's float of other dtypes
    dtype = s.float if b.name in ("float", "f32") else b.name
    return tensors.cast(tensors.as_tensor(x, "i32", spans[0]), dtype)


# ---------------------------------------------------------------- reductions, and their pairwise forms
@builtin("sum", "max", "min")
def _reduction(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    if b.args is None and len(values) != 1:
        return _extreme(e, s, b, values, spans, at)
    take(b, values, 1, at)
    if isinstance(values[0], tuple) and b.args is None:
        return _extreme(e, s, b, values[0], [spans[0]] * len(values[0]), at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    labels = reduced_labels(e, s, b, t, at)
    if t.type.dtype == "bool":
        t = tensors.cast(t, "i32")
    if b.name == "min":
        flipped = Tensor(apply("neg", t.node), t.order)
        top = tensors.reduced("max", flipped, labels)
        return Tensor(apply("neg", top.node), top.order)
    if b.name == "sum" and t.type.dtype in ("f16", "bf16"):  # sums accumulate in the program's float
        return tensors.cast(tensors.reduced("sum", tensors.cast(t, FLOAT), labels), t.type.dtype)
    return tensors.reduced(b.name, t, labels)


def reduced_labels(e: Elaborator, s: Scope, b: Builtin, t: Tensor, at: Span) -> tuple[str, ...]:
    """The axes named in `[ ]`, which the tensor must have; all of them without `[ ]`."""
    if b.args is None:
        return t.order
    found: list[str] = []
    for arg in b.args:
        for label in axis_names(e, s, arg):
            if label not in t.type.sizes:
                raise lacking(s, t, s.shown(label), arg.span, b.name)
            if label in found:
                raise Problem("Z0311", f"{s.shown(label)} is named twice", arg.span)
            found.append(label)
    return tuple(found)


def _extreme(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    if b.name == "sum":
        if values and all(is_number(v) for v in values):
            return sized(sum(values))
        raise Problem("Z0402", f"sum takes one tensor, {len(values)} values are given", at, help="add them with `+`")
    if not values:
        raise Problem("Z0402", f"{b.name} of nothing", at)
    broken, symbolic = (any(isinstance(v, kind) for v in values) for kind in (float, Size))
    if all(is_number(v) for v in values) and not (broken and symbolic):
        if symbolic:
            return sized(extreme(b.name, values))
        return (max if b.name == "max" else min)(values)
    if len(values) != 2:
        raise Problem("Z0403", f"{b.name} takes two tensors, {len(values)} given", at)
    dtype = tensors.common_dtype(values, s, at)
    pair = [tensors.cast(tensors.as_tensor(v, dtype, p), dtype) for v, p in zip(values, spans, strict=True)]
    tensors.meet(e, s, pair, spans, at)
    less = apply("lt", pair[0].node, pair[1].node)
    first, second = (pair[1], pair[0]) if b.name == "max" else (pair[0], pair[1])
    return Tensor(apply("where", less, first.node, second.node), tensors.order_of(pair))


@builtin("argmax")
def _argmax(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    labels = reduced_labels(e, s, b, t, at)
    if t.type.dtype == "bool":
        t = tensors.cast(t, "i32")
    return Tensor(apply("argmax", t.node, labels=labels), tuple(n for n in t.order if n not in labels))


@builtin("size")
def _size(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    if not values:
        raise Problem("Z0402", "size takes a tensor", at, help="`size[T](x)`, or `x.T`")
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    return sized(multiplied((t.type.sizes[label] for label in reduced_labels(e, s, b, t, at)), at))


def whole_option(e: Elaborator, s: Scope, named: dict[str, ast.Expr], name: str, default: int) -> Any:
    """A static option that is a whole number or a size."""
    if name not in named:
        return default
    value = static(e, s, named[name], name)
    if isinstance(value, bool) or not isinstance(value, int | Size):
        raise Problem("Z0406", f"{name} is a whole number, this is {kind_of(value)}", named[name].span)
    return value


def compare_now(a: Any, b: Any) -> int | None:
    """-1, 0, 1, or None where the sizes are not known yet."""
    try:
        return Size.of(a).compare(b)
    except Undecided:
        return None


def quotient(a: Any, b: Any, s: Scope) -> Size:
    """Floor of a / b as a size."""
    return Size.of(floored(Size.of(a), Size.of(b), s))
