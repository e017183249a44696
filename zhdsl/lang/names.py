"""What can be said of definitions that nothing has used: blocks are templates, elaborated only where they are called.

This walk finds unknown names, words used as names that mean nothing, names given twice and axes without one, in every
definition of a file and of the files it uses. It knows no types and never reports what elaboration would accept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from zhdsl.lang import ast
from zhdsl.lang.bounds import AXES
from zhdsl.lang.elaborator import Diagnostics
from zhdsl.lang.expressions import BUILTINS
from zhdsl.lang.files import File
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem
from zhdsl.lang.statics import KINDS
from zhdsl.source import Span

DTYPES = ("", "float", "f16", "bf16", "f32", "f64", "i32", "bool")
FLOATS = ("f16", "bf16", "f32", "f64")
ANNOTATIONS = ("checkpoint", "precision")
OTHER_DTYPES = {  # what other languages call them
    **dict.fromkeys(("int", "int32", "int64", "i64", "long", "uint8", "u8", "integer"), "i32"),
    **dict.fromkeys(("float32", "single"), "f32"),
    **dict.fromkeys(("float64", "double"), "f64"),
    **dict.fromkeys(("float16", "half"), "f16"),
    **{"bfloat16": "bf16", "boolean": "bool", "number": "float"},
}
OTHER_KINDS = {
    **dict.fromkeys(("integer", "i32", "size", "number"), "int"),
    **dict.fromkeys(("f32", "real", "double"), "float"),
    **dict.fromkeys(("string", "text"), "str"),
    **dict.fromkeys(("block1", "module", "model", "net"), "layer"),
    **dict.fromkeys(("function", "func", "activation"), "fn"),
    **{"boolean": "bool", "label": "axis", "initializer": "init", "list": "ints"},
}


def check_names(file: File, diagnostics: Diagnostics) -> None:
    """Report what is wrong with the names of a file. A definition with a wrong head poisons what uses it."""
    known = {*file.names(), *BUILTINS}
    for name, item in file.items.items():
        if isinstance(item, ast.Definition | ast.Dataset):
            wrong = [*_heads(item), *_axes(item)]
            wrong += _of_definition(item) if isinstance(item, ast.Definition) else _of_dataset(item)
            if wrong:
                file.broken.add(name)
            for problem in wrong:
                diagnostics.add(problem)
        if isinstance(item, ast.Definition) and not file.incomplete:
            for name, problem in _unknown(item, known):
                span = problem.diagnostic.span
                if span is not None and diagnostics.is_new(file.source.name, item.name, name, span):
                    diagnostics.add(problem)


# ---------------------------------------------------------------- heads
def _heads(d: ast.Definition | ast.Dataset) -> Iterator[Problem]:
    for s in d.statics:
        if s.kind not in KINDS:
            close = OTHER_KINDS.get(s.kind) or nearest(s.kind, KINDS)
            help_ = f"did you mean `{close}`?" if close else f"kinds: {', '.join(k for k in KINDS if k)}"
            yield Problem("Z0409", f"there is no kind {s.kind} of statics", s.span, help=help_)
    yield from _twice((s.name, s.span) for s in d.statics)
    yield from _twice((r.name, r.span) for r in d.results)
    rests = [s for s in d.statics if s.rest]
    for s in rests[1:]:
        yield Problem("Z0303", f"...{s.name} is a second rest among the statics", s.span, (rests[0].span, "the first"))


def _of_definition(d: ast.Definition) -> Iterator[Problem]:
    statics = [(s.name, s.span) for s in d.statics if s.kind not in ("axis", "axes") and not s.rest]
    yield from _twice([*statics, *((p.name, p.span) for p in d.params)])
    for p in d.params:
        yield from _rests(d, p)
    for a in d.annotations:
        if a.name not in ANNOTATIONS:
            yield Problem("Z0620", f"there is no annotation @{a.name}", a.span, help="`@checkpoint`, `@precision[f32]`")
        elif a.name == "checkpoint" and a.args:
            yield Problem("Z0620", "`@checkpoint` takes nothing in [ ]", a.span)
        elif a.name == "precision" and not is_precision(a):
            yield Problem("Z0620", f"`@precision` takes one float: {', '.join(FLOATS)}", a.span)
    if d.adjoint is not None:
        yield from _twice((p.name, p.span) for p in (*d.params, *d.adjoint.params))
    for node in _walk(d):
        if isinstance(node, ast.Scan):
            yield from _twice([(node.var.id, node.var.span), *((c.name.id, c.name.span) for c in node.carries)])


def is_precision(a: ast.Annotation) -> bool:
    """Whether `@precision[…]` names one float."""
    return len(a.args) == 1 and isinstance(a.args[0], ast.Name) and a.args[0].id in FLOATS


def _of_dataset(d: ast.Dataset) -> Iterator[Problem]:
    for r in d.results:
        if not r.name:
            yield Problem("Z0301", f"the fields of {d.name} need names", r.span, help=f"write `x: {r.span.text}`")
        if not r.type.axes:
            yield Problem("Z0301", f"{r.name} has no axis: the first axis of a field is the batch", r.span)
        for axis in r.type.axes:
            if axis.rest:
                yield Problem("Z0301", "a field names all its axes", axis.span, help="write them out: `[B, H, W]`")


def _twice(names: Iterable[tuple[str, Span]]) -> Iterator[Problem]:
    """A name that a head gives two things."""
    seen: dict[str, Span] = {}
    for name, span in names:
        if name and seen.setdefault(name, span) is not span:
            yield Problem("Z0202", f"{name} is declared twice", span, (seen[name], "the first"), help="rename one")


def _rests(d: ast.Definition, p: ast.Parameter) -> Iterator[Problem]:
    """Two rests of one parameter: where does the first end?"""
    given = {s.name for s in d.statics if s.rest or s.kind == "axes"}
    free = [a for a in (p.type.axes if p.type else ()) if a.rest and a.label not in given]
    for axis in free[1:]:
        what = f"...{axis.label} is a second rest of {p.name}: where does the first end?"
        help_ = f"make it a static: `{d.name}[...{axis.label}]`"
        yield Problem("Z0303", what, axis.span, (free[0].span, "the first"), help=help_)


def _axes(d: ast.Definition | ast.Dataset) -> Iterator[Problem]:
    """Types with words that are no dtype, axes without a name, or with one name for two."""
    for node in _walk(d):
        if not isinstance(node, ast.Type):
            continue
        if node.dtype not in DTYPES:
            close = OTHER_DTYPES.get(node.dtype) or nearest(node.dtype, DTYPES)
            help_ = f"did you mean `{close}`?" if close else f"dtypes: {', '.join(DTYPES[1:])}"
            yield Problem("Z0505", f"there is no dtype {node.dtype}", node.span, help=help_)
        if len(node.axes) > AXES:
            yield Problem("Z0904", f"a type with {len(node.axes)} axes, the limit is {AXES}", node.span)
            continue
        seen: set[tuple[str, bool]] = set()
        for axis in node.axes:
            if not axis.label and not axis.rest:
                yield Problem("Z0301", "an axis needs a name", axis.span, help=f"write `N={axis.span.text}`")
            elif (axis.label, axis.rest) in seen:
                help_ = f"prime one: `{axis.label}'`"
                yield Problem("Z0311", f"two axes are called {axis.label}", axis.span, help=help_)
            seen.add((axis.label, axis.rest))


# ---------------------------------------------------------------- bodies
def _unknown(d: ast.Definition, known: set[str]) -> Iterator[tuple[str, Problem]]:
    bound = _bound(d)
    for node in _walk(d):
        name = node.function if isinstance(node, ast.Call) else node.base if isinstance(node, ast.Index) else None
        if isinstance(node, ast.Pipe) and isinstance(node.function, ast.Name):
            name = node.function
        if isinstance(name, ast.Name) and name.id not in known and name.id not in bound:
            close = nearest(name.id, known | bound)
            help_ = f"did you mean `{close}`?" if close else ""
            yield name.id, Problem("Z0201", f"unknown name {name.id}", name.span, help=help_)


def _bound(d: ast.Definition) -> set[str]:
    """Everything that a definition gives a name: statics, parameters, axes, values."""
    names: set[str] = {s.name for s in d.statics} | {p.name for p in d.params} | {r.name for r in d.results}
    for node in _walk(d):
        if isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets}
        elif isinstance(node, ast.Param | ast.State):
            names |= {t.id for t in node.names}
        elif isinstance(node, ast.Axis):
            names |= {node.label} | ({node.size.id} if isinstance(node.size, ast.Name) else set())
        elif isinstance(node, ast.Repeat) and node.var:
            names.add(node.var.id)
        elif isinstance(node, ast.Scan):
            names |= {node.var.id, *(c.name.id for c in node.carries)}
        elif isinstance(node, ast.Relabel):
            names.add(node.new)
    return names | {n.name for n in (d.adjoint.params if d.adjoint else ())}


def _walk(root: Any) -> Iterator[Any]:
    """All records under one, in order of the text."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        children: list[Any] = []
        for f in fields(node):
            value = getattr(node, f.name)
            children += value if isinstance(value, tuple) else [value]
        stack.extend(c for c in reversed(children) if isinstance(c, ast.Syntax))
