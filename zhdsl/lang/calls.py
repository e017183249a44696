"""Calls: a definition's body is elaborated with its parameters bound, and the result is translated back.

The order of events: statics given, labels bound in order, sizes bound, defaults of statics, `require`, body, result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from zhdsl.ir.node import Frame
from zhdsl.lang import ast, statics
from zhdsl.lang.axes import Binding, ascribe, axes_of, bind_sizes, check_sizes
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem, conversion, counted, is_library, listing
from zhdsl.lang.requirements import require
from zhdsl.lang.scope import Scope
from zhdsl.lang.statics import bind_statics
from zhdsl.lang.tensors import as_tensor, cast, expanded, typed
from zhdsl.lang.values import Axes, AxisName, Builtin, Instance, Many, Template, Tensor, is_number, kind_of
from zhdsl.source import Span

__all__ = ["bind_statics", "call", "call_template"]


def call(
    e: Elaborator,
    s: Scope,
    function: ast.Expr,
    given: list[Any],
    given_spans: list[Span],
    args: Sequence[ast.Arg],
    at: Span,
) -> Any:
    """`function(given, args)`."""
    target = _target(e, s, function)
    more, more_spans, named = _evaluated(e, s, args, spread=not given)
    values, spans = [*given, *more], [*given_spans, *more_spans]
    if isinstance(target, Builtin):
        if named:
            raise Problem("Z0404", f"{target.name} takes no named tensors", at)
        with e.at(at):
            return target.run(e, s, target, values, spans, at)
    if isinstance(target, Template):
        return call_template(e, s, target, values, spans, named, at)
    if isinstance(target, Instance):
        return call_template(e, s, target.template, values, spans, named, at, target)
    raise Problem(
        "Z0407",
        f"{kind_of(target)} cannot be called",
        function.span,
        help="an index stands in [ ]: `x[T=0]`" if isinstance(target, Tensor) else "",
    )


Named = dict[str, tuple[Any, Span]]


def _evaluated(e: Elaborator, s: Scope, args: Sequence[ast.Arg], spread: bool) -> tuple[list[Any], list[Span], Named]:
    """Arguments in order with their places, and those given by name; a single tuple spreads."""
    values, spans, named = list[Any](), list[Span](), Named()
    for arg in args:
        if isinstance(arg, ast.Keyword):
            if isinstance(arg.value, ast.Range | ast.Rest):
                raise Problem("Z0408", "a range belongs into an index", arg.span)
            if arg.name in named:
                raise Problem("Z0404", f"{arg.name} is given twice", arg.span, (named[arg.name][1], "the first time"))
            named[arg.name] = (evaluate(e, s, arg.value), arg.span)
        elif isinstance(arg, ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
            raise Problem("Z0408", "this belongs into an index `[ ]`", arg.span)
        else:
            value = evaluate(e, s, arg)
            parts = value.values if isinstance(value, Many) and len(args) == 1 and spread else (value,)
            values += parts
            spans += [arg.span] * len(parts)
    return values, spans, named


def _target(e: Elaborator, s: Scope, function: ast.Expr) -> Any:
    """What is called; a primitive keeps its statics unevaluated."""
    if isinstance(function, ast.Index):
        base = evaluate(e, s, function.base)
        if isinstance(base, Builtin):
            return Builtin(base.name, base.run, function.args)
    return evaluate(e, s, function)


def call_template(
    e: Elaborator,
    s: Scope,
    template: Template,
    values: Sequence[Any],
    spans: Sequence[Span],
    named: dict[str, tuple[Any, Span]],
    at: Span,
    instance: Instance | None = None,
    entry: bool = False,
) -> Any:
    """Elaborate a definition's body for these arguments."""
    from zhdsl.lang.statements import run_body

    d = template.definition
    _require_callable(d, s, at, entry)
    parameters, values, spans = arguments(template, values, spans, named, at)
    with e.calling(at, d.name), _framed(e, s, template, at, instance) as inner:
        tensors = [_argument(e, inner, p, v, sp, d.name) for p, v, sp in zip(parameters, values, spans, strict=True)]
        binding = bind(e, s, inner, d, parameters, tensors, spans, at)
        defaults(e, inner, d, template, at)
        check_sizes(e, inner, binding[1], d.name)
        if inner.float != s.float:
            inner.vars.update({n: in_float(v, inner.float) for n, v in inner.vars.items()})
        require(e, inner, d, at)
        try:
            result = overridden(e, inner, d, lambda: run_body(e, inner, d.body), at)
        except Problem as problem:
            raise _without_axis(problem, s, template, tensors, at) from None
        if result is None:
            raise Problem("Z0607", f"{d.name} returns nothing", d.name_span, help="end with `return …`")
        found = results(e, inner, d, result, binding[0])
        return found if inner.float == s.float else in_float(found, s.float)


