"""The reference page of all ops, made from their docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import zhdsl.ops  # noqa: F401  (fills the registry)
from zhdsl.ir.op import FAMILIES, REGISTRY, Op
from zhdsl.ops import families

ABOUT = {  # the classes whose docstrings say what a family is
    "source": families.Source,
    "elementwise": families.Elementwise,
    "reduce": families.Reduce,
    "movement": families.Movement,
    "index": families.Index,
    "random": families.Random,
}


def document() -> str:
    """A markdown page: all registered ops by family, each with its fields, kernel and docstring."""
    return "\n".join(["# The ops", "", *_preface(), *(line for family in FAMILIES for line in _family(family))])


def _preface() -> Iterator[str]:
    yield f"The {len(REGISTRY)} primitives that every program is made of; generated from the classes in `zhdsl/ops/`."
    yield "S, R, Q stand for sets of named axes, g for the cotangent of the result."
    yield ""


def _family(family: str) -> Iterator[str]:
    members = [cls for cls in REGISTRY.values() if cls.family == family]
    yield from (f"## {family.capitalize()}", "")
    if family in ABOUT:
        yield from (inspect.getdoc(ABOUT[family]) or "").split("\n\n")[0].splitlines()
        yield ""
    for cls in members:
        yield from _op(cls)


def _op(cls: type[Op]) -> Iterator[str]:
    names = ", ".join(f"{f.name}: {f.type}" for f in fields(cls))
    yield from (f"### {cls.name}", "")
    if names:
        yield from (f"Fields: `{names}`", "")
    kernel = getattr(cls, "kernel", None) or getattr(cls, "combine", None)
    if kernel:
        yield from (f"Kernel: `{kernel}`", "")
    yield from ("```text", *(inspect.getdoc(cls) or "").splitlines(), "```", "")
