"""Names in definitions that nothing has used yet: blocks are templates, elaborated only where they are called.

This walk finds unknown names, and words used as names that mean nothing, in every definition of a file; it knows no
types. It never reports what elaboration would accept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from zhdsl.lang import ast
from zhdsl.lang.elaborator import Diagnostics
from zhdsl.lang.expressions import BUILTINS
from zhdsl.lang.files import File
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem
from zhdsl.lang.statics import KINDS

DTYPES = ("", "float", "f16", "bf16", "f32", "f64", "i32", "bool")
ANNOTATIONS = ("checkpoint", "precision")


def check_names(file: File, module: ast.Module, diagnostics: Diagnostics) -> None:
    """Report unknown names, kinds, dtypes and annotations of every definition."""
    for item in module.items:
        if isinstance(item, ast.Definition):
            known = set(file.names()) | set(BUILTINS) | _bound(item)
            for problem in (*_heads(item), *_unknown(item, known)):
                diagnostics.add(problem)


def _heads(d: ast.Definition) -> Iterator[Problem]:
    for s in d.statics:
        if s.kind not in KINDS:
            close = nearest(s.kind, KINDS)
            yield Problem(
                "Z0406",
                f"there is no kind {s.kind} of statics",
                s.span,
                help=f"did you mean `{close}`?" if close else f"kinds: {', '.join(k for k in KINDS if k)}",
            )
    for a in d.annotations:
        if a.name not in ANNOTATIONS:
            yield Problem("Z0620", f"there is no annotation @{a.name}", a.span, help="`@checkpoint`, `@precision[f32]`")
    for node in _walk(d):
        if isinstance(node, ast.Type) and node.dtype not in DTYPES:
            close = nearest(node.dtype, DTYPES)
            yield Problem(
                "Z0505",
                f"there is no dtype {node.dtype}",
                node.span,
                help=f"did you mean `{close}`?" if close else f"dtypes: {', '.join(DTYPES[1:])}",
            )


def _unknown(d: ast.Definition, known: set[str]) -> Iterator[Problem]:
    for node in _walk(d):
        name = node.function if isinstance(node, ast.Call) else node.base if isinstance(node, ast.Index) else None
        if isinstance(node, ast.Pipe) and isinstance(node.function, ast.Name):
            name = node.function
        if isinstance(name, ast.Name) and name.id not in known:
            close = nearest(name.id, known)
            yield Problem(
                "Z0201", f"unknown name {name.id}", name.span, help=f"did you mean `{close}`?" if close else ""
            )


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