def _require_callable(d: ast.Definition, s: Scope, at: Span, entry: bool) -> None:
    """Raises `Problem` for a model in an expression, and for a block in a function."""
    if d.kind == "model" and not entry:
        message = f"{d.name} is a model, an entry point: it cannot be called"
        raise Problem("Z0410", message, at, help="make it a `block`, or pass it in [ ] where a model is wanted")
    if d.kind == "block" and s.kind == "fn":
        raise Problem("Z0613", f"a `fn` is pure: it cannot use the block {d.name}", at, help="make it a `block`")


def _entered(e: Elaborator, s: Scope, template: Template, at: Span, instance: Instance | None) -> Scope:
    """The scope of a definition that is called: its statics given, its instance made or the one it is called on."""
    d = template.definition
    inner = Scope(template.home, s.path, e.mode, frame=s.frame, facts=dict(s.facts), kind=d.kind)
    inner.float = precision_of(d) or s.float
    if d.kind != "fn":
        inner.instance = instance or Instance(template, e.instance_path(s, d.name.lower(), at))
        inner.path = inner.instance.path
    give_statics(inner, template.statics)
    return inner


@contextmanager
def _framed(e: Elaborator, s: Scope, template: Template, at: Span, instance: Instance | None) -> Iterator[Scope]:
    """As `_entered`, and what is made inside remembers the call."""
    d, inner = template.definition, _entered(e, s, template, at, instance)
    name = inner.path.rpartition(".")[2] if d.kind == "block" else ""
    with e.inside(Frame(name or d.name, d.name, d.kind), at):
        yield inner


def _without_axis(
    problem: Problem, s: Scope, template: Template, tensors: Sequence[Tensor | None], at: Span
) -> Problem:
    """A missing axis deep in the library, told as the axis that the call names and its tensors do not have."""
    found, name = problem.diagnostic, template.name
    if found.code != "Z0302" or found.span is None or is_library(at) or not is_library(found.span):
        return problem
    shown = listing(s.show(t) for t in tensors if t is not None)
    for static, value in template.statics.items():
        if isinstance(value, AxisName) and value.label is None:
            help_ = f"{static} is an axis of its tensor: write its name"
            return Problem("Z0302", f"{name}[{value.size}]: {shown} has no axis of this name", at, help=help_)
        labels = value.labels if isinstance(value, Axes) else (value.label,) if isinstance(value, AxisName) else ()
        for label in labels:
            if label is not None and not any(t and label in t.type.sizes for t in tensors):
                close = nearest(s.shown(label), (s.shown(n) for t in tensors if t for n in t.order))
                help_ = f"did you mean `{close}`?" if close else ""
                return Problem("Z0302", f"{name}[{s.shown(label)}]: {shown} has no such axis", at, help=help_)
    return problem


def precision_of(d: ast.Definition) -> str | None:
    """The float that `@precision[bf16]` gives a definition's body, `None` where it has none."""
    for a in d.annotations:  # their form is checked in names.py
        if a.name == "precision" and isinstance(a.args[0], ast.Name):
            return a.args[0].id
    return None


