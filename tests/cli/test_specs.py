"""What the command line says of a spec: values for `const`s, and which recipe is meant."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

from zhdsl.cli.specs import counted, open_spec, recipe_name, value_of
from zhdsl.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("-3", -3),
        ("1_000", 1000),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("-2.", -2.0),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("relu", "relu"),
        ("'64'", "64"),
        ('"a b"', "a b"),
        ("'", "'"),
        ("", ""),
        ("nan", "nan"),
        ("0x10", "0x10"),
        ("1" * 500, "1" * 500),
        ("٣", "٣"),
    ],
)
def test_a_value_has_the_kind_that_its_text_has(text: str, value: Any) -> None:
    found = value_of(text)
    assert (type(found), found) == (type(value), value)


def test_the_only_recipe_needs_no_name() -> None:
    assert recipe_name("a.zh", ["M"], None) == "M"
    assert recipe_name("a.zh", ["M", "quick"], "quick") == "quick"


@pytest.mark.parametrize(
    ("names", "name", "says"),
    [
        ([], None, "a.zh has no recipe"),
        (["M", "quick"], None, "choose one with --recipe: M, quick"),
        (["M", "quick"], "quik", "did you mean quick?"),
        (["M"], "something", "there is M"),
    ],
)
def test_a_recipe_that_is_not_clear_is_asked_for(names: list[str], name: str | None, says: str) -> None:
    with pytest.raises(click.ClickException, match=r"^a\.zh") as caught:
        recipe_name("a.zh", names, name)
    assert says in caught.value.message


@pytest.mark.parametrize(("number", "text"), [(0, "0 models"), (1, "1 model"), (2, "2 models"), (1234, "1,234 models")])
def test_things_are_counted_in_english(number: int, text: str) -> None:
    assert counted(number, "model") == text


@pytest.mark.parametrize(
    ("setting", "says"),
    [("N", "'N' is not NAME=VALUE"), ("=4", "'=4' is not NAME=VALUE"), ("N=4 --set N=5", "N is given twice")],
)
def test_a_setting_that_is_none_is_wrong_use(setting: str, says: str, zh: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.zh").write_text("const N = 4\n")
    result = zh("check", str(tmp_path / "a.zh"), "--set", *setting.split())
    assert (result.code, result.out) == (2, "")
    assert says in result.err


@pytest.mark.parametrize("text", ["const N = 4\n", "const N =\n"])
def test_the_collector_of_cycles_is_as_before_when_a_spec_is_open(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.zh").write_text(text)
    with suppress(SpecError):
        open_spec(str(tmp_path / "a.zh"), {})
    assert gc.isenabled()
