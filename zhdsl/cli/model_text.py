"""Models and recipes as text: signatures, weights, guards, what a recipe decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zhdsl.ir.graph import Port
from zhdsl.ir.types import axes_text
from zhdsl.lang import ast
from zhdsl.lang.model import DatasetUse, Model, Recipe, Weight
from zhdsl.lang.parser import parse


def port_text(port: Port) -> str:
    """`x: [B, F=2]`, axes in the order of the text."""
    type_ = port.node.type
    dtype = "" if type_.dtype == "float" else type_.dtype
    return f"{port.name}: {dtype}{axes_text((label, type_.sizes[label]) for label in port.order)}"


def ports_text(ports: Iterable[Port]) -> str:
    """`x: [B, F=2], y: i32[B]`."""
    return ", ".join(map(port_text, ports))


def signature(model: Model) -> str:
    """`model Spirals(x: [B, F=2]) -> p: [B, F=1]`."""
    return f"{model.kind} {model.name}({ports_text(model.inputs)}) -> {ports_text(model.outputs)}"


def model_lines(model: Model) -> Iterator[str]:
    """Signature, parameters, states and guards, with the places where they are written."""
    yield signature(model)
    yield from _section("parameters", [(w.path, _weight(w), str(w.span)) for w in model.params.values()])
    yield from _section("states", [(w.path, _weight(w), str(w.span)) for w in model.states.values()])
    yield from _section("guards", [(g.text, "", str(g.span)) for g in model.guards])


def _weight(weight: Weight) -> str:
    dtype = "" if weight.type.dtype == "float" else weight.type.dtype
    axes = axes_text((label, weight.type.sizes[label]) for label in weight.order)
    return f"{dtype}{axes}{'  of the stream' if weight.stream else ''}"


def recipe_lines(recipe: Recipe) -> Iterator[str]:
    """A recipe as it is written, then what follows from it: fields, defaults, what is trained and fitted."""
    yield f"train {recipe.model.name}" + (f" as {recipe.name}" if recipe.name != recipe.model.name else "")
    written = written_entries(recipe)
    yield from table([(f"  {key}", f"= {' '.join(text.split())}") for key, text in written.items()])
    yield ""
    yield from table([(f"  {key}", value) for key, value in _facts(recipe, written) if value])


def written_entries(recipe: Recipe) -> dict[str, str]:
    """The recipe's entries by key, as they are written."""
    items = parse(recipe.span.source).items
    (item,) = (i for i in items if isinstance(i, ast.Train) and i.span.start == recipe.span.start)
    return {".".join(entry.key): entry.value.span.text for entry in item.entries}


def _facts(recipe: Recipe, written: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "fields", f"{ports_text(recipe.data.fields)}  from {dataset_text(recipe.data)}"
    yield "fitted", ports_text(recipe.fit.results("state")) if recipe.fit else ""
    yield "measured", ", ".join(p.name for p in recipe.evaluate.results("loss", "metric"))
    yield "trained", f"{_count(recipe, trained=True):,} of {_count(recipe, trained=False):,} parameters"
    yield "optimizer", f"{sum(w.type.count().evaluate({}) for w in recipe.slots.values()):,} numbers of state"
    yield "limit", f"{recipe.steps:,} steps" if recipe.steps is not None else f"{recipe.epochs:,} epochs"
    defaults = {"batch": recipe.batch, "seed": recipe.seed}
    yield from ((key, str(value)) for key, value in defaults.items() if key not in written)


def _count(recipe: Recipe, trained: bool) -> int:
    params = recipe.model.params.items()
    return sum(w.type.count().evaluate({}) for path, w in params if not (trained and path in recipe.frozen))


def dataset_text(use: DatasetUse) -> str:
    """`two_spirals[points = 97]`."""
    statics = ", ".join(f"{name} = {_static(value)}" for name, value in use.statics.items())
    return f"{use.name}[{statics}]" if statics else use.name


def _static(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _section(title: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield title
        yield from table([(f"  {first}", *rest) for first, *rest in rows])


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Rows as aligned columns two spaces apart; those numbered in `right` are aligned on the right."""
    numbers = set(right)
    wide: Mapping[int, int] = {k: max(len(row[k]) for row in rows) for k in range(len(rows[0]))} if rows else {}
    for row in rows:
        cells = (cell.rjust(wide[k]) if k in numbers else cell.ljust(wide[k]) for k, cell in enumerate(row))
        yield "  ".join(cells).rstrip()