def in_float(value: Any, dtype: str) -> Any:
    """Float tensors in another float; all else as it is."""
    if isinstance(value, Many):
        return Many(tuple(in_float(v, dtype) for v in value.values), value.names)
    return cast(value, dtype) if isinstance(value, Tensor) and value.type.is_float else value


def arguments(
    template: Template, values: Sequence[Any], spans: Sequence[Span], named: dict[str, tuple[Any, Span]], at: Span
) -> tuple[list[ast.Parameter], list[Any], list[Span]]:
    """Parameters with their values in order; those left to their default come as the expression."""
    d = template.definition
    if len(values) > len(d.params):
        _brackets(template, values, at)
        raise _surplus(d, spans, at)
    found = {p.name: (v, sp) for p, v, sp in zip(d.params, values, spans, strict=False)}
    known = {p.name for p in d.params}
    for name, given in named.items():
        if name in found or name not in known:
            raise _unknown_tensor(d, name, name in found, given[1])
        found[name] = given
    missing = [p.name for p in d.params if p.name not in found and p.default is None]
    if missing:
        _brackets(template, values, at)
        verb = "is" if len(missing) == 1 else "are"
        raise Problem("Z0402", f"{d.name}: {listing(missing)} {verb} missing", at, help=f"it takes {_signature(d)}")
    found |= {p.name: (p.default, p.span) for p in d.params if p.name not in found}
    _brackets(template, [found[p.name][0] for p in d.params], at)
    return list(d.params), [found[p.name][0] for p in d.params], [found[p.name][1] for p in d.params]


def _signature(d: ast.Definition) -> str:
    """The tensors of a definition as they are declared."""
    return f"({', '.join(' '.join(p.span.text.split()) for p in d.params)})" if d.params else "no tensors"


def _surplus(d: ast.Definition, spans: Sequence[Span], at: Span) -> Problem:
    together = len(spans) > 1 and len(set(spans)) == 1  # one expression with several values
    return Problem(
        "Z0403",
        f"{d.name} takes {counted(len(d.params), 'tensor')}, {len(spans)} are given",
        at,
        help="`f(x)` with several results gives all of them: name them first, `a, b = f(x)`"
        if together
        else f"it takes {_signature(d)}",
    )


def _unknown_tensor(d: ast.Definition, name: str, again: bool, span: Span) -> Problem:
    """The problem of an argument given by a name that is taken or that there is not."""
    if again:
        return Problem("Z0404", f"{name} of {d.name} is given twice", span)
    if name in {p.name for p in d.statics}:
        return Problem(
            "Z0404",
            f"{name} of {d.name} is no tensor",
            span,
            help=f"sizes and options go in [ ]: `{d.name}[{name} = …]`",
        )
    close = nearest(name, [p.name for p in d.params])
    help_ = f"did you mean `{close}`?" if close else f"it takes {_signature(d)}"
    return Problem("Z0404", f"{d.name} has no tensor {name}", span, help=help_)


def _brackets(template: Template, values: Sequence[Any], at: Span) -> None:
    """`Dense(5)`: what every Keras user writes."""
    d = template.definition
    numbers = [v for v in values if (is_number(v) or isinstance(v, str | tuple)) and not isinstance(v, ast.Number)]
    missing = [p for p in d.statics if p.name not in template.statics and p.default is None]
    if d.statics and numbers and (missing or d.kind == "block"):
        shown = ", ".join(str(v) for v in numbers)
        raise Problem(
            "Z0401",
            f"{d.name} takes a tensor in ( ), sizes and options go in [ ]",
            at,
            help=f"did you mean `{d.name}[{shown}]`?",
        )


