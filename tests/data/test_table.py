"""`read_table`: a declared data set from a file of the user, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import read_table
from zhdsl.data.arrays import Fields
from zhdsl.errors import TrainingError

FIELDS: Fields = {"x": ((2,), "float"), "y": ((), "i32")}


def test_npz_and_csv_and_tsv_give_the_same_arrays(tmp_path: Path) -> None:
    x, y = np.array([[1, 2], [3, 4]]), np.array([1, 0])
    np.savez(tmp_path / "t.npz", x=np.asfortranarray(x.astype(">f8")), y=y, unused=np.array([None]))
    (tmp_path / "t.csv").write_text("x0,x1,y\n1,2,1\n3,4,0\n")
    (tmp_path / "t.TSV").write_text("x0\tx1\ty\n1\t2\t1\n3\t4\t0\n")
    for name in ("t.npz", "t.csv", "t.TSV"):
        arrays = read_table(name, FIELDS, tmp_path)
        assert arrays.fields["x"].tolist() == x.tolist()
        assert arrays.fields["y"].tolist() == y.tolist()
        assert arrays.attribution == f"file {name}"


def test_an_npy_file_is_the_only_field(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    assert read_table("x.npy", {"x": ((2,), "float")}, tmp_path).size == 3
    with pytest.raises(TrainingError, match="holds one array, 2 fields"):
        read_table("x.npy", FIELDS, tmp_path)
    np.save(tmp_path / "zero.npy", np.float32(1))
    with pytest.raises(TrainingError, match=r"zero\.npy, field `x`: it is one number"):
        read_table("zero.npy", {"x": ((2,), "float")}, tmp_path)


def test_arrays_that_do_not_fit_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), label=np.zeros(3))
    with pytest.raises(TrainingError, match=r"a\.npz: there is no array `y`; there are `label`, `x`"):
        read_table("a.npz", FIELDS, tmp_path)
    np.savez(tmp_path / "b.npz", x=np.ones((3, 2)), y=np.zeros((3, 1)))
    with pytest.raises(TrainingError, match=r"b.npz, field `y`: one array of shape \[3, 1\], \[B\] is declared"):
        read_table("b.npz", FIELDS, tmp_path)
    np.savez(tmp_path / "c.npz", x=np.ones((3, 2)), y=np.zeros(4))
    with pytest.raises(TrainingError, match=r"file c\.npz: .*x: 3, y: 4"):
        read_table("c.npz", FIELDS, tmp_path)


@pytest.mark.parametrize("name", ["data.pkl", "data", "data.xlsx"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingError, match=r"use one of \.npz, \.npy, \.csv, \.tsv"):
        read_table(name, FIELDS, tmp_path)


def test_a_table_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2,3\n")
    (tmp_path / "home").mkdir()
    with pytest.raises(TrainingError, match="leaves the folder"):
        read_table("../t.csv", FIELDS, tmp_path / "home")
