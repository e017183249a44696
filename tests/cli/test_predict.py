"""`zh predict` gives the model's own results, as tables that other programs can read and cannot be hurt by."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import zhdsl
from tests.cli.pets import NAMES, write_pets
from zhdsl.cli.main import main
from zhdsl.cli.predict import text_cell

X = np.array([[0.0, 0.0], [1.0, -1.0], [2.0, -2.0]], np.float32)  # one of each class


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the pets, trained once."""
    folder = tmp_path_factory.mktemp("pets")
    write_pets(folder)
    (folder / "in.csv").write_text("name,x0,x1\na,0,0\nb,1,-1\nc,2,-2\n")
    np.savez(folder / "in.npz", x=X)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "pets.zh", "--quiet", "--epochs", "20"]) == 0
    return folder


@pytest.fixture(autouse=True)
def beside_it(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.fixture
def logits() -> np.ndarray:
    """What the model says in Python."""
    return zhdsl.load("runs/Pets-1/best.safetensors").predict(x=X)


@pytest.mark.parametrize("inputs", ["in.csv", "in.npz"])
def test_rows_are_the_models_own_results(inputs: str, zh: Callable, logits: np.ndarray) -> None:
    result = zh("predict", "runs/Pets-1", inputs)
    assert (result.code, result.err) == (0, "")
    head, *rows = csv.reader(io.StringIO(result.out))
    assert head == ["logits0", "logits1", "logits2"]
    assert np.array_equal(np.array(rows, np.float32), logits)


def test_arrays_are_written_as_they_are(zh: Callable, logits: np.ndarray) -> None:
    assert zh("predict", "runs/Pets-1", "in.csv", "-o", "out.npz") == (0, "wrote out.npz\n", "")
    with np.load("out.npz", allow_pickle=False) as found:
        assert found.files == ["logits"]
        assert np.array_equal(found["logits"], logits)
    first = Path("out.npz").read_bytes()
    zh("predict", "runs/Pets-1", "in.csv", "-o", "out.npz")
    assert Path("out.npz").read_bytes() == first


def test_a_csv_file_holds_what_would_be_printed(zh: Callable) -> None:
    zh("predict", "runs/Pets-1", "in.csv", "-o", "out.csv")
    assert Path("out.csv").read_text() == zh("predict", "runs/Pets-1", "in.csv").out


def test_the_largest_of_an_axis_is_named_by_its_class(zh: Callable, logits: np.ndarray) -> None:
    assert logits.argmax(1).tolist() == [0, 1, 2]
    result = zh("predict", "runs/Pets-1", "in.csv", "--argmax", "K")
    assert result.out == "logits,logits_name\n0,'=cat\n1,'@owl\n2,dog\n"
    zh("predict", "runs/Pets-1", "in.csv", "--argmax", "K", "-o", "out.npz")
    with np.load("out.npz", allow_pickle=False) as found:
        assert (found["logits"].dtype, found["logits"].tolist()) == (np.int32, [0, 1, 2])


def test_without_the_training_data_classes_are_numbers(zh: Callable) -> None:
    Path("pets.csv").rename("away.csv")
    try:
        assert zh("predict", "runs/Pets-1", "in.csv", "--argmax", "K") == (0, "logits\n0\n1\n2\n", "")
    finally:
        Path("away.csv").rename("pets.csv")


@pytest.mark.parametrize("text", [*NAMES, "+1", "-x", "\tx", "plain"])
def test_no_cell_of_text_is_a_formula(text: str) -> None:
    assert not text_cell(text).startswith(("=", "+", "-", "@", "\t"))
    assert text_cell(text).lstrip("'").endswith(text.strip())


def test_no_cell_of_text_moves_the_cursor() -> None:
    assert text_cell("a\x1b[2Jb\nc") == "a\\x1b[2Jb c"


def test_negative_numbers_stay_numbers(zh: Callable) -> None:
    Path("minus.zh").write_text("model Minus(x: [B]) -> (y: [B], positive: bool[B]) { return -x, x > 0 }\n")
    Path("one.csv").write_text("x\n1.5\n-2\n")
    assert zh("predict", "minus.zh", "one.csv") == (0, "y,positive\n-1.5,1\n2.0,0\n", "")


# ---------------------------------------------------------------- specs
NET = """\
model Net(x: [B, F=2]) -> y: [B, K=3] { return x -> Dense[3] }
model Whole(x: [B, F=2]) -> (mean: [F=2], twice: [B, F=2]) { return mean[B](x), 2 * x }
"""


def test_a_spec_runs_with_first_values_and_says_so(zh: Callable) -> None:
    Path("net.zh").write_text(NET)
    result = zh("predict", "net.zh", "in.npz", "--model", "Net")
    assert result.code == 0
    assert result.err == "note: net.zh is a spec: its 9 parameters have their first values\n"
    found = np.array(list(csv.reader(io.StringIO(result.out)))[1:], np.float32)
    assert np.array_equal(found, zhdsl.load("net.zh", "Net")(x=X))


def test_a_result_without_samples_needs_a_file_of_arrays(zh: Callable) -> None:
    Path("net.zh").write_text(NET)
    result = zh("predict", "net.zh", "in.npz", "--model", "Whole")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: mean[F] is not one row for each sample: write an .npz file with -o\n"
    assert zh("predict", "net.zh", "in.npz", "--model", "Whole", "-o", "out.npz").code == 0
    with np.load("out.npz", allow_pickle=False) as found:
        assert found["mean"].tolist() == [1.0, -1.0]
        assert np.array_equal(found["twice"], 2 * X)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["pets.zh", "in.csv"], 2, "error: pets.zh prepares its inputs with statistics of the training data"),
        (["gone", "in.csv"], 2, "error: there is no run and no weights file gone"),
        (["runs/Pets-1", "gone.csv"], 2, "error: there is no file gone.csv"),
        (["runs/Pets-1", "pets.zh"], 2, "error: pets.zh is no table: those end in .csv, .tsv, .npz, .npy"),
        (["runs/Pets-1", "in.csv", "-o", "out.txt"], 2, "error: out.txt: results are written to files that end in"),
        (["runs/Pets-1", "in.csv", "-o", "./in.csv"], 2, "error: ./in.csv is the input itself"),
        (["runs/Pets-1", "in.csv", "-o", "gone/out.csv"], 3, "error: cannot write gone/out.csv"),
        (
            ["runs/Pets-1", "in.csv", "--argmax", "Q"],
            2,
            "error: --argmax Q: no result has this axis; there is logits[B, K]",
        ),
        (["runs/Pets-1", "other.csv"], 4, "error: other.csv: it has 1 columns (u)"),
        (["runs/Pets-1", "other.npz"], 4, "error: other.npz: there is no array x\nhelp: it has u"),
        (["runs/Pets-1", "wide.npz"], 4, "error: x: [B, F=2]: shape [3, 3]: axis F has size 3, not 2"),
        (["runs/Pets-1", "damaged.npz"], 4, "error: damaged.npz: this is no whole .npz file"),
    ],
)
def test_wrong_use_is_told(args: list[str], code: int, says: str, zh: Callable) -> None:
    Path("other.csv").write_text("u\n1\n2\n")
    np.savez("other.npz", u=X)
    np.savez("wide.npz", x=np.ones((3, 3), np.float32))
    Path("damaged.npz").write_bytes(b"PK\x03\x04")
    result = zh("predict", *args)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
