"""Lines can be cut back to a checkpoint; texts and facts of a run are written whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from zhdsl.errors import BackendError, TrainingError
from zhdsl.train.run_folder import Lines, describe, lines_of, locked, new_folder, write_json


def test_lines_are_cut_back_to_where_a_checkpoint_was(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "m")
    lines.append({"epoch": 1})
    at = lines.size
    lines.append({"epoch": 2, "text": "≤"})
    lines.close()
    with (tmp_path / "m").open("a") as file:
        file.write('{"epoch": 3, "ha')  # a writer that was killed
    again = Lines(tmp_path / "m", at)
    again.append({"epoch": 2})
    again.sync()
    again.close()
    assert lines_of(tmp_path / "m") == [{"epoch": 1}, {"epoch": 2}]
    assert (tmp_path / "m").stat().st_size == again.size


def test_lines_can_be_kept_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "m").write_text('{"a": 1}\n')
    lines = Lines(tmp_path / "m", None)
    lines.append({"a": 2})
    lines.close()
    assert lines_of(tmp_path / "m") == [{"a": 1}, {"a": 2}]


def test_lines_that_are_missing_or_no_records_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("hello\n")
    with pytest.raises(TrainingError, match="the checkpoint knows of 100"):
        Lines(tmp_path / "m", 100)
    with pytest.raises(TrainingError, match="no list of records"):
        lines_of(tmp_path / "m")
    with pytest.raises(BackendError, match="cannot write"):
        Lines(tmp_path / "gone" / "m")
    assert len(os.listdir("/proc/self/fd")) < 200


def test_what_json_cannot_hold_is_never_written(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "m")
    with pytest.raises(ValueError, match="Out of range float"):
        lines.append({"loss": float("nan")})
    lines.close()
    assert (tmp_path / "m").read_text() == ""


def test_a_run_is_described_with_all_its_texts(tmp_path: Path) -> None:
    describe(tmp_path, {"a.zh": 'use "lib/b.zh"\r\n', "lib/b.zh": "# b\n"}, "a.zh", {"seed": 3})
    assert (tmp_path / "spec.zh").read_bytes() == b'use "lib/b.zh"\r\n'
    assert (tmp_path / "uses" / "lib" / "b.zh").read_text() == "# b\n"
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["seed"] == 3
    assert {"zhdsl", "python", "numpy", "platform", "host"} <= about.keys()
    write_json(tmp_path / "x.json", {"b": 1, "a": "≤"})
    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": "≤"\n}\n'


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"cannot make a folder in .*file"):
        new_folder(tmp_path / "file", "M")
    with pytest.raises(BackendError, match=r"cannot write to .*file"), locked(tmp_path / "file" / "x"):
        pass


def test_one_process_locks_a_folder_once(tmp_path: Path) -> None:
    refused = pytest.raises(TrainingError, match="is being written by process")
    with locked(tmp_path / "r"), refused, locked(tmp_path / "r"):
        pass
    with locked(tmp_path / "r"):
        pass
