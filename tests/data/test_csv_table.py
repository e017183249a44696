"""CSV: headers, columns, kinds, and the line and column of every error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.data.arrays import Arrays, Fields
from zhdsl.data.csv_table import read_csv
from zhdsl.errors import TrainingError

XY: Fields = {"x": ((2,), "float"), "y": ((), "i32")}


def read(text: str, fields: Fields = XY, header: bool | None = None) -> Arrays:
    return read_csv(text.encode(), "t.csv", fields, header)


@pytest.mark.parametrize(
    "text",
    [
        "x0,x1,y\n1,2,3\n4,5,6\n",
        "1,2,3\n4,5,6",
        "y,x1,x0\n3,2,1\n6,5,4\n",
        "y,x2,extra,x1\n3,2,9,1\n6,5,9,4\n",
        "Y;X_0;X_1\n3;1;2\n6;4;5\n",
        "x.0\tx.1\ty\r\n1\t2\t3\r\n\r\n4\t5\t6\r\n",
        "\ufeffx0,x1,y\r1,2,3\r4,5,6\r",
        '"x0", "x1", "y"\n"1", "2", "3"\n4.0,5e0,+6\n',
        "width,height,kind\n1,2,3\n4,5,6\n",
    ],
)
def test_columns_are_found_by_header_or_in_order(text: str) -> None:
    arrays = read(text)
    assert arrays.fields["x"].tolist() == [[1, 2], [4, 5]]
    assert arrays.fields["y"].tolist() == [3, 6]
    assert arrays.fields["x"].dtype == np.float32
    assert arrays.fields["y"].dtype == np.int32


def test_columns_taken_in_order_in_spite_of_a_header_are_reported() -> None:
    assert read("a,b,c\n1,2,3\n").attribution == "file t.csv; columns in order: x = a b, y = c"
    assert read("x0,x1,y\n1,2,3\n").attribution == read("1,2,3\n").attribution == "file t.csv"


def test_one_row_of_numbers_is_data_and_one_row_of_names_is_a_header() -> None:
    assert read("1,2,3").size == 1
    with pytest.raises(TrainingError, match=r"t\.csv:1: it has a header and no rows"):
        read("x0,x1,y\n")
    with pytest.raises(TrainingError, match="a header and no rows"):
        read("1,2,3", header=True)


def test_text_labels_are_numbered_alphabetically_and_reported() -> None:
    arrays = read("5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,setosa\n")
    assert arrays.fields["y"].tolist() == [0, 1, 0]
    assert arrays.names == {"y": ("setosa", "versicolor")}


def test_a_title_above_text_labels_is_a_header_if_it_names_a_field_or_stands_over_numbers() -> None:
    only: Fields = {"y": ((), "i32")}
    assert read("y\ncat\ndog\n", only).names["y"] == ("cat", "dog")
    assert read("cat\ndog\ncat\n", only).fields["y"].tolist() == [0, 1, 0]
    assert read("a,b,species\n1,2,cat\n", XY).names["y"] == ("cat",)


def test_truth_values_and_single_numbers_and_matrices() -> None:
    fields: Fields = {"m": ((2, 2), "float"), "one": ((1,), "float"), "t": ((), "bool")}
    arrays = read("m0,m1,m2,m3,one,t\n1,2,3,4,5,true\n5,6,7,8,9,0\n", fields)
    assert arrays.fields["m"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert arrays.fields["one"].shape == (2, 1)
    assert arrays.fields["t"].tolist() == [True, False]


def test_quoted_cells_may_hold_commas_line_ends_and_quotes() -> None:
    arrays = read('x0,x1,y\n1,2,"a, ""b""\nc"\n3,4,d\n')
    assert arrays.names["y"] == ('a, "b"\nc', "d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: it is empty"),
        ("\n\n", "it is empty"),
        ("x0,x1,y\n1,2\n", "t.csv:2: this row has 2 cells, the first one has 3"),
        ("x0,x1,y\n1,2,3\n\n4,5,6,7\n", "t.csv:4: this row has 4 cells"),
        ("x0,x1,y\n1,,3\n", r"t.csv:2, column 2 \(`x1`\): the value is missing"),
        ("x0,x1,y\n1,2,3\n1,NaN,3\n", r"t.csv:3, column 2 \(`x1`\): the value is missing"),
        ("x0,x1,y\n1,inf,3\n", "`inf` is not a finite number"),
        ("x0,x1,y\n1,1e999,3\n", "`1e999` is not a finite number"),
        ("x0,x1,y\n1,1e39,3\n", "`1e39` is not a finite number"),
        ("x0,x1,y\n1,1_000,3\n", "`1_000` is not a finite number"),
        ("x0,x1,y\n1,0x10,3\n", "`0x10` is not a finite number"),
        ("1,2,3\n1,b,3\n", "t.csv:2, column 2: `b` is not a finite number"),
        ("x0,x1,y\n1,2,3.5\n", "`3.5` is not an integer of 32 bits"),
        ("x0,x1,y\n1,2,2147483648\n", "is not an integer of 32 bits"),
        ("x0,x1,y\n1,2," + "9" * 5000 + "\n", "is not an integer|among text"),
        ("x0,x1,y\n1,2,cat\n1,2,7\n", r"t.csv:3, column 3 \(`y`\): `7` is a number among text labels"),
        ("x0,x1,y\n1,2,cat\n1,2,\n", "t.csv:3, .*the label is missing"),
        ("x0,x1,x1,y\n1,2,3,4\n", "two columns are named `x1`"),
        ("x0,x1\n1,2\n", r"it has 2 columns \(x0, x1\); the declared fields need 3 \(x: 2, y: 1\)"),
        ("a,b,c,d\n1,2,3,4\n", "4 columns"),
        ("x0,b,c\n1,2,3\n1,2,3,4\n", "this row has 4"),
        ("x0,x1,c\n1,2,3\n", "name the columns of `y` `y`"),
        ('x0,x1,y\n1,"2,3\n4,5,6\n', "t.csv:2: this is not CSV"),
        ("x0,x1,y\n1,2,\0\n", "t.csv:2: it holds a NUL"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read(text)


def test_the_line_of_a_byte_that_is_not_utf8_is_named() -> None:
    with pytest.raises(TrainingError, match=r"t\.csv:2: byte 0xff is not UTF-8"):
        read_csv(b"x0,x1,y\n1,\xff,3\n", "t.csv", XY)


def test_lines_are_counted_through_cells_with_line_ends() -> None:
    with pytest.raises(TrainingError, match=r"t\.csv:4"):
        read('x0,x1,y\n1,2,"a\nb"\n1,?,c\n')


def test_truth_is_not_any_number() -> None:
    with pytest.raises(TrainingError, match="`2` is not true or false"):
        read("t\n1\n2\n", {"t": ((), "bool")})


def test_an_axis_of_unknown_size_cannot_come_from_columns() -> None:
    with pytest.raises(TrainingError, match="unknown size"):
        read("1,2\n", {"x": ((None,), "float")})


@given(st.lists(st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), min_size=1))
def test_numbers_come_back_exactly(rows: list[tuple[float, float]]) -> None:
    text = "x0,x1\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows)
    got = read(text, {"x": ((2,), "float")}).fields["x"]
    assert got.tolist() == [list(row) for row in rows]


@given(st.text(max_size=60))
def test_no_text_makes_anything_but_the_projects_error(text: str) -> None:
    try:
        read(text, {"x": ((), "float"), "y": ((), "i32")})
    except TrainingError as error:
        assert "help: " in str(error)
