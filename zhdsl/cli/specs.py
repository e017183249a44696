"""What the commands on specs share: `--set`, and opening a spec with a model or a recipe of it chosen.

Nothing here needs NumPy: a command that only reads a spec starts fast.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zhdsl.lang.model import Model, Project, Recipe

WEIGHTS = ".safetensors"
INTEGER = re.compile(r"[+-]?\d[\d_]*", re.ASCII)
REAL = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WORDS = {"true": True, "false": False}
LONGEST = 400  # digits of a number


def setting(text: str) -> tuple[str, Any]:
    """`D=64`: a name and a value. Raises `click.BadParameter`."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise click.BadParameter(f"'{text}' is not NAME=VALUE")
    return name.strip(), value_of(value.strip())


def value_of(text: str) -> int | float | bool | str:
    """The value that a text on the command line means; quotes make anything a text."""
    if text in WORDS:
        return WORDS[text]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if len(text) <= LONGEST and INTEGER.fullmatch(text):
        return int(text)
    return float(text) if len(text) <= LONGEST and REAL.fullmatch(text) else text


def _settings(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in map(setting, given):
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = value
    return found


setting_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_settings,
    help="Give a const of the spec another value; may be repeated.",
)


def spec_file(name: str) -> str:
    """The path of a spec, once it is clear that it is not something else.

    Raises:
        click.ClickException: it is a weights file, a run or another folder.
    """
    if name.endswith(WEIGHTS):
        raise click.ClickException(f"{name} is a weights file; a .zh file is wanted here")
    if (Path(name) / "run.json").is_file():
        raise click.ClickException(f"{name} is the folder of a run; its spec is {Path(name) / 'spec.zh'}")
    if os.path.isdir(name):
        raise click.ClickException(f"{name} is a folder; a .zh file is wanted here")
    return name


def open_spec(name: str, settings: Mapping[str, Any]) -> Project:
    """A spec, read and checked. Raises `click.ClickException` or `SpecError`."""
    path = spec_file(name)
    with uncollected():
        from zhdsl.lang.check import check
        from zhdsl.lang.parser import read

        return check(read(path), Path(path).parent, settings)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: what checking makes it also keeps, so looking for garbage only takes time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def chosen_model(project: Project, name: str) -> Model:
    """The model, function or block of that name, or a recipe's model. Raises `SpecError`."""
    from zhdsl.lang.check import entry

    return project.recipes[name].model if name in project.recipes else entry(project, name)


def chosen_recipe(project: Project, name: str | None) -> Recipe:
    """The recipe of that name, or the only one. Raises `click.ClickException`."""
    found = project.recipes.get(recipe_name(project.source.name, project.recipes, name))
    assert found is not None
    return found


def recipe_name(spec: str, known: Iterable[str], name: str | None) -> str:
    """The name of a recipe that there is: `name`, or the only one.

    Raises:
        click.ClickException: there is none, or not this one, or there are several to choose from.
    """
    names = list(known)
    if not names:
        raise click.ClickException(f"{spec} has no recipe: write `train M {{ … }}` for its model")
    if name is None and len(names) > 1:
        raise click.ClickException(f"{spec} has several recipes: choose one with --recipe: {', '.join(names)}")
    if name is not None and name not in names:
        from zhdsl.lang.nearest import nearest

        like = nearest(name, names)
        fix = f"did you mean {like}?" if like else f"there is {', '.join(names)}"
        raise click.ClickException(f"{spec} has no recipe {name}: {fix}")
    return name or names[0]


def counted(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
