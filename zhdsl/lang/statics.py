"""Static parameters: what stands in `[ ]` is bound to the names of a definition, read as its kinds say.

| kind | the argument is |
|---|---|
| `axis` | an axis of the caller by name (with the size of that name, if it has one), or a number |
| `axes`, `...R` | axes of the caller by name: `D`, `(H, E)`, `...S`, `none` |
| `int`, `float`, `bool`, `str`, `ints` | a value known at compile time |
| `init`, `fn`, `layer` | an initialiser, a function, a block |
| none written | any of the last two rows |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zhdsl.ir.sizes import Size
from zhdsl.lang import ast
from zhdsl.lang.bounds import AXES
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import MISSING, evaluate, lookup
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem, counted, listing
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import (
    Axes,
    AxisName,
    Builtin,
    DatasetRef,
    Instance,
    Template,
    is_number,
    is_static,
    kind_of,
    shown,
)
from zhdsl.source import Span

KINDS = ("", "axis", "axes", "int", "float", "bool", "str", "ints", "floats", "strs", "init", "fn", "layer", "path")


def bind_statics(
    e: Elaborator, s: Scope, target: Template | DatasetRef, args: Sequence[ast.Arg], at: Span
) -> dict[str, Any]:
    """Values by static name. Raises `Problem` for unknown, surplus or unfit arguments."""
    declared = [p for p in target.definition.statics if p.kind != "path"]
    name = target.definition.name
    found: dict[str, Any] = {}
    positional = [a for a in args if not isinstance(a, ast.Keyword)]
    by_name = {a.name for a in args if isinstance(a, ast.Keyword)}
    by_static = {p.name: p for p in declared}
    names = iter(p for p in declared if not p.rest and p.name not in by_name)
    rest = next((p for p in declared if p.rest), None)
    for arg in positional:
        parameter = rest or next(names, None)
        if parameter is None:
            raise _surplus(name, declared, arg.span, len(positional))
        value = read(e, s, arg, "axes" if parameter.rest else parameter.kind, name, parameter.name)
        if parameter.rest:
            before = found.get(parameter.name, Axes(()))
            found[parameter.name] = Axes((*before.labels, *value.labels), (*before.sizes, *value.sizes))
            if len(found[parameter.name].labels) > AXES:
                raise Problem("Z0904", f"more than {AXES} axes for ...{parameter.name} of {name}", arg.span)
        else:
            found[parameter.name] = value
    for keyword in args:
        if isinstance(keyword, ast.Keyword):
            _keyword(e, s, target, keyword, found, by_static)
    _distinct(s, name, found, at)
    return found


def _distinct(s: Scope, name: str, found: Mapping[str, Any], at: Span) -> None:
    """Raises `Problem` where one axis is given for two statics."""
    seen: dict[str, str] = {}
    for static, value in found.items():
        if isinstance(value, AxisName) and value.label is not None:
            first = seen.setdefault(value.label, static)
            if first != static:
                what = f"{first} and {static} of {name} are both the axis {s.shown(value.label)}"
                raise Problem("Z0311", what, at, help=f"rename one, or give a number: `{name}[{static} = n]`")


def _keyword(
    e: Elaborator,
    s: Scope,
    target: Template | DatasetRef,
    arg: ast.Keyword,
    found: dict[str, Any],
    declared: Mapping[str, ast.Static],
) -> None:
    name = target.definition.name
    parameter = declared.get(arg.name)
    if parameter is None:
        if arg.name in ("in", "out") and is_initialiser(target):
            return  # an initialiser that does not ask for fans is not told
        close = nearest(arg.name, declared)
        help_ = f"did you mean `{close}`?" if close else f"it has {listing(declared) or 'none'}"
        raise Problem("Z0404", f"{name} has no static {arg.name}", arg.span, help=help_)
    if arg.name in found:
        raise Problem("Z0404", f"{arg.name} of {name} is given twice", arg.span)
    kind = "axes" if parameter.rest else parameter.kind
    found[arg.name] = read(e, s, arg.value, kind, name, arg.name)


def _surplus(name: str, declared: Sequence[ast.Static], span: Span, given: int) -> Problem:
    if not declared:
        return Problem("Z0403", f"{name} takes no statics", span, help=f"tensors go in ( ): `{name}(…)`")
    return Problem(
        "Z0403",
        f"{name} takes {counted(len(declared), 'static')}, {given} are given",
        span,
        help=f"its statics are {listing(p.name for p in declared)}",
    )


def is_initialiser(target: Template | DatasetRef) -> bool:
    """Whether it can stand after `=` of a `param`: a function without tensors."""
    d = target.definition
    return isinstance(d, ast.Definition) and d.kind == "fn" and not d.params


def read(e: Elaborator, s: Scope, arg: ast.Arg, kind: str, callee: str, name: str) -> Any:
    """One static argument, as its kind says."""
    if kind == "axis":
        return axis_name(e, s, arg)
    if kind == "axes":
        return axes_value(e, s, arg)
    if isinstance(arg, ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
        raise Problem("Z0406", f"{name} of {callee} is no axis: a value is wanted", arg.span)
    value = evaluate(e, s, arg)
    if not fits(value, kind):
        wanted = WANTED.get(kind, "a value known at compile time")
        help_ = "sizes and options go in [ ], tensors in ( )" if kind_of(value) == "a tensor" else ""
        raise Problem("Z0406", f"{name} of {callee} is {wanted}, this is {shown(value)}", arg.span, help=help_)
    return float(value) if kind == "float" and isinstance(value, int) and not isinstance(value, bool) else value


WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "ints": "a list of whole numbers",
    "floats": "a list of numbers",
    "strs": "a list of strings",
    "init": "an initialiser or a number",
    "fn": "a function",
    "layer": "a block or a function",
}


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind."""
    is_whole = isinstance(value, int | Size) and not isinstance(value, bool)
    if kind == "int":
        return is_whole
    if kind == "float":
        return is_number(value)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "str":
        return isinstance(value, str)
    if kind == "ints":
        return isinstance(value, tuple) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    if kind == "floats":
        return isinstance(value, tuple) and all(is_number(v) for v in value)
    if kind == "strs":
        return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    definition = isinstance(value, Template | Builtin | Instance)
    if kind == "init":
        return value is None or is_number(value) or isinstance(value, Template | Builtin)
    if kind == "fn":
        return value is None or (definition and not isinstance(value, Instance))
    if kind == "layer":
        return value is None or definition
    return is_static(value) or definition


