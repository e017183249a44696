"""A checkpoint comes back as it was or not at all; the newest whole one of a run is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime import checkpoint, tensor_file
from zhdsl.runtime.checkpoint import BEST, LAST, PREVIOUS, Checkpoint, Record, keep, newest, read, require_same, write

RECORD = Record(
    {"a.zh": "model A …\n", "b.zh": ""}, "a.zh", "A", "float32", 1988, recipe="A", overrides={"D": 64, "on": True}
)
ARRAYS = {
    ("param", "dense.W"): np.arange(6, dtype=np.float32).reshape(2, 3),
    ("state", "norm.mu"): np.ones(2, np.float32),
    ("state", "optimizer.dense.W.v"): np.zeros((2, 3), np.float32),
}
SAVED = Checkpoint(ARRAYS, replace(RECORD, epoch=3, batch=7, step=1000, best=(0.25, 2), loss_sum=1 / 3, loss_count=9))


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "w.safetensors", SAVED)
    found = read(tmp_path / "w.safetensors")
    assert found.record == replace(SAVED.record, states=("norm.mu", "optimizer.dense.W.v"))
    assert found.arrays.keys() == ARRAYS.keys()
    assert all(np.array_equal(found.arrays[key], array) for key, array in ARRAYS.items())


def test_writing_again_what_was_read_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "w.safetensors", SAVED)
    assert checkpoint.encode(read(tmp_path / "w.safetensors")) == (tmp_path / "w.safetensors").read_bytes()


def test_one_name_for_a_parameter_and_a_state_is_refused() -> None:
    with pytest.raises(TrainingError, match="a is a parameter and a state"):
        checkpoint.encode(Checkpoint({("param", "a"): np.ones(1), ("state", "a"): np.ones(1)}, RECORD))


def tampered(tmp_path: Path, **changes: Any) -> Path:
    """A file whose hashes are right and whose record says something else; `None` takes a field out."""
    data = checkpoint.encode(SAVED)
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    arrays, note = tensor_file.read(path)
    record = {k: v for k, v in {**json.loads(note), **changes}.items() if v is not ...}
    path.write_bytes(tensor_file.encode(arrays, json.dumps(record)))
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2, "version": "9.9"}, "written by zhdsl 9.9, in format 2"),
        ({"format": ...}, "holds no record of a run"),
        ({"__class__": "os.system"}, "an unknown field '__class__'"),
        ({"epoch": ...}, "no field 'epoch'"),
        ({"epoch": "3"}, "'epoch' of its record is of the wrong kind"),
        ({"epoch": True}, "'epoch' of its record is of the wrong kind"),
        ({"best": [1, 2, 3]}, "'best' of its record is of the wrong kind"),
        ({"texts": {"a.zh": 7}}, "something else than texts"),
        ({"texts": {"a.zh": "model B"}}, "its spec has changed"),
        ({"root": "c.zh"}, "its spec has changed"),
        ({"model": "B"}, "its spec has changed"),
    ],
)
def test_a_record_is_taken_field_by_field_or_not_at_all(changes: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=says):
        read(tampered(tmp_path, **changes))


def test_the_spec_hash_depends_on_what_is_compiled_alone() -> None:
    assert replace(RECORD, epoch=5, seed=3, dtype="float64").spec_hash == RECORD.spec_hash
    changes: list[dict[str, Any]] = [{"texts": {"a.zh": ""}}, {"overrides": {}}, {"recipe": ""}, {"model": "B"}]
    for change in changes:
        assert replace(RECORD, **change).spec_hash != RECORD.spec_hash


def test_differences_are_listed_the_first_ten() -> None:
    arrays = {("param", f"p{i:02}"): np.ones(2, np.float32) for i in range(14)}
    expected = {key: ((3,), np.dtype("float32")) for key in arrays} | {("param", "a"): ((1,), np.dtype("int32"))}
    with pytest.raises(TrainingError) as caught:
        require_same(arrays, expected, "w.safetensors")
    lines = str(caught.value).splitlines()
    assert lines[0] == "w.safetensors: its arrays are not those of this model"
    assert lines[1] == "  a: nothing in the file, int32 [1] here"
    assert lines[2] == "  p00: float32 [2] in the file, float32 [3] here"
    assert lines[-1] == "  and 5 more"
    assert len(lines) == 12


def test_what_was_last_becomes_the_previous_one(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        keep(tmp_path, replace(SAVED, record=replace(RECORD, step=step)))
        assert read(tmp_path / LAST).record.step == step
    assert read(tmp_path / PREVIOUS).record.step == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [LAST, PREVIOUS]


def test_a_write_that_fails_keeps_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise BackendError("no space")

    keep(tmp_path, SAVED)
    for _ in range(2):
        monkeypatch.setattr(checkpoint, "write_whole", full)
        with pytest.raises(BackendError):
            keep(tmp_path, SAVED)
    monkeypatch.undo()
    assert newest(tmp_path)[0] is not None
    keep(tmp_path, replace(SAVED, record=replace(RECORD, step=5)))
    assert sorted(p.name for p in tmp_path.iterdir()) == [LAST, PREVIOUS]
    assert read(tmp_path / LAST).record.step == 5


def test_a_damaged_last_one_gives_way_to_the_previous(tmp_path: Path) -> None:
    for step in (1, 2):
        keep(tmp_path, replace(SAVED, record=replace(RECORD, step=step)))
    data = bytearray((tmp_path / LAST).read_bytes())
    data[-3] ^= 4
    (tmp_path / LAST).write_bytes(bytes(data))
    found, warnings = newest(tmp_path)
    assert found is not None
    assert found.record.step == 1
    assert len(warnings) == 1
    assert LAST in warnings[0]
    assert "has changed since it was written" in warnings[0]
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(TrainingError, match="no whole checkpoint is left"):
        newest(tmp_path)


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    (tmp_path / BEST).write_bytes(b"not looked at")
    assert newest(tmp_path) == (None, [])
