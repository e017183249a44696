"""Data are cut as documented, the same way every time, and checked against what the recipe declares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from tests.train.line_data import line
from zhdsl import data
from zhdsl.data import Arrays
from zhdsl.errors import TrainingError
from zhdsl.ir.node import Builder
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang.model import DatasetUse, Guard
from zhdsl.train.parts import Parts, listed, parts_of

HERE = Path()


def parts(folder: Path = HERE, seed: int = 0, dtype: str = "float32", **changed: Any) -> Parts:
    return parts_of(recipes.recipe(**changed), folder, seed, dtype)


def use(name: str = "line_of_the_tests", **statics: Any) -> DatasetUse:
    return replace(recipes.recipe().data, name=name, statics=statics)


def with_splits(*names: str) -> DatasetUse:
    """A data set of 60 samples with ready parts of 20 each."""
    name = "ready_" + "_".join(names)
    if name not in data.known():
        at = {part: np.arange(20 * i, 20 * i + 20) for i, part in enumerate(names)}
        data.dataset(name)(lambda: replace(line(20 * len(names)), splits=at))
    return use(name)


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({}, {"train": 42, "valid": 9, "test": 9}),
        ({"valid": 0.5}, {"train": 26, "valid": 25, "test": 9}),
        ({"valid": 0.0}, {"train": 60}),
        ({"batch": "all"}, {"train": 60}),
        ({"batch": "all", "valid": 0.5}, {"train": 26, "valid": 25, "test": 9}),
        ({"data": use(count=19)}, {"train": 19}),
        ({"valid": use(count=30)}, {"train": 60, "valid": 30}),
        ({"data": with_splits("train", "test")}, {"train": 17, "valid": 3, "test": 20}),
        ({"data": with_splits("train", "test"), "valid": 0.5}, {"train": 10, "valid": 10, "test": 20}),
        ({"data": with_splits("train", "valid", "test")}, {"train": 20, "valid": 20, "test": 20}),
        ({"data": with_splits("train", "test"), "valid": use(count=30)}, {"train": 20, "valid": 30, "test": 20}),
    ],
)
def test_data_are_cut_as_documented(changed: Any, counts: dict[str, int]) -> None:
    assert parts(**changed).counts == counts


def test_the_cut_depends_on_the_seed_and_covers_everything() -> None:
    first, again, other = parts(seed=1), parts(seed=1), parts(seed=2)
    assert data.fingerprint(first.test or first.train) == data.fingerprint(again.test or again.train)
    assert data.fingerprint(first.test or first.train) != data.fingerprint(other.test or other.train)
    assert first.fingerprint == other.fingerprint
    together = np.concatenate([part.fields["x"] for part in first.named.values()])
    assert sorted(map(tuple, together)) == sorted(map(tuple, line().fields["x"]))


def test_the_best_weights_are_never_chosen_on_the_test_part() -> None:
    assert parts().watched[0] == "valid"
    assert parts().final[0] == "test"
    assert parts(valid=0.0).watched[0] == parts(valid=0.0).final[0] == "train"
    assert any("weights are compared on the training data" in line for line in parts(valid=0.0).notes)


def test_fields_come_in_the_floats_of_the_program() -> None:
    assert parts(dtype="float64").train.fields["x"].dtype == np.float64
    assert parts().train.fields["x"].dtype == np.float32


def test_a_file_that_the_spec_declares_is_read_from_its_folder(tmp_path: Path) -> None:
    rows = ["a,b,c,d,e", *(f"{i},{i + 1},{i + 2},{i % 2},{i % 3}" for i in range(30))]
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n")
    found = parts(tmp_path, data=use("mine", file="d.csv"), valid=0.0)
    assert found.train.fields["x"].shape == (30, 3)
    assert found.train.fields["y"][1].tolist() == [1, 1]
    with pytest.raises(TrainingError, match="the path leaves the folder"):
        parts(tmp_path, data=use("mine", file="../d.csv"))


def test_data_that_are_not_what_is_declared_are_refused() -> None:
    name = "wide_line"
    if name not in data.known():
        data.dataset(name)(lambda: Arrays({"x": np.ones((30, 4)), "y": np.ones((30, 2))}, ""))
    with pytest.raises(TrainingError, match=r"field `x`: one array of shape \[30, 4\], \[B, 3\] is declared"):
        parts(data=use(name))
    with pytest.raises(TrainingError, match="did you mean `line_of_the_tests`"):
        parts(data=use("line_of_the_test"))


def test_guards_are_checked_as_soon_as_the_data_are_there() -> None:
    guard = Guard(Size.of("T"), "<=", Size.of(8), recipes.HERE, "T <= 8")
    long = Type("float", (("B", Size.of("B")), ("T", Size.of("T"))))
    with Builder():
        port = recipes.port("x", long, ("B", "T"))
    declared = DatasetUse("long_line", {}, (port,), recipes.HERE)
    if "long_line" not in data.known():
        data.dataset("long_line")(lambda: Arrays({"x": np.ones((30, 9), np.float32)}, ""))
    with pytest.raises(TrainingError, match="T <= 8 does not hold for T = 9"):
        parts(data=declared, guards=(guard,))
    batch = Guard(Size.of("B"), "<=", Size.of(8), recipes.HERE, "B <= 8")  # of a batch, not of the whole
    assert parts(data=declared, guards=(batch,)).counts["train"] == 21


def test_a_test_sample_that_was_trained_on_is_told() -> None:
    name = "twice_the_line"
    if name not in data.known():
        half = line(30).fields
        data.dataset(name)(lambda: Arrays({k: np.concatenate([v, v]) for k, v in half.items()}, ""))
    assert any("are in `train` too" in line for line in parts(data=use(name)).notes)


def test_of_many_classes_the_first_are_told() -> None:
    assert listed({"cat": 1200, "a\x1b": 3}) == "cat: 1,200, a\N{REPLACEMENT CHARACTER}: 3"
    assert listed({str(k): 1 for k in range(30)}).endswith("19: 1, … of 30")
