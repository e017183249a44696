"""The table of what the specs reach: every recipe has a row, which says of its floor what the spec does."""

from __future__ import annotations

import re

import pytest

from tests.specs.test_specs import FILES, SPECS
from zhdsl.lang import ast
from zhdsl.lang.parser import parse
from zhdsl.source import Source

PAGE = SPECS.parent / "docs" / "curriculum.md"
ROW = re.compile(
    r"^\|[^|]*\| \[[^]]*\]\(\.\./specs/([^)]*)\)(?: `(\w+)`)? \|[^|]*\|[^|]*\| `([^`]*)` \| (.*) \|$", re.M
)
ROWS = ROW.findall(PAGE.read_text("utf-8"))
CHAPTERS = ("supervised", "activations", "skips", "convnets", "depth", "dense_prediction", "vision")
OPERATORS = {">=": float.__ge__, ">": float.__gt__, "<": float.__lt__, "<=": float.__le__, "==": float.__eq__}


def expected(file: str) -> dict[str, str]:
    """What each recipe of a spec expects, as it is written, by the recipe's name."""
    items = parse(Source(file, (SPECS / file).read_text("utf-8"))).items
    recipes = [item for item in items if isinstance(item, ast.Train)]
    return {
        (item.alias or item.model).id: entry.value.span.text
        for item in recipes
        for entry in item.entries
        if entry.key == ("expect",)
    }


@pytest.mark.parametrize(("file", "recipe", "floor", "reached"), ROWS, ids=lambda text: text[:40])
def test_a_row_has_the_floor_of_its_spec_and_a_figure_above_it(
    file: str, recipe: str, floor: str, reached: str
) -> None:
    found = expected(file)
    assert floor == (found[recipe] if recipe else next(iter(found.values())))
    figures = dict(re.findall(r"(\w+) (-?[\d.]+)", reached))
    for metric, sign, number in re.findall(r"(\w+) ([<>=]+) ([\d.]+)", floor):
        assert OPERATORS[sign](float(figures[metric]), float(number)), reached


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith(CHAPTERS)])
def test_every_recipe_on_data_of_the_package_has_a_row(file: str) -> None:
    text = (SPECS / file).read_text("utf-8")
    names = {recipe or next(iter(expected(file))) for name, recipe, _, _ in ROWS if name == file}
    assert names >= set(expected(file)) or "cifar10" in text
