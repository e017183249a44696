"""A run is a function of spec, data and seed, wherever it is interrupted; and it says what went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from tests.train import runs
from tests.train.runs import bytes_of, model, run
from zhdsl.data import Arrays
from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime import checkpoint, files
from zhdsl.train.limits import Options, batch_size
from zhdsl.train.report import Silent


class Stop(Exception):
    """Ends a run as a power failure would."""


class StopAt(Silent):
    """Stops in the middle of a step."""

    def __init__(self, step: int):
        self.left = step

    def step(self, epoch: int, batch: int, loss: float) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop


class Heard(Silent):
    """Remembers notes and epochs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.epochs: list[Mapping[str, Any]] = []
        self.steps: list[float] = []
        self.ended = 0

    def step(self, epoch: int, batch: int, loss: float) -> None:
        self.steps.append(loss)

    def note(self, line: str) -> None:
        self.lines.append(line)

    def epoch(self, record: Mapping[str, Any], last: bool) -> None:
        self.epochs.append(record)

    def end(self) -> None:
        self.ended += 1


def stopped(folder: Path, at: int, **options: Any) -> None:
    with pytest.raises(Stop):
        run(folder, save_seconds=0, reporters=[StopAt(at)], **options)


# ---------------------------------------------------------------- what it does
def test_training_makes_the_loss_smaller_and_keeps_the_best_weights(tmp_path: Path) -> None:
    m = model()
    result = run(tmp_path / "r", m=m, epochs=12)
    assert result.history[0]["valid"]["loss"] > 1.5 * min(r["valid"]["loss"] for r in result.history)
    assert result.best is not None
    value, epoch = result.best
    assert value == min(r["valid"]["loss"] for r in result.history) == result.history[epoch - 1]["valid"]["loss"]
    assert m.evaluate("valid")["loss"] == value
    assert result.part == "test"
    assert m.evaluate("test") == dict(result.metrics)
    assert (result.epochs, result.steps, result.stopped) == (12, 72, "epochs")


def test_the_last_batch_is_smaller_and_weighs_less(tmp_path: Path) -> None:
    heard = Heard()
    result = run(None, epochs=1, reporters=[heard])  # 42 samples in batches of 8: the sixth has 2
    assert len(heard.steps) == 6
    assert result.history[0]["loss"] == pytest.approx(np.average(heard.steps, weights=[8] * 5 + [2]))


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        run(tmp_path / name, epochs=3)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    first, second = (run(None, m=model(seed=s), epochs=2).history for s in (1, 2))
    assert first[0]["loss"] != second[0]["loss"]


