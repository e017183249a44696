"""`zh eval` measures the weights of a run on a part of its data, or on a file, and says which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.pets import NAMES, write_pets
from zhdsl.cli.main import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the pets, trained once."""
    folder = tmp_path_factory.mktemp("pets")
    write_pets(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "pets.zh", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def beside_it(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def numbers(out: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.split() for line in out.splitlines()[1:])}


def test_the_test_part_is_measured_with_the_best_weights(zh: Callable) -> None:
    result = zh("eval", "runs/Pets-1")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "test: 9 samples"
    told = json.loads(Path("runs/Pets-1/result.json").read_text())["metrics"]
    assert numbers(result.out) == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize(("part", "samples"), [("train", 42), ("valid", 9), ("test", 9), ("all", 60)])
def test_every_part_can_be_measured(part: str, samples: int, zh: Callable) -> None:
    assert zh("eval", "runs/Pets-1", "--data", part).out.splitlines()[0] == f"{part}: {samples} samples"


def test_weights_are_measured_like_their_run(zh: Callable) -> None:
    assert zh("eval", "runs/Pets-1/best.safetensors").out == zh("eval", "runs/Pets-1").out
    assert zh("eval", "runs/Pets-1/last.safetensors").code == 0


def test_json_holds_the_same_numbers(zh: Callable) -> None:
    result = zh("eval", "runs/Pets-1", "--json")
    found = json.loads(result.out)
    assert {k: found[k] for k in ("weights", "part", "samples")} == {
        "weights": "runs/Pets-1/best.safetensors",
        "part": "test",
        "samples": 9,
    }
    assert found["metrics"] == pytest.approx(numbers(zh("eval", "runs/Pets-1").out), rel=1e-5)


def test_a_file_is_measured_with_its_classes_as_they_were_learnt(zh: Callable) -> None:
    """The file lacks the first class: numbered by itself, its classes would be off by one."""
    rows = [line for line in Path("pets.csv").read_text().splitlines() if NAMES[0] not in line]
    Path("some.csv").write_text("\n".join(rows) + "\n")
    x = np.array([[float(v) for v in row.split(",")[:2]] for row in rows[1:]], np.float32)
    kind = np.array([NAMES.index(row.split(",")[2]) for row in rows[1:]], np.int32)
    np.savez("some.npz", x=x, kind=kind)
    from_text, from_numbers = (
        zh("eval", "runs/Pets-1", "--data", "some.csv"),
        zh("eval", "runs/Pets-1", "--data", "some.npz"),
    )
    assert from_text.out.splitlines()[0] == "some.csv: 40 samples"
    assert numbers(from_text.out) == numbers(from_numbers.out)


def test_a_class_that_was_not_learnt_is_an_error(zh: Callable) -> None:
    Path("new.csv").write_text("x0,x1,kind\n0,0,mouse\n1,1,dog\n")
    result = zh("eval", "runs/Pets-1", "--data", "new.csv")
    assert (result.code, result.out) == (4, "")
    assert result.err == "error: kind: the training data have no 'mouse'\nhelp: check the column kind\n"


def test_weights_in_another_folder_find_no_data_and_say_so(zh: Callable, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(Path("runs/Pets-1/best.safetensors").read_bytes())
    (tmp_path / "some").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "some")
        result = zh("eval", "../w.safetensors")
    assert result.code == 4
    assert "pets.csv: there is no such file" in result.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["pets.zh"], 2, "error: pets.zh is a spec; a run or a weights file is wanted here"),
        (["gone"], 2, "error: there is no run and no weights file gone"),
        (["pets.csv"], 2, "error: pets.csv is no weights file"),
        (["."], 2, "error: . is not the folder of a run"),
        (["runs/Pets-1", "--data", "tset"], 2, "--data tset: it is neither one of test, valid, train, all nor a file"),
        (["runs/Pets-1", "--data", "gone.csv"], 2, "error: there is no file gone.csv"),
        (["damaged.safetensors"], 4, "damaged.safetensors: its header does not fit"),
    ],
)
def test_wrong_use_is_told(args: list[str], code: int, says: str, zh: Callable) -> None:
    Path("damaged.safetensors").write_bytes(b"12345678901")
    result = zh("eval", *args)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
