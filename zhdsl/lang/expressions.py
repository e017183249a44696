"""Expressions: a table from syntax to meaning. `evaluate(e, s, x)` gives a value of `values.py` or raises `Problem`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Size, Undecided
from zhdsl.ir.types import TypeProblem
from zhdsl.lang import ast, tensors
from zhdsl.lang.arithmetic import COMPARISONS, computed, needs_run_time
from zhdsl.lang.bounds import bounded
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Poisoned, Problem, conversion, listing, named, refused
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import (
    POISON,
    Builtin,
    DatasetRef,
    Instance,
    Many,
    Namespace,
    ScanIndex,
    Template,
    Tensor,
    is_number,
    is_static,
    kind_of,
    shown,
    sized,
)
from zhdsl.source import Span

Value = Any


def evaluate(e: Elaborator, s: Scope, x: ast.Expr) -> Value:
    """The value of an expression. Raises `Problem` or `Poisoned`."""
    b = e.builder
    before = b.here
    leaf = type(x) in LEAVES
    if not leaf:
        e.spend(x.span)
        b.here = e.places(x.span)
    try:
        value = TABLE[type(x)](e, s, x)
    except (TypeProblem, Undecided) as why:
        raise refused(why, x.span) from None
    finally:
        b.here = before
    if value is POISON:
        raise Poisoned
    return value if leaf else bounded(value, x.span)


LEAVES = (ast.Name, ast.Number, ast.String, ast.Constant)  # they make no nodes


def static(e: Elaborator, s: Scope, x: ast.Expr, what: str) -> Value:
    """A compile-time value. Raises `Problem` where it is a tensor or something else."""
    value = evaluate(e, s, x)
    if not is_static(value):
        raise Problem("Z0406", f"{what} is known at compile time, this is {kind_of(value)}", x.span)
    return value


def size(e: Elaborator, s: Scope, x: ast.Expr, what: str = "a size") -> Size:
    """An integer known at compile time, perhaps with symbols."""
    value = static(e, s, x, what)
    if isinstance(value, bool) or not isinstance(value, int | Size):
        raise Problem("Z0406", f"{what} is a whole number, this is {shown(value)}", x.span)
    return Size.of(value)


def whole(e: Elaborator, s: Scope, x: ast.Expr, what: str) -> int:
    """An integer with a value now."""
    number = size(e, s, x, what).number
    if number is None:
        raise Problem("Z0325", f"{what} must be a number here, not {x.span.text}", x.span)
    return number


def truth(e: Elaborator, s: Scope, x: ast.Expr, what: str) -> bool:
    """A condition decided at compile time."""
    try:
        value = evaluate(e, s, x)
    except Undecided:
        raise Problem("Z0325", f"{what} cannot be decided before the sizes are known", x.span) from None
    if isinstance(value, Tensor):
        raise Problem(
            "Z0406",
            f"{what} is decided at compile time, this is a tensor",
            x.span,
            help="the choice at run time is `where(condition, a, b)`",
        )
    if not isinstance(value, bool):
        help_ = f"compare it: `{named(x.span)} != 0`" if is_number(value) else ""
        raise Problem("Z0406", f"{what} is true or false, this is {shown(value)}", x.span, help=help_)
    return value


# ---------------------------------------------------------------- leaves
def _name(e: Elaborator, s: Scope, x: ast.Name) -> Value:
    found = lookup(e, s, x.id)
    if found is not MISSING:
        return found
    if x.id in s.labels:
        raise Problem(
            "Z0322", f"{x.id} is an axis whose size has no name here", x.span, help=f"take it from a tensor: `x.{x.id}`"
        )
    raise _unknown(e, s, x)


def _unknown(e: Elaborator, s: Scope, x: ast.Name) -> Problem | Poisoned:
    """What to raise for a name that means nothing here."""
    if s.file.incomplete:
        return Poisoned()  # it may come from a file that could not be read
    at = x.span.start
    inside = (
        d.name for d in s.file.items.values() if isinstance(d, ast.Definition) and d.span.start <= at < d.span.end
    )
    if not e.diagnostics.is_new(s.file.source.name, next(inside, ""), x.id, x.span):
        return Poisoned()
    if x.id in s.elsewhere:
        note = (s.elsewhere[x.id], "only this branch gives it one")
        return Problem("Z0201", f"{x.id} has no value here", x.span, note, help="give it a value in both branches")
    if s.kind == "recipe":
        close = nearest(x.id, s.vars)
        help_ = f"did you mean `{close}`?" if close else f"fields and results are {listing(s.vars)}" if s.vars else ""
    else:
        close = nearest(x.id, known_names(e, s))
        help_ = f"did you mean `{close}`?" if close else ""
    return Problem("Z0201", f"unknown name {x.id}", x.span, help=help_)


MISSING = object()


def lookup(e: Elaborator, s: Scope, name: str) -> Value:
    """What a name stands for: a variable, a size, the file's own, the library's, a primitive; else `MISSING`."""
    if name in s.vars:
        return s.vars[name]
    found = s.size(name)
    if found is not None:
        return sized(found)
    if (value := s.file.find(e, name)) is not None:
        return value
    return BUILTINS.get(name, MISSING)


def known_names(e: Elaborator, s: Scope) -> list[str]:
    """All names that could have been meant."""
    return [*s.vars, *s.sizes, *s.file.names(), *BUILTINS]


def _number(e: Elaborator, s: Scope, x: ast.Number) -> Value:
    return x.value


def _string(e: Elaborator, s: Scope, x: ast.String) -> Value:
    return x.value


def _constant(e: Elaborator, s: Scope, x: ast.Constant) -> Value:
    return {"true": True, "false": False, "inf": math.inf, "none": None}[x.value]


# ---------------------------------------------------------------- operators
ELEMENTWISE = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod"}


def _binary(e: Elaborator, s: Scope, x: ast.Binary) -> Value:
    a = evaluate(e, s, x.left)
    if x.op in ("and", "or") and isinstance(a, bool) and a == (x.op == "or"):
        return a  # decided: the right side is not looked at
    b = evaluate(e, s, x.right)
    if isinstance(a, Tensor) or isinstance(b, Tensor) or needs_run_time(x.op, a, b):
        return _tensor_binary(e, s, x, a, b)
    return computed(x, a, b, s)


def _tensor_binary(e: Elaborator, s: Scope, x: ast.Binary, a: Value, b: Value) -> Tensor:
    spans = (x.left.span, x.right.span)
    for value, span in zip((a, b), spans, strict=True):
        if not isinstance(value, Tensor | bool) and not is_number(value):
            help_ = "the number of the step is `iota[T][t]`" if isinstance(value, ScanIndex) else ""
            raise Problem("Z0411", f"`{x.op}` takes tensors and numbers, this is {kind_of(value)}", span, help=help_)
    if x.op == "@":
        pair = [v if isinstance(v, Tensor) else None for v in (a, b)]
        if pair[0] is None or pair[1] is None:
            raise Problem("Z0314", "`@` takes two tensors", x.span, help="write `*` for a product with a number")
        return tensors.matmul(e, s, pair[0], pair[1], spans, x.span)
    if x.op in COMPARISONS:
        return _compare(e, s, x, a, b)
    if x.op in ("and", "or"):
        return _logic(e, s, x.op, (a, b), spans, x.span)
    if x.op == "^":
        return _power(e, s, x, a, b)
    dtype = None
    if x.op == "/" and tensors.common_dtype((a, b), s, x.span) in ("bool", "i32"):
        dtype = s.float
    elif tensors.common_dtype((a, b), s, x.span) == "bool":
        dtype = "i32"
    return tensors.elementwise(e, s, ELEMENTWISE[x.op], (a, b), spans, x.span, dtype)


def _compare(e: Elaborator, s: Scope, x: ast.Binary, a: Value, b: Value) -> Tensor:
    values, spans = (a, b), (x.left.span, x.right.span)
    if x.op in (">", ">="):
        values, spans = (b, a), (spans[1], spans[0])
    op = {"<": "lt", ">": "lt", "<=": "le", ">=": "le"}.get(x.op, "eq")
    dtype = tensors.common_dtype(values, s, x.span)
    result = tensors.elementwise(e, s, op, values, spans, x.span, "i32" if dtype == "bool" and op != "eq" else dtype)
    if x.op in (">", ">="):  # the order of axes is that of the text
        result = Tensor(result.node, tensors.order_of([v for v in (a, b) if isinstance(v, Tensor)]))
    return Tensor(apply("not", result.node), result.order) if x.op == "!=" else result


def _logic(e: Elaborator, s: Scope, op: str, values: tuple[Value, ...], spans: tuple[Span, ...], at: Span) -> Tensor:
    for value, span in zip(values, spans, strict=True):
        if not isinstance(value, bool) and not (isinstance(value, Tensor) and value.type.dtype == "bool"):
            what = value.type.dtype if isinstance(value, Tensor) else kind_of(value)
            raise Problem("Z0503", f"`{op}` takes bool, this is {what}", span, help=conversion("bool", span))
    return tensors.elementwise(e, s, op, values, spans, at, "bool")


def _power(e: Elaborator, s: Scope, x: ast.Binary, a: Value, b: Value) -> Tensor:
    if isinstance(b, int) and not isinstance(b, bool) and isinstance(a, Tensor) and abs(b) <= 64:
        base = tensors.to_float(a, s, x.left.span) if b < 0 else a
        base = tensors.cast(base, "i32") if base.type.dtype == "bool" else base
        return Tensor(apply("ipow", base.node, exponent=b), base.order)
    values = (tensors.to_float(a, s, x.left.span), b if is_number(b) else tensors.to_float(b, s, x.right.span))
    return tensors.elementwise(e, s, "pow", values, (x.left.span, x.right.span), x.span)


def _unary(e: Elaborator, s: Scope, x: ast.Unary) -> Value:
    value = evaluate(e, s, x.operand)
    if x.op == "not":
        if isinstance(value, bool):
            return not value
        if isinstance(value, Tensor) and value.type.dtype == "bool":
            return Tensor(apply("not", value.node), value.order)
        what, at = value.type.dtype if isinstance(value, Tensor) else shown(value), x.operand.span
        raise Problem("Z0503", f"`not` takes bool, this is {what}", at, help=conversion("bool", at))
    if isinstance(value, Tensor):
        t = tensors.cast(value, "i32") if value.type.dtype == "bool" else value
        return Tensor(apply("neg", t.node), t.order)
    if not is_number(value):
        raise Problem("Z0411", f"`-` takes a tensor or a number, this is {kind_of(value)}", x.operand.span)
    return sized(-value)


def _choice(e: Elaborator, s: Scope, x: ast.Choice) -> Value:
    return evaluate(e, s, x.then if truth(e, s, x.test, "the condition of `if`") else x.other)


# ---------------------------------------------------------------- application
def _pipe(e: Elaborator, s: Scope, x: ast.Pipe) -> Value:
    from zhdsl.lang.calls import call

    first = evaluate(e, s, x.value)
    function, more = (x.function.function, x.function.args) if isinstance(x.function, ast.Call) else (x.function, ())
    given = list(first.values) if isinstance(first, Many) else [first]
    return call(e, s, function, given, [x.value.span] * len(given), more, x.function.span)


def _call(e: Elaborator, s: Scope, x: ast.Call) -> Value:
    from zhdsl.lang.calls import call

    return call(e, s, x.function, [], [], x.args, x.span)


def _index(e: Elaborator, s: Scope, x: ast.Index) -> Value:
    from zhdsl.lang.calls import bind_statics
    from zhdsl.lang.indexing import index

    base = evaluate(e, s, x.base)
    if isinstance(base, Tensor):
        return index(e, s, base, x)
    if isinstance(base, Builtin):
        applied = Builtin(base.name, base.run, x.args)
        if base.name in ("zeros", "ones") and x.args and _only_fans(x):
            return base  # an initialiser that does not ask for fans is not told
        return VALUES[base.name](e, s, applied, x.span) if base.name in VALUES else applied
    if isinstance(base, Template):
        return Template(base.definition, base.home, {**base.statics, **bind_statics(e, s, base, x.args, x.span)})
    if isinstance(base, DatasetRef):
        given = bind_statics(e, s, base, x.args, x.span)
        return DatasetRef(base.definition, base.home, given)
    if isinstance(base, tuple):
        return _element(e, s, base, x)
    if is_number(base) or base is None:
        return _initialiser_with_fans(base, x)
    raise Problem("Z0407", f"{kind_of(base)} takes no `[ ]`", x.span)


def _initialiser_with_fans(base: Value, x: ast.Index) -> Value:
    """A number as an initialiser has no fans: `bias[in = D]` of `bias = 0` is 0."""
    if _only_fans(x):
        return base
    raise Problem("Z0407", f"{shown(base)} takes no `[ ]`", x.span)


def _only_fans(x: ast.Index) -> bool:
    return all(isinstance(a, ast.Keyword) and a.name in ("in", "out") for a in x.args)


def _element(e: Elaborator, s: Scope, base: tuple[Value, ...], x: ast.Index) -> Value:
    if len(x.args) != 1 or isinstance(x.args[0], ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
        raise Problem("Z0408", "a list is indexed by one number", x.span)
    i = whole(e, s, x.args[0], "an index")
    if not -len(base) <= i < len(base):
        raise Problem("Z0327", f"index {i} of a list of {len(base)}", x.span)
    return base[i]


def _attribute(e: Elaborator, s: Scope, x: ast.Attribute) -> Value:
    base = evaluate(e, s, x.base)
    if isinstance(base, Tensor):
        label = s.labels.get(x.name)
        if label is None or label not in base.type.sizes:
            raise lacking(s, base, x.name, x.span)
        return sized(base.type.sizes[label])
    if isinstance(base, Instance):
        from zhdsl.lang.weights import weight_of

        return weight_of(e, s, base, x)
    if isinstance(base, Namespace):
        found = base.file.find(e, x.name)
        if found is not None:
            return found
        close = nearest(x.name, base.file.names())
        raise Problem(
            "Z0208",
            f"{base.file.source.name} has no {x.name}",
            x.span,
            help=f"did you mean `{close}`?" if close else "",
        )
    raise Problem("Z0208", f"{kind_of(base)} has no `.{x.name}`", x.span)


def lacking(s: Scope, t: Tensor, name: str, span: Span, what: str = "") -> Problem:
    """The problem of a tensor without the axis that is named; `what` is who asks for it."""
    close = nearest(name, map(s.shown, t.order))
    help_ = f"did you mean `{close}`?" if close else ""
    return Problem("Z0302", f"{what}{': ' if what else ''}{s.show(t)} has no axis {name}", span, help=help_)


def _tuple(e: Elaborator, s: Scope, x: ast.Tuple | ast.List) -> Value:
    values, names = [], []
    for item in x.items:
        if isinstance(item, ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
            raise Problem("Z0408", "this belongs into an index", item.span)
        inner = item.value if isinstance(item, ast.Keyword) else item
        if isinstance(inner, ast.Range | ast.Rest):
            raise Problem("Z0408", "this belongs into an index", item.span)
        values.append(evaluate(e, s, inner))
        names.append(item.name if isinstance(item, ast.Keyword) else "")
    if all(is_static(v) for v in values) and not any(names):
        return tuple(values)
    return Many(tuple(values), tuple(names))


TABLE: dict[type, Callable[[Elaborator, Scope, Any], Value]] = {
    ast.Name: _name,
    ast.Number: _number,
    ast.String: _string,
    ast.Constant: _constant,
    ast.Binary: _binary,
    ast.Unary: _unary,
    ast.Choice: _choice,
    ast.Pipe: _pipe,
    ast.Call: _call,
    ast.Index: _index,
    ast.Attribute: _attribute,
    ast.Tuple: _tuple,
    ast.List: _tuple,
}
BUILTINS: dict[str, Builtin] = {}  # filled by builtins.py and shaping.py
VALUES: dict[str, Callable[[Elaborator, Scope, Builtin, Span], Value]] = {}  # those that are values without a call