def axis_name(e: Elaborator, s: Scope, arg: ast.Arg) -> AxisName:
    """An axis by name, a size, or both: the name of an axis is also the name of its size."""
    if isinstance(arg, ast.Name):
        value = s.vars.get(arg.id)
        if isinstance(value, AxisName):
            return value
        if isinstance(value, Axes) and len(value.labels) == 1:
            return AxisName(value.labels[0], None)
        value = lookup(e, s, arg.id)
        known = value if value is not MISSING and is_number(value) and not isinstance(value, float) else None
        label = s.labels.get(arg.id) or s.introduce(arg.id)
        return AxisName(label, None if known is None else Size.of(known))
    if isinstance(arg, ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
        raise Problem("Z0406", "an axis is wanted: a name or a size", arg.span)
    value = evaluate(e, s, arg)
    if isinstance(value, bool) or not isinstance(value, int | Size):
        help_ = f"without quotes: `{value}`" if isinstance(value, str) and value.isidentifier() else ""
        raise Problem("Z0406", f"an axis is wanted: a name or a size, this is {shown(value)}", arg.span, help=help_)
    return AxisName(None, Size.of(value))


def axes_value(e: Elaborator, s: Scope, arg: ast.Arg) -> Axes:
    """Labels with the sizes that are known here."""
    if isinstance(arg, ast.Tuple | ast.List):
        parts = [axes_value(e, s, item) for item in arg.items]
        return Axes(tuple(n for p in parts for n in p.labels), tuple(n for p in parts for n in p.sizes))
    if isinstance(arg, ast.Keyword) and not isinstance(arg.value, ast.Range | ast.Rest):
        from zhdsl.lang.expressions import size

        return Axes((s.introduce(arg.name),), (size(e, s, arg.value, f"the size of {arg.name}"),))
    labels = axis_names(e, s, arg)
    sizes: tuple[Size | None, ...] = (None,) * len(labels)
    if isinstance(arg, ast.Rest | ast.Name):
        name = arg.name if isinstance(arg, ast.Rest) else arg.id
        value = s.vars.get(name)
        if name in s.rest_sizes:
            sizes = s.rest_sizes[name]
        elif isinstance(value, Axes) and len(value.sizes) == len(labels):
            sizes = value.sizes
        elif len(labels) == 1:
            from zhdsl.lang.axes import axis_size

            sizes = (axis_size(e, s, ast.Axis(name, span=arg.span)),)
    return Axes(labels, sizes)


def axis_names(e: Elaborator, s: Scope, arg: ast.Arg) -> tuple[str, ...]:
    """Labels of the graph for `D`, `(H, E)`, `...S`, `none`, or a static that stands for axes."""
    if isinstance(arg, ast.Constant) and arg.value == "none":
        return ()
    if isinstance(arg, ast.Tuple | ast.List):
        return tuple([label for item in arg.items for label in axis_names(e, s, item)])  # no C frames: it may nest
    if isinstance(arg, ast.Rest):
        labels = s.rest(arg.name)
        if labels is None:
            raise Problem("Z0201", f"unknown rest ...{arg.name}", arg.span)
        return labels
    if isinstance(arg, ast.Index | ast.Call):
        value = evaluate(e, s, arg)
        if isinstance(value, Axes):
            return value.labels
    if not isinstance(arg, ast.Name):
        raise Problem("Z0406", "an axis is wanted: its name", arg.span)
    value = s.vars.get(arg.id)
    if isinstance(value, Axes):
        return value.labels
    if isinstance(value, AxisName):
        if value.label is None:
            raise Problem("Z0302", f"{arg.id} is given as a size here, it has no name", arg.span)
        return (value.label,)
    return (s.labels.get(arg.id) or s.introduce(arg.id),)


def check_all_given(target: Template | DatasetRef, given: Mapping[str, Any], at: Span) -> None:
    """Raises `Problem` where a static without default is not given."""
    for p in target.definition.statics:
        if p.name not in given and p.default is None and not p.rest and p.kind != "path":
            d = target.definition
            help_ = f"write `{d.name}[{p.name} = …]`"
            if isinstance(d, ast.Definition) and d.kind == "model":
                help_ = f"a model is an entry point: give {p.name} a value there, `{p.name} = …`"
            raise Problem("Z0405", f"{d.name} needs its static {p.name}", at, help=help_)
