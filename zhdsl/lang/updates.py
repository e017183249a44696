"""The optimiser, the schedule and the clipping of a recipe: one small graph per parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang.elaborator import Elaborator, Failures, counter
from zhdsl.lang.entry import Names, elaborator, finish
from zhdsl.lang.model import Weight
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import Tensor

if TYPE_CHECKING:
    from zhdsl.lang.recipes import Work


def build_updates(work: Work, frozen: frozenset[str]) -> dict[str, Any]:
    """`update`, `slots`, `clip` and `rate` of the recipe."""
    found: dict[str, Any] = {"update": {}, "slots": {}, "clip": {}, "rate": None}
    trained = {path: weight for path, weight in work.model.params.items() if path not in frozen}
    failed = Failures(work.diagnostics, any=work.entry("optimizer") is None)
    if work.entry("optimizer") is not None:
        with failed.collecting():
            found["update"] = {path: _update(work, weight, found["slots"]) for path, weight in trained.items()}
    if work.entry("clip") is not None:
        with failed.collecting():
            found["clip"] = {path: _clip(work, weight) for path, weight in trained.items()}
    with failed.collecting():
        found["rate"] = _rate(work)
    failed.stop()
    return found


def _scope(work: Work, weight: Weight | None) -> Scope:
    s = Scope(work.file, "", "train", kind="recipe")
    for label in weight.order if weight else ():
        s.labels[label] = label
        s.used.add(label)
    return s


def _input(name: str, weight: Weight | None) -> Tensor:
    type_ = weight.type if weight else Type(FLOAT)
    return Tensor(apply("input", port=name, type=type_), weight.order if weight else ())


def _counters() -> dict[str, Tensor]:
    return {name: Tensor(counter(name), ()) for name in ("step", "epoch")}


def _update(work: Work, weight: Weight, slots: dict[str, Weight]) -> Graph:
    from zhdsl.lang.recipes import called, optimiser_of

    with Builder() as b:
        e, s = elaborator("train", b, work.diagnostics, Names()), _scope(work, weight)
        found = optimiser_of(work, e, s, "optimizer")
        assert found is not None
        template, x = found
        given = {"w": _input("w", weight), "g": _input("g", weight), "rate": _input("rate", None), **_counters()}
        result = called(e, s, template, given, x.span, weight.path)
        if not isinstance(result, Tensor) or result.type != weight.type:
            raise Problem("Z0714", f"{template.name} does not return the new parameter, of the type of w", x.span)
        if e.params:
            raise Problem("Z0714", f"{template.name} has parameters of its own: use `state`", x.span)
        slots.update(e.states)
        data = [
            _port(n, t)
            for n, t in given.items()
            if n in {p.name for p in template.definition.params} - {"step", "epoch"}
        ]
        return finish(e, f"update.{weight.path}", data, [Port("w", result.node, weight.order, "result")])


def _port(name: str, t: Tensor) -> Port:
    return Port(name, t.node, t.order, "data")


def _clip(work: Work, weight: Weight) -> Graph:
    from zhdsl.lang.recipes import called, optimiser_of

    with Builder() as b:
        e, s = elaborator("train", b, work.diagnostics, Names()), _scope(work, weight)
        found = optimiser_of(work, e, s, "clip")
        assert found is not None
        template, x = found
        given = {"g": _input("g", weight), "norm": _input("norm", None)}
        result = called(e, s, template, given, x.span, "")
        if not isinstance(result, Tensor) or result.type != weight.type:
            raise Problem("Z0714", f"{template.name} does not return the clipped gradient, of the type of g", x.span)
        data = [_port(n, t) for n, t in given.items()]
        return finish(e, f"clip.{weight.path}", data, [Port("g", result.node, weight.order, "result")])


def _rate(work: Work) -> Graph | None:
    from zhdsl.lang.recipes import called, optimiser_of

    with Builder() as b:
        e, s = elaborator("train", b, work.diagnostics, Names()), _scope(work, None)
        found = optimiser_of(work, e, s, "schedule")
        if found is None:
            return None
        template, x = found
        result = called(e, s, template, _counters(), x.span, "")
        if not isinstance(result, Tensor) or result.order:
            raise Problem("Z0714", f"{template.name} does not return one number", x.span)
        return finish(e, "rate", [], [Port("rate", _float(e, result), (), "result")])


def _float(e: Elaborator, t: Tensor) -> Any:
    return t.node if t.type.is_float else apply("cast", t.node, dtype=FLOAT)