def give_statics(inner: Scope, given: Any) -> None:
    """Statics as variables of the body; axes also as its labels."""
    for name, value in given.items():
        inner.statics.add(name)
        inner.vars[name] = value
        if isinstance(value, AxisName):
            del inner.vars[name]
            if value.label is not None:
                inner.labels[name] = value.label
                inner.used.add(value.label)
                inner.axis_statics.add(name)
            if value.size is not None:
                inner.sizes[name] = value.size
        elif isinstance(value, Axes):
            inner.rests[name] = value.labels
            inner.used |= set(value.labels)
            known = tuple(n for n in value.sizes if n is not None)
            if len(known) == len(value.labels):
                inner.rest_sizes[name] = known


def _argument(e: Elaborator, inner: Scope, p: ast.Parameter, value: Any, span: Span, name: str) -> Tensor | None:
    """The tensor given for a parameter; `None` where a default stands, which is evaluated later."""
    if isinstance(value, ast.Syntax):
        return None
    if not isinstance(value, Tensor):
        if p.type is not None and not p.type.axes and (is_number(value) or isinstance(value, bool)):
            return as_tensor(value, p.type.dtype or inner.float, span)
        raise Problem("Z0411", f"{name}: {p.name} is a tensor, this is {kind_of(value)}", span)
    if p.type is not None and not typed(value.type, p.type.dtype):
        wanted = p.type.dtype or "float"
        raise Problem(
            "Z0501", f"{name}: {p.name} is {wanted}, given is {value.type.dtype}", span, help=conversion(wanted, span)
        )
    return value


def bind(
    e: Elaborator,
    s: Scope,
    inner: Scope,
    d: ast.Definition,
    parameters: Sequence[ast.Parameter],
    tensors: Sequence[Tensor | None],
    spans: Sequence[Span],
    at: Span,
) -> tuple[Binding, list[Any]]:
    """Bind labels, then sizes; the arguments become variables of the body."""
    binding = Binding(s, inner, d.name, at)
    typed_ones = [
        (p, t, sp)
        for p, t, sp in zip(parameters, tensors, spans, strict=True)
        if t is not None and p.type and not (is_constant(t) and p.type.axes)
    ]
    for p, t, span in typed_ones:
        binding.match(p, t, span)
    binding.settle()
    bound = [binding.bound(i, t) for i, (_, t, _) in enumerate(typed_ones)]
    for (p, _, _), t in zip(typed_ones, bound, strict=True):
        inner.vars[p.name] = t
    for p, untyped in zip(parameters, tensors, strict=True):
        if untyped is not None and p.type is None:
            inner.vars[p.name] = untyped
            inner.used |= set(untyped.order)
            inner.labels.update({label: label for label in untyped.order if label not in inner.labels})
    _follow(inner, binding)
    _all_axes(inner, d, bound)
    later = bind_sizes(e, inner, [p for p, _, _ in typed_ones], bound, [sp for _, _, sp in typed_ones], d.name)
    for p, given in zip(parameters, tensors, strict=True):
        if p.name not in inner.vars:
            inner.vars[p.name] = _repeated(e, inner, p, given)
    return binding, later


def is_constant(t: Tensor) -> bool:
    """A number that was made a tensor; it has no axes to bind."""
    return t.node.op.name == "const"


def _repeated(e: Elaborator, inner: Scope, p: ast.Parameter, given: Tensor | None) -> Tensor:
    """A default, or a constant handed on, repeated along the declared axes."""
    dtype = (p.type.dtype if p.type else "") or inner.float
    if given is None:
        assert p.default is not None
        given = as_tensor(evaluate(e, inner, p.default), dtype, p.span)
    axes = axes_of(e, inner, p.type.axes) if p.type and not given.order else []
    known = [(label, n) for label, n, _ in axes if n is not None]
    return expanded(given, known, tuple(label for label, _ in known) or given.order)