def test_no_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(None, epochs=1)
    assert result.folder is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_holds_what_is_promised(tmp_path: Path) -> None:
    run(tmp_path / "r", epochs=2)
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        *("spec.zh", "run.json", "metrics.jsonl", "timing.jsonl", "last.safetensors", "previous.safetensors"),
        *("best.safetensors", "result.json", "lock"),
    }
    assert (tmp_path / "r" / "spec.zh").read_text() == recipes.TEXT
    about = json.loads((tmp_path / "r" / "run.json").read_text())
    assert about["samples"] == {"train": 42, "valid": 9, "test": 9}
    assert (about["seed"], about["batch"], about["parameters"]) == (7, 8, 24)
    lines = (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert set(json.loads(lines[0])) == {"epoch", "step", "loss", "valid", "grad_norm", "rate", "best"}


def test_steps_can_be_given_instead_of_epochs() -> None:
    result = run(None, steps=8)
    assert (result.epochs, result.steps, result.stopped) == (2, 8, "steps")
    assert [r["step"] for r in result.history] == [6, 8]


def test_no_epochs_at_all_measure_the_first_weights() -> None:
    m = model()
    before = m.evaluate("test")
    result = run(None, m=m, epochs=0)
    assert (result.steps, result.best) == (0, None)
    assert dict(result.metrics) == before


def test_a_second_fit_begins_with_the_weights_of_the_first() -> None:
    m = model(noise=False)
    first = run(None, m=m, epochs=20)
    second = run(None, m=m, epochs=1)
    assert second.history[0]["loss"] < first.history[0]["loss"] / 2


def test_a_frozen_parameter_stays_as_it_is() -> None:
    m = model(frozen=frozenset({"first.W"}))
    before = {path: array.copy() for path, array in m.params.items()}
    run(None, m=m, epochs=1)
    assert np.array_equal(m.params["first.W"], before["first.W"])
    assert not np.array_equal(m.params["second.W"], before["second.W"])


def test_data_can_be_given() -> None:
    x = np.linspace(-1, 1, 90).reshape(30, 3)
    m = model()
    result = run(None, m=m, data={"x": x, "y": x[:, :2]}, epochs=1)
    assert result.steps == 3
    assert m.evaluate(data={"x": x, "y": x[:, :2]})["loss"] > 0
    with pytest.raises(TrainingError, match="the data have fields x, y; x are given"):
        run(None, data={"x": x})


def test_expectations_decide_the_exit_code(tmp_path: Path) -> None:
    expect = (("near", ">=", 0.1, recipes.HERE), ("loss", "<", 0.0, recipes.HERE))
    result = run(tmp_path / "r", m=model(expect=expect), epochs=1)
    assert [e.holds for e in result.expectations] == [True, False]
    assert (result.holds, result.exit_code) == (False, 1)
    assert "line.zh:1:1: expected loss < 0: it is 0." in str(result)
    written = json.loads((tmp_path / "r" / "result.json").read_text())
    assert [e["holds"] for e in written["expectations"]] == [True, False]
    assert replace(result, expectations=result.expectations[:1]).exit_code == 0


def test_early_stopping_waits_for_its_patience() -> None:
    stop = {"metric": "loss", "mode": "max", "patience": 3, "delta": 0.0}  # it never becomes better than the first
    result = run(None, m=model(stop=stop, noise=False), epochs=50)
    assert result.stopped == "early_stop"
    assert result.best is not None
    assert result.epochs == result.best[1] + 3 < 50


def test_early_stopping_counts_on_after_an_interruption(tmp_path: Path) -> None:
    stop = {"metric": "loss", "mode": "max", "patience": 3, "delta": 0.0}

    def patient() -> Any:
        return model(stop=stop, noise=False)

    run(tmp_path / "a", m=patient(), epochs=50)
    stopped(tmp_path / "b", 20, m=patient(), epochs=50)
    run(tmp_path / "b", resume=True, m=patient(), epochs=50)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_many_epochs_are_not_all_measured() -> None:
    heard = Heard()
    result = run(None, epochs=20, every=7, reporters=[heard])
    assert [r["epoch"] for r in result.history] == [7, 14, 20] == [r["epoch"] for r in heard.epochs]
    assert heard.ended == 1


# ---------------------------------------------------------------- going on
@pytest.mark.parametrize("at", [0, 1, 5, 6, 7, 12, 17])
def test_a_run_that_was_cut_off_ends_in_the_same_bytes(at: int, tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=3)
    stopped(tmp_path / "b", at, epochs=3)
    run(tmp_path / "b", resume=True, epochs=3)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_run_that_was_cut_off_again_and_again_ends_in_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=3)
    stopped(tmp_path / "b", 1, epochs=3)
    for _ in range(12):
        with pytest.raises(Stop):
            run(tmp_path / "b", resume=True, epochs=3, save_seconds=0, reporters=[StopAt(1)])
    run(tmp_path / "b", resume=True, epochs=3)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_run_that_is_over_stays_as_it_is(tmp_path: Path) -> None:
    first = run(tmp_path / "a", epochs=2)
    before = bytes_of(tmp_path / "a")
    again = run(tmp_path / "a", resume=True, epochs=2)
    assert bytes_of(tmp_path / "a") == before
    assert (again.metrics, again.history, again.best) == (first.metrics, first.history, first.best)


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=4)
    run(tmp_path / "b", epochs=2)
    run(tmp_path / "b", resume=True, epochs=4)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_folder_with_a_run_in_it_is_not_written_over(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=1)
    before = bytes_of(tmp_path / "a")
    with pytest.raises(TrainingError, match=r"there is a run in .*\nhelp: resume it"):
        run(tmp_path / "a", epochs=1)
    assert bytes_of(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (lambda: model(seed=8), "the seed"),
        (lambda: model(text="model Other"), "the spec"),
        (lambda: model(data=replace(recipes.recipe().data, statics={"count": 50})), "the data"),
    ],
)
def test_another_run_does_not_go_on_with_this_one(other: Any, says: str, tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=1)
    with pytest.raises(TrainingError, match=f"{says} changed since this run began"):
        run(tmp_path / "a", resume=True, m=other(), epochs=2)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=3)
    stopped(tmp_path / "b", 9, epochs=3)
    data = bytearray((tmp_path / "b" / "last.safetensors").read_bytes())
    data[-10] ^= 1
    (tmp_path / "b" / "last.safetensors").write_bytes(bytes(data))
    heard = Heard()
    run(tmp_path / "b", resume=True, epochs=3, reporters=[heard])
    assert any("last.safetensors" in line and "the checkpoint before it is used" in line for line in heard.lines)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_lost_best_weights_are_told_and_found_anew(tmp_path: Path) -> None:
    stopped(tmp_path / "b", 9, epochs=3)
    (tmp_path / "b" / "best.safetensors").write_bytes(b"")
    heard = Heard()
    result = run(tmp_path / "b", resume=True, epochs=3, reporters=[heard])
    assert any("the best weights so far are lost" in line for line in heard.lines)
    assert result.best is not None
    assert result.best[1] > 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    stopped(tmp_path / "b", 3, epochs=2)
    (tmp_path / "b" / ".zh-0123456789abcdef.tmp").write_bytes(b"half")
    run(tmp_path / "b", resume=True, epochs=2)
    assert not list((tmp_path / "b").glob(".zh-*"))


