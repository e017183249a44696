"""Windows of text, the standard library as text, and the user's own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import batches, decode, load, split
from zhdsl.data.tokens import windows
from zhdsl.errors import TrainingError


def test_windows_follow_one_another_and_next_is_one_ahead() -> None:
    got = windows(np.arange(11, dtype=np.int32), 3, 0, "text")
    assert got["x"].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert got["next"].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_streams_go_on_from_batch_to_batch() -> None:
    got = windows(np.arange(17, dtype=np.int32), 2, 4, "text")
    assert got["x"].tolist() == [[0, 1], [4, 5], [8, 9], [12, 13], [2, 3], [6, 7], [10, 11], [14, 15]]
    with pytest.raises(TrainingError, match="8 characters are too few for 4 windows of 2"):
        windows(np.arange(8, dtype=np.int32), 2, 4, "text")


def test_every_row_of_a_batch_of_streams_continues_the_row_before() -> None:
    arrays = load("python_source", {"T": 20, "limit": 20_000, "streams": 5}, Path())
    for part in split(arrays).values():
        rows = [fields for _, fields in batches(part, 5, 0, 0)]
        for before, after in pairwise(rows):
            assert (before["next"][:, -1] == after["x"][:, 0]).all()


def test_python_source_is_the_library_in_97_symbols() -> None:
    arrays = load("python_source", {"T": 50, "limit": 100_000}, Path())
    text = "".join(decode(row, arrays.names["x"]) for row in arrays.fields["x"][:200])
    assert "import " in text
    assert "\n    def " in text
    assert len(arrays.names["x"]) == 97
    assert arrays.splits is not None
    sizes = [len(at) for at in arrays.splits.values()]
    assert sum(sizes) == arrays.size
    assert sizes == [1799, 99, 99]


def test_a_text_file_is_read_as_its_characters(tmp_path: Path) -> None:
    content = "però, così!\r\n" * 200
    (tmp_path / "t.txt").write_bytes(content.encode())
    arrays = load("text", {"file": "t.txt", "T": 10}, tmp_path)
    names = arrays.names["x"]
    assert names == ("", "<s>", "</s>", *sorted(set("però, così!\n")))
    assert "".join(decode(row, names) for row in arrays.fields["x"][:3]) == content.replace("\r", "")[:30]
    assert "".join(decode(row, names) for row in arrays.fields["next"][:3]) == content.replace("\r", "")[1:31]


def test_pairs_of_sentences_become_ids(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("the cat\til gatto\tnote\n\nthe dog runs\til cane corre\na b c d e\tx\n")
    arrays = load("text_pairs", {"file": "p.tsv", "longest": 4}, tmp_path)
    rows = [[decode(v[i], arrays.names[k], " ") for k, v in arrays.fields.items()] for i in range(arrays.size)]
    assert rows == [["the cat", "il gatto", "il gatto"], ["the dog runs", "il cane corre", "il cane corre"]]
    assert "2 of 3 pairs" in arrays.attribution
    assert load("text_pairs", {"file": "p.tsv", "unit": "char"}, tmp_path).fields["src"].shape == (3, 12)


@pytest.mark.parametrize(
    ("name", "statics", "content", "message"),
    [
        ("text", {}, b"short", "too few"),
        ("text", {"T": 0}, b"x" * 1000, "cannot be cut"),
        ("text", {"T": 10**12}, b"x" * 1000, "too few"),
        ("text", {"streams": -1}, b"x" * 1000, "cannot be cut"),
        ("text", {}, b"a\nb\xff", "f.txt:2: byte 0xff is not UTF-8"),
        ("text", {}, b"", "too few"),
        ("text_pairs", {}, b"a\tb\nno tab\n", "f.txt:2: there is no tab"),
        ("text_pairs", {}, b"", "no pair has 1 to 64 tokens"),
        ("text_pairs", {"unit": "byte"}, b"a\tb", 'no unit "byte"'),
    ],
)
def test_texts_that_cannot_be_used_are_explained(
    tmp_path: Path, name: str, statics: dict[str, int | float | bool | str], content: bytes, message: str
) -> None:
    (tmp_path / "f.txt").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        load(name, {"file": "f.txt", **statics}, tmp_path)


@pytest.mark.parametrize("limit", [0, -5, 100])
def test_a_limit_that_leaves_no_window_is_an_error(limit: int) -> None:
    with pytest.raises(TrainingError):
        load("python_source", {"limit": limit}, Path())
