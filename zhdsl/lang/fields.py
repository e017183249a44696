"""A recipe's data: the dataset's fields, bound to the model's inputs by name, their axes in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zhdsl.ir.graph import Port
from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang import ast, statics
from zhdsl.lang.axes import at_least_0, axis_size, written
from zhdsl.lang.calls import give_statics
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate, size
from zhdsl.lang.files import File
from zhdsl.lang.model import DatasetUse
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem, counted, listing
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import DatasetRef, Template, kind_of
from zhdsl.source import Span


@dataclass(frozen=True)
class Field:
    """A field of the data, in the labels of the recipe; `input` is the model's input it is bound to."""

    name: str
    type: Type
    order: tuple[str, ...]
    input: str | None
    span: Span


def dataset_of(e: Elaborator, file: File, x: ast.Expr) -> tuple[DatasetRef, Span]:
    """The dataset that an expression names."""
    name = x.base if isinstance(x, ast.Index) else x
    if isinstance(name, ast.Name) and file.find(e, name.id) is None:
        raise Problem("Z0707", f"there is no dataset {name.id}", name.span, help=_close(file, name.id))
    value = evaluate(e, Scope(file, kind="recipe"), x)
    if not isinstance(value, DatasetRef):
        raise Problem("Z0707", f"a dataset is wanted, this is {kind_of(value)}", x.span, help="e.g. `data = digits[]`")
    return value, x.span


def _close(file: File, name: str) -> str:
    close = nearest(name, file.names())
    return f"did you mean `{close}`?" if close else 'declare it: `dataset d[file = "d.csv"] -> (x: [B, F = 2], …)`'


def bind_fields(
    e: Elaborator, file: File, found: tuple[DatasetRef, Span], template: Template
) -> tuple[DatasetUse, tuple[Field, ...]]:
    """The fields with the labels of the model's inputs. Raises `Problem` where an input has no field."""
    ref, span = found
    given, declared = declared_fields(e, ref, span)
    d = template.definition
    inputs = {p.name: p for p in d.params}
    names = [r.name for r in ref.definition.results]
    for p in d.params:
        if p.name not in names:
            raise Problem(
                "Z0706",
                f"the data {ref.definition.name} has no field {p.name} for {d.name}",
                span,
                (p.span, "the input"),
                help=f"its fields are {listing(names)}",
            )
    mapping: dict[str, str] = {}
    for name, _, order, _ in declared:
        if name in inputs:
            _map_labels(mapping, order, inputs[name], name, span)
    fields = []
    for name, type_, order, where in declared:
        new = tuple(mapping.get(label, label) for label in order)
        if len(set(new)) < len(new):
            what = f"the field {name} would have two axes of one name: [{', '.join(new)}]"
            help_ = f"its axes {listing(order)} take the names of the inputs of {d.name}: rename an axis there"
            raise Problem("Z0706", what, span, (where, "the field"), help=help_)
        renamed = type_.renamed(mapping).substitute({k: Size.of(v) for k, v in mapping.items()})
        fields.append(Field(name, renamed, new, name if name in inputs else None, where))
    ports = tuple(Port(f.name, apply("input", port=f.name, type=f.type), f.order, "data") for f in fields)
    return DatasetUse(ref.definition.name, given, ports, span), tuple(fields)


def _map_labels(mapping: dict[str, str], order: tuple[str, ...], p: ast.Parameter, name: str, span: Span) -> None:
    axes = p.type.axes if p.type else ()
    if len(axes) != len(order):
        raise Problem(
            "Z0706",
            f"the field {name} is [{', '.join(order)}], the input {written(p)}",
            span,
            (p.span, "the input"),
            help=f"declare the input with {counted(len(order), 'axis').replace('axiss', 'axes')}",
        )
    for label, axis in zip(order, axes, strict=True):
        bound = mapping.setdefault(label, axis.label)
        if bound != axis.label:
            raise Problem(
                "Z0706",
                f"the data's axis {label} is {bound} of one input and {axis.label} of another",
                span,
                (p.span, "the input"),
                help="give the inputs the same name for that axis",
            )


def declared_fields(
    e: Elaborator, ref: DatasetRef, span: Span
) -> tuple[Mapping[str, Any], list[tuple[str, Type, tuple[str, ...], Span]]]:
    """The statics with their defaults, and name, type and order of every field."""
    d = ref.definition
    s = Scope(ref.home, kind="dataset")
    given = dict(ref.statics or {})
    give_statics(s, given)
    statics.check_all_given(ref, given, span)
    for p in d.statics:
        if p.name not in given and p.default is not None:
            given[p.name] = statics.read(e, s, p.default, p.kind, d.name, p.name)
            give_statics(s, {p.name: given[p.name]})
    fields = []
    for r in d.results:
        if not r.name:
            raise Problem("Z0301", f"the fields of {d.name} need names", r.span)
        axes = []
        for axis in r.type.axes:
            if axis.rest or not axis.label:
                raise Problem("Z0301", "a field names all its axes", axis.span)
            n = size(e, s, axis.size, f"the size of {axis.label}") if axis.size is not None else axis_size(e, s, axis)
            n = at_least_0(n, axis.label, axis.span)
            axes.append((axis.label, n if n is not None else Size.of(axis.label)))
        if not axes:
            raise Problem("Z0301", f"{r.name} has no axis: the first axis of a field is the batch", r.span)
        fields.append((r.name, Type(r.type.dtype or FLOAT, tuple(axes)), tuple(a for a, _ in axes), r.span))
    return given, fields
