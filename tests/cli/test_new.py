"""Starters: written once, named after the file, right as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.cli.new import KINDS, model_name, starter
from zhdsl.lang.check import check
from zhdsl.lang.parser import parse, read


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_is_a_program(kind: str, zh: Callable) -> None:
    assert zh("new", "first", "--kind", kind) == (
        0,
        "wrote first.zh\nnext: zh check first.zh, then zh train first.zh\n",
        "",
    )
    kinds = [type(item).__name__ for item in parse(read("first.zh")).items]
    assert {"Definition", "Train"} <= set(kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_checks_and_its_claims_hold(kind: str, zh: Callable) -> None:
    zh("new", "first", "--kind", kind)
    project = check(read("first.zh"))
    assert (set(project.models), len(project.recipes)) == ({"First"}, 1)
    assert all(claim.holds for claim in project.claims)


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_is_formatted(kind: str, zh: Callable) -> None:
    zh("new", "first", "--kind", kind)
    assert zh("fmt", "--diff", "first.zh") == (0, "", "")


def test_the_default_is_a_multilayer_perceptron(zh: Callable) -> None:
    assert zh("new", "first.zh").code == 0
    assert Path("first.zh").read_text() == starter("mlp", "First")


def test_a_file_that_exists_is_not_overwritten(zh: Callable) -> None:
    Path("first.zh").write_text("mine")
    result = zh("new", "first")
    assert result.code == 2
    assert "first.zh exists" in result.err
    assert Path("first.zh").read_text() == "mine"


def test_a_folder_that_does_not_exist_is_named(zh: Callable) -> None:
    result = zh("new", "gone/first")
    assert result.code == 3
    assert "cannot write gone/first.zh: No such file or directory" in result.err


@pytest.mark.parametrize(
    ("stem", "name"), [("first", "First"), ("my-first_net", "MyFirstNet"), ("LeNet5", "LeNet5"), ("a.b", "AB")]
)
def test_the_model_is_named_after_the_file(stem: str, name: str) -> None:
    assert model_name(stem) == name
    assert f"model {name}(" in starter("mlp", name)
    assert "Starter" not in starter("mlp", name)


@pytest.mark.parametrize("name", ["dense", "h", "embed", "B"])
def test_a_model_does_not_take_a_name_that_its_text_uses(name: str) -> None:
    model = model_name(name)
    assert all(f"model {model}Net(" in starter(kind, model) for kind in KINDS if f"{model}[" in starter(kind, "Other"))
    assert any(f"model {model}Net(" in starter(kind, model) for kind in KINDS)


@pytest.mark.parametrize("name", ["1st", "", "_", "réseau", "网络", "models/"])
def test_a_file_name_that_gives_no_model_name_is_refused(name: str, zh: Callable) -> None:
    result = zh("new", name)
    assert result.code == 2
    assert "must begin with a letter" in result.err
    assert list(Path().iterdir()) == []


def test_an_unknown_kind_is_refused(zh: Callable) -> None:
    result = zh("new", "first", "--kind", "transformer")
    assert result.code == 2
    assert all(kind in result.err for kind in KINDS)
