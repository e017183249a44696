"""`zh train` makes a run that tells what it learns, can be stopped and goes on, and fails in clear words."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.pets import SPEC, write_pets


@pytest.fixture(autouse=True)
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pets(tmp_path)


def about(run: str) -> dict:
    return json.loads(Path(run, "run.json").read_text())


def test_a_run_is_told_from_its_data_to_how_to_use_it(zh: Callable) -> None:
    result = zh("train", "pets.zh")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "Pets: 27 parameters, float32 on numpy, seed 0, in runs/Pets-1"
    assert lines[1] == "train: 42, valid: 9, test: 9 samples"
    assert lines[2] == "classes to learn: =cat: 14, @owl: 14, dog: 14"
    assert any(line.startswith("epoch 4/4  loss ") and "valid: loss " in line for line in lines)
    assert lines[-3].startswith("4 epochs, 12 steps; on the test part: loss ")
    assert lines[-2].startswith("the run is in runs/Pets-1, its best weights are of epoch ")
    assert lines[-1] == "next: zh eval runs/Pets-1, or zh predict runs/Pets-1 INPUT.csv"
    assert {"best.safetensors", "last.safetensors", "metrics.jsonl", "spec.zh"} <= {
        p.name for p in Path("runs/Pets-1").iterdir()
    }


def test_each_run_has_a_folder_of_its_own(zh: Callable) -> None:
    for number in (1, 2):
        assert f"the run is in there/Pets-{number}" in zh("train", "pets.zh", "--epochs", "1", "--out", "there").out
    same = ("last.safetensors", "metrics.jsonl")
    assert all(Path("there/Pets-1", name).read_bytes() == Path("there/Pets-2", name).read_bytes() for name in same)


def test_options_are_taken(zh: Callable) -> None:
    args = ["--set", "N=5", "--seed", "7", "--steps", "2", "--dtype", "float64", "--device", "reference"]
    result = zh("train", "pets.zh", *args)
    assert result.code == 0
    assert result.out.startswith("Pets: 33 parameters, float64 on reference, seed 7, in runs/Pets-1")
    assert "1 epochs, 2 steps" in result.out
    found = about("runs/Pets-1")
    assert (found["set"], found["seed"], found["dtype"]) == ({"N": 5}, 7, "float64")


def test_quiet_prints_only_what_came_of_it(zh: Callable) -> None:
    lines = zh("train", "pets.zh", "--epochs", "1", "--quiet").out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1 epochs, 3 steps; on the test part: ")


@pytest.mark.parametrize(
    ("expect", "code", "says"), [("loss < 100", 0, "holds"), ("acc > 2", 1, "expected acc > 2: it is ")]
)
def test_an_expectation_decides_the_exit_code(expect: str, code: int, says: str, zh: Callable) -> None:
    Path("pets.zh").write_text(SPEC.replace("  epochs    = 4\n", f"  epochs = 1\n  expect = {expect}\n"))
    result = zh("train", "pets.zh")
    assert result.code == code
    assert says in result.out


# ---------------------------------------------------------------- going on
def test_a_run_goes_on_with_its_own_settings(zh: Callable) -> None:
    zh("train", "pets.zh", "--set", "N=5", "--seed", "3", "--epochs", "2")
    Path("pets.zh").rename("moved.zh")
    result = zh("train", "--resume", "runs/Pets-1", "--epochs", "4")
    Path("moved.zh").rename("pets.zh")
    assert (result.code, result.err) == (0, "")
    assert "going on after 6 steps, in epoch 3" in result.out
    zh("train", "pets.zh", "--set", "N=5", "--seed", "3", "--epochs", "4", "--out", "whole")
    assert Path("runs/Pets-1/metrics.jsonl").read_bytes() == Path("whole/Pets-1/metrics.jsonl").read_bytes()
    assert Path("runs/Pets-1/best.safetensors").read_bytes() == Path("whole/Pets-1/best.safetensors").read_bytes()


def test_a_spec_that_changed_is_another_run(zh: Callable) -> None:
    zh("train", "pets.zh", "--epochs", "1")
    assert zh("train", "pets.zh", "--resume", "runs/Pets-1", "--epochs", "2").code == 0
    Path("pets.zh").write_text(SPEC.replace("lr = 0.1", "lr = 0.2"))
    result = zh("train", "pets.zh", "--resume", "runs/Pets-1")
    assert result.code == 4
    assert "error: runs/Pets-1: the spec changed since this run began" in result.err


def test_another_seed_is_another_run(zh: Callable) -> None:
    zh("train", "pets.zh", "--epochs", "1")
    result = zh("train", "pets.zh", "--resume", "runs/Pets-1", "--seed", "3")
    assert result.code == 4
    assert "error: runs/Pets-1: the seed changed since this run began" in result.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_goes_on_with_the_command_it_names(
    number: signal.Signals, code: int, process: Callable, zh: Callable
) -> None:
    # a shell that starts the tests in the background has them, and their children, ignore interrupts
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    default = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    with process("train", "pets.zh", "--epochs", "100000", **pipes, **default) as ran:
        log = Path("runs/Pets-1/metrics.jsonl")
        deadline = time.monotonic() + 60
        while (not log.exists() or not log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        ran.send_signal(number)
        out, err = ran.communicate()
    assert (ran.returncode, err) == (code, "interrupted\n" if code == 130 else "")
    assert "saved in runs/Pets-1" in out
    command = shlex.split(out.splitlines()[-1].removeprefix("go on with: "))
    assert command == ["zh", "train", "--resume", "runs/Pets-1", "--epochs", "100000"]
    result = zh(*command[1:-1], "1")
    assert result.code == 0
    assert "going on after" in result.out


# ---------------------------------------------------------------- what is wrong
@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["gone.zh"], 1, "there is no file gone.zh"),
        (["none.zh"], 2, "error: none.zh has no recipe: write `train M { … }` for its model"),
        (["two.zh"], 2, "error: two.zh has several recipes: choose one with --recipe: Pets, quick"),
        (["pets.zh", "--recipe", "Petz"], 2, "error: pets.zh has no recipe Petz: did you mean Pets?"),
        (["pets.zh", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["pets.zh", "--epochs", "0"], 2, "Invalid value for '--epochs'"),
        (["pets.zh", "--steps", "0"], 2, "Invalid value for '--steps'"),
        (["pets.zh", "--epochs", "1", "--steps", "1"], 2, "--epochs and --steps exclude each other"),
        ([], 2, "Missing argument 'SPEC'"),
        (["pets.zh", "--out", "a", "--resume", "b"], 2, "a run that goes on keeps its folder, its recipe"),
        (["--set", "N=3", "--resume", "b"], 2, "a run that goes on keeps its folder, its recipe"),
        (["pets.zh", "--dtype", "float16"], 2, "'float16' is not one of"),
        (["pets.zh", "--device", "tpu"], 3, "error: device tpu: there is no such device"),
        (["pets.zh", "--out", "pets.csv"], 3, "error: cannot make a folder in pets.csv"),
        (["pets.zh", "--resume", "gone"], 2, "error: there is no run in gone to go on with"),
        (["pets.zh", "--set", "M=3"], 1, "the spec has no `const M`"),
        (["w.safetensors"], 2, "error: w.safetensors is a weights file; a .zh file is wanted here"),
        (["run"], 2, "error: run is the folder of a run; its spec is run/spec.zh"),
        (["."], 2, "error: . is a folder; a .zh file is wanted here"),
    ],
)
def test_wrong_use_is_told_and_leaves_nothing(args: list[str], code: int, says: str, zh: Callable) -> None:
    Path("none.zh").write_text("model M(x: [B]) -> y: [B] { return x }\n")
    Path("two.zh").write_text(SPEC + SPEC[SPEC.index("train") :].replace("train Pets", "train Pets as quick"))
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    before = sorted(Path().rglob("*"))
    result = zh("train", *args)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert sorted(Path().rglob("*")) == before


def test_data_that_are_missing_leave_no_run(zh: Callable) -> None:
    Path("pets.csv").rename("petz.csv")
    result = zh("train", "pets.zh")
    assert result.code == 4
    assert "pets.csv: there is no such file\nhelp: did you mean `petz.csv`?" in result.err
    assert list(Path("runs").iterdir()) == []


def test_a_loss_that_is_not_finite_ends_the_run_with_its_cause(zh: Callable) -> None:
    Path("pets.zh").write_text(SPEC.replace("cross_entropy[K](logits, kind)", "mean[B, K](log(-logits ^ 2))"))
    result = zh("train", "pets.zh")
    assert result.code == 4
    assert "the loss is nan" in result.err
    assert "pets.zh:12:" in result.err