def _all_axes(inner: Scope, d: ast.Definition, bound: Sequence[Tensor]) -> None:
    """A rest among the statics that is not given is all axes of the first tensor; sizes come from the tensors."""
    sizes = {label: n for t in reversed(bound) for label, n in t.type.axes}
    for p in d.statics:
        if p.rest and p.name not in inner.statics and p.name not in inner.rests and bound:
            give_statics(inner, {p.name: Axes(bound[0].order)})
    for name, labels in inner.rests.items():
        if name not in inner.rest_sizes and all(label in sizes for label in labels):
            inner.rest_sizes[name] = tuple(sizes[label] for label in labels)


def _follow(inner: Scope, binding: Binding) -> None:
    """Axes given as statics name the caller's labels: they follow where a label was renamed."""
    moved = {actual: inner.labels[label] for label, actual in binding.labels.items() if inner.labels[label] != actual}
    kept = {a for labels in binding.rests.values() for a in labels}
    kept |= {actual for label, actual in binding.labels.items() if inner.labels[label] == actual}
    for name, value in list(inner.vars.items()):
        if isinstance(value, Axes) and any(v in moved and v not in kept for v in value.labels):
            labels = tuple(moved.get(v, v) if v not in kept else v for v in value.labels)
            inner.vars[name] = Axes(labels)
            inner.rests[name] = labels


def defaults(e: Elaborator, inner: Scope, d: ast.Definition, template: Template, at: Span) -> None:
    """Statics that were not given take their defaults, from left to right, sizes being known."""
    statics.check_all_given(template, inner.statics_given(), at)
    for p in d.statics:
        if p.name in inner.statics:
            continue
        if p.kind == "path":
            value: Any = (inner.instance.subject if inner.instance else "") or inner.path
        elif p.default is None:  # a rest; an initialiser's is bound to the axes of its weight
            value = Axes(inner.rests.get(p.name, ()), inner.rest_sizes.get(p.name, ()))
        else:
            value = statics.read(e, inner, p.default, p.kind, d.name, p.name)
        give_statics(inner, {p.name: value})


def results(e: Elaborator, inner: Scope, d: ast.Definition, value: Any, binding: Binding) -> Any:
    """The results, checked against the declared types and in the caller's labels."""
    values = list(value.values) if isinstance(value, Many) else [value]
    if d.results and len(values) != len(d.results):
        declares = f"{d.name} declares {counted(len(d.results), 'result')} and returns {len(values)}"
        at = inner.returned_at[0] if inner.returned_at else d.name_span
        raise Problem("Z0414", declares, at, (d.name_span, "declared here"))
    names = [r.name for r in d.results] or [""] * len(values)
    places = inner.returned_at if len(inner.returned_at) == len(values) else inner.returned_at[:1] * len(values)
    out = []
    for i, v in enumerate(values):
        if d.results:
            r = d.results[i]
            at = places[i] if places else r.span
            v = as_tensor(v, r.type.dtype or inner.float, at)
            v = declared(e, inner, v, r, d.name, at)
        out.append(binding.back(v) if isinstance(v, Tensor) else v)
    return out[0] if len(out) == 1 else Many(tuple(out), tuple(names))


def declared(e: Elaborator, inner: Scope, value: Tensor, r: ast.Result, name: str, at: Span) -> Tensor:
    """A result, returned at a place, checked against its declaration."""
    what = f"the result {r.name} of {name}" if r.name else f"the result of {name}"
    dtype = r.type.dtype or "float"
    if not typed(value.type, r.type.dtype):
        raise Problem(
            "Z0501",
            f"{what} is declared {dtype}, returned is {value.type.dtype}",
            at,
            (r.type.span, "declared here"),
            help=conversion(dtype, at),
        )
    return ascribe(e, inner, value, r.type, at, what)


def overridden(e: Elaborator, inner: Scope, d: ast.Definition, body: Any, at: Span) -> Any:
    """The body's value, with the definition's own derivative attached if it has one."""
    if d.adjoint is None:
        return body()
    from zhdsl.lang.adjoint import with_adjoint

    return with_adjoint(e, inner, d, body, at)