def test_metrics_that_were_cut_by_hand_are_noticed(tmp_path: Path) -> None:
    stopped(tmp_path / "b", 9, epochs=3)
    (tmp_path / "b" / "metrics.jsonl").write_text("")
    with pytest.raises(TrainingError, match="it was changed by hand"):
        run(tmp_path / "b", resume=True, epochs=3)


def test_best_weights_that_are_newer_than_the_last_checkpoint_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "a", epochs=4)

    def cut(folder: Path, found: checkpoint.Checkpoint) -> None:
        if found.record.epoch == 2:  # the second epoch is over: the best weights are written, the state is not
            raise Stop
        keep(folder, found)

    keep = checkpoint.keep
    monkeypatch.setattr(checkpoint, "keep", cut)
    with pytest.raises(Stop):
        run(tmp_path / "b", epochs=4, save_seconds=0)
    monkeypatch.undo()
    best, last = (checkpoint.read(tmp_path / "b" / name).record for name in ("best.safetensors", "last.safetensors"))
    assert last.best is not None
    assert (best.epoch, last.epoch, last.best[1]) == (2, 1, 1)
    run(tmp_path / "b", resume=True, epochs=4)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


# ---------------------------------------------------------------- faults
def exploding(step: int) -> Any:
    """A model whose learning rate is so high, from some epoch on, that the loss overflows."""
    from zhdsl.ir.graph import Port, close
    from zhdsl.ir.node import Builder, apply

    with Builder() as b:
        epoch = recipes.counter("epoch")
        high = apply("lt", apply("const", value=step - 1, dtype="i32"), epoch.node)
        rate = apply("where", high, recipes.number(1e30), recipes.number(1.0))
        schedule = close("schedule", (epoch,), (Port("rate", rate, (), "result"),), b)
    return model(rate=schedule, clip={})


