"""Checking: a module becomes a `Project` of models, recipes and claims, or a `SpecError` with all that is wrong.

parse → check → lower: models and recipes hold closed graphs; `lower` hands them out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zhdsl.errors import SpecError
from zhdsl.ir.node import Builder
from zhdsl.lang import ast, builtins, shaping, windows
from zhdsl.lang.claims import build_claim
from zhdsl.lang.elaborator import Diagnostics
from zhdsl.lang.entry import Names, build_model, elaborator
from zhdsl.lang.files import open_file
from zhdsl.lang.model import Claim, Model, Project, Recipe
from zhdsl.lang.names import check_names
from zhdsl.lang.nearest import nearest
from zhdsl.lang.parser import parse
from zhdsl.lang.problem import Enough, Poisoned, Problem
from zhdsl.lang.recipes import build_recipe
from zhdsl.lang.values import Template
from zhdsl.ops import loop
from zhdsl.source import Source

PRIMITIVES = (builtins, shaping, windows, loop)  # importing them fills the tables
FRAMES = 250_000  # Python frames: 100 calls, each in a tree of 200 levels, with up to 7 for a level, and some to spare


def check(text: Source | ast.Module, folder: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Project:
    """Check a spec completely, before any data is touched.

    Args:
        text: the spec, parsed or not.
        folder: where it lies; imports and data files stay inside it. `None`: it can import nothing.
        overrides: new values of its `const`s, by name (`D`, or `alias.D` in an imported file).

    Raises:
        SpecError: with every independent diagnostic.
    """
    module = parse(text) if isinstance(text, Source) else text
    with deep():
        return _Checker(module, folder, overrides or {}).run()


def entry(project: Project, name: str) -> Model:
    """A model of the project, or a function or block of it taken as one. Raises `SpecError`."""
    if name in project.models:
        return project.models[name]
    diagnostics = Diagnostics()
    file = project.file
    with deep(), Builder() as b:
        found = file.find(elaborator("infer", b, diagnostics, Names()), name)
        if not isinstance(found, Template):
            close = nearest(name, [*project.models, *file.items])
            message = f"{file.source.name} has no model {name}"
            raise SpecError(
                Problem("Z0713", message, None, help=f"did you mean `{close}`?" if close else "").diagnostic
            )
        with suppress(Enough), diagnostics.collecting():
            return build_model(found, diagnostics)
    raise SpecError(diagnostics.sorted())


@contextmanager
def deep() -> Iterator[None]:
    """Elaboration recurses as deep as the text nests and calls; both are limited, Python's own limit is wider here."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Checker:
    """One run over a module."""

    def __init__(self, module: ast.Module, folder: Path | None, overrides: Mapping[str, Any]):
        self.module = module
        self.folder = folder.resolve() if folder else None
        self.overrides = dict(overrides)
        self.diagnostics = Diagnostics()
        self.models: dict[str, Model | None] = {}

    def run(self) -> Project:
        """The project. Raises `SpecError`."""
        try:
            return self._run()
        except Enough:
            raise SpecError(self.diagnostics.sorted()) from None
        except RecursionError:  # only if Python's own limit could not be widened: embedded, in a small thread
            what = "definitions call each other too deep for this machine's stack"
            raise SpecError(Problem("Z0412", what, self.module.items[0].span).diagnostic) from None

    def _run(self) -> Project:
        file, problems = open_file(self.module, self.folder, self.folder, self.overrides, self._place())
        for problem in problems:
            self.diagnostics.add(problem)
        self.file = file
        for used in file.imported():
            check_names(used, self.diagnostics)
        self._consts()
        models, recipes, claims = {}, dict[str, Recipe](), list[Claim]()
        for item in self.module.items:
            with self.diagnostics.collecting():
                if isinstance(item, ast.Definition) and item.kind == "model" and item.name not in file.broken:
                    models[item.name] = self.model_of(Template(item, file))
                elif isinstance(item, ast.Train):
                    recipe = build_recipe(item, file, self.model_of, self.diagnostics)
                    self._new_recipe(recipes, recipe, item)
                elif isinstance(item, ast.Check):
                    claims.append(build_claim(item, file, self.model_of, self.diagnostics))
        claims += self._adjoints()
        if self.diagnostics.found:
            raise SpecError(self.diagnostics.sorted())
        return Project(self.module.source, models, recipes, tuple(claims), self.overrides, file)

    def _place(self) -> tuple[Path, ...]:
        """The file itself, so that an import of it is seen."""
        place = self.folder / Path(self.module.source.name).name if self.folder else None
        return (place,) if place and place.is_file() else ()

    def _consts(self) -> None:
        """Evaluate every `const`, so that each wrong one is reported once."""
        with Builder() as b:
            e = elaborator("infer", b, self.diagnostics, Names())
            for name in self.file.consts:
                with self.diagnostics.collecting():
                    self.file.own(e, name)

    def model_of(self, template: Template) -> Model:
        """A model by its template, elaborated once. Raises `Poisoned` if it is wrong."""
        key = f"{template.home.source.name}:{template.name}"
        if key not in self.models:
            self.models[key] = None
            self.models[key] = build_model(template, self.diagnostics)
        found = self.models[key]
        if found is None:
            raise Poisoned
        return found

    def _new_recipe(self, recipes: dict[str, Recipe], recipe: Recipe, item: ast.Train) -> None:
        if recipe.name in recipes:
            trains = (i for i in self.module.items if isinstance(i, ast.Train))
            first = next(i for i in trains if i.span == recipes[recipe.name].span)
            raise Problem(
                "Z0202",
                f"a second recipe for {recipe.name}",
                (item.alias or item.model).span,
                ((first.alias or first.model).span, "the first"),
                help=f"name it: `train {item.model.id} as quick`",
            )
        recipes[recipe.name] = recipe

    def _adjoints(self) -> list[Claim]:
        """A function with a derivative of its own is held against finite differences."""
        found = []
        for item in self.module.items:
            if isinstance(item, ast.Definition) and item.adjoint is not None and item.name not in self.file.broken:
                with self.diagnostics.collecting():
                    samples = {s.name: 2 for s in item.statics if s.kind in ("", "int")}
                    model = build_model(Template(item, self.file), self.diagnostics, samples)
                    found.append(Claim("adjoint", item.name_span, detail=f"gradient[{item.name}]", model=model))
        return found