def test_a_loss_that_is_not_finite_names_step_value_and_place(tmp_path: Path) -> None:
    m = exploding(2)
    heard = Heard()
    with pytest.raises(TrainingError) as caught:
        run(tmp_path / "r", m=m, epochs=5, save_seconds=60, reporters=[heard])
    text = str(caught.value)
    assert text.startswith("step 13 (epoch 3, batch 2): the loss is ")
    assert " gives " in text
    assert "not finite, from line.zh:1:1" in text
    assert any("looking for the first value" in line for line in heard.lines)
    kept = checkpoint.newest(tmp_path / "r")[0]
    assert kept is not None
    assert all(np.array_equal(m.arrays[key], array) for key, array in kept.arrays.items())
    assert all(np.isfinite(array).all() for array in m.arrays.values())


def test_without_a_folder_the_step_is_named_at_least() -> None:
    with pytest.raises(TrainingError, match=r"step 13 \(epoch 3, batch 2\): the loss is"):
        run(None, m=exploding(2), epochs=5)


def test_a_save_that_fails_is_told_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, write = Heard(), files.write_whole
    failing = iter([False, True, True, False])

    def sometimes(*args: Any) -> None:
        if next(failing, False):
            raise BackendError("cannot write: No space left on device (9 bytes needed, 0 free)")
        write(*args)

    monkeypatch.setattr(checkpoint, "write_whole", sometimes)
    run(tmp_path / "b", epochs=3, save_seconds=0, reporters=[heard])
    monkeypatch.undo()
    warnings = [line for line in heard.lines if line.startswith("warning: cannot write")]
    assert len(warnings) == 2
    assert warnings[0].endswith("training goes on, the last checkpoint is kept")
    run(tmp_path / "a", epochs=3)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_last_save_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "a", epochs=1)
    before = bytes_of(tmp_path / "a")

    def full(*args: Any) -> None:
        raise BackendError("no space")

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.raises(BackendError, match="no space"):
        run(tmp_path / "a", resume=True, epochs=2, save_seconds=60)
    monkeypatch.undo()
    assert checkpoint.read(tmp_path / "a" / "last.safetensors").record.epoch == 1
    assert before["last.safetensors"] == (tmp_path / "a" / "last.safetensors").read_bytes()


def test_too_little_memory_is_the_machines_fault_and_says_how_large_the_batch_was() -> None:
    class Hungry(Silent):
        def begin(self, name: str, epochs: int, batches: int) -> None:
            def run(_: Any) -> Any:
                raise MemoryError

            m._compiled["Line.step"].run = run  # type: ignore[method-assign, assignment]

    m = model()
    with pytest.raises(
        BackendError, match=r"step 0: not enough memory for a batch of 8 samples\nhelp: write a smaller"
    ):
        run(None, m=m, reporters=[Hungry()])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 1, "steps": 1}, "both given"),
        ({"epochs": -1}, "epochs = -1"),
        ({"every": 0}, "every = 0"),
        ({"save_seconds": -1.0}, "save_seconds = -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        Options(**options)


@pytest.mark.parametrize(
    ("shape", "kind", "size"), [((5, 12), np.int32, 4), ((5, 12), np.float32, 4), ((5, 99), np.int32, 1)]
)
def test_a_batch_of_tokens_takes_as_many_samples_as_have_them(shape: Any, kind: Any, size: int) -> None:
    part = Arrays({"ids": np.zeros(shape, kind), "label": np.zeros(5, np.int32)[:, None]}, "")
    wanted = size if kind is np.int32 else 50  # integer fields are what tokens are; the label is one
    assert batch_size(recipes.recipe(batch=("tokens", 50)), part) == wanted


def test_the_processes_of_the_fault_tests_do_the_same_as_these(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=4)
    process = runs.start(tmp_path / "b")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
