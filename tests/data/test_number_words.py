"""Number words in two languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import decode, load
from zhdsl.data.number_words import drawn, english, english_parts, italian, italian_parts
from zhdsl.errors import TrainingError

KNOWN = {
    0: ("zero", "zero"),
    3: ("three", "tre"),
    17: ("seventeen", "diciassette"),
    21: ("twenty-one", "ventuno"),
    28: ("twenty-eight", "ventotto"),
    33: ("thirty-three", "trentatré"),
    88: ("eighty-eight", "ottantotto"),
    100: ("one hundred", "cento"),
    101: ("one hundred one", "centouno"),
    103: ("one hundred three", "centotré"),
    108: ("one hundred eight", "centotto"),
    111: ("one hundred eleven", "centoundici"),
    118: ("one hundred eighteen", "centodiciotto"),
    180: ("one hundred eighty", "centottanta"),
    881: ("eight hundred eighty-one", "ottocentottantuno"),
    1000: ("one thousand", "mille"),
    1001: ("one thousand one", "milleuno"),
    2000: ("two thousand", "duemila"),
    2008: ("two thousand eight", "duemilaotto"),
    3003: ("three thousand three", "tremilatré"),
    20000: ("twenty thousand", "ventimila"),
    23023: ("twenty-three thousand twenty-three", "ventitremilaventitré"),
    31000: ("thirty-one thousand", "trentunomila"),
    100000: ("one hundred thousand", "centomila"),
    180000: ("one hundred eighty thousand", "centottantamila"),
    999999: (
        "nine hundred ninety-nine thousand nine hundred ninety-nine",
        "novecentonovantanovemilanovecentonovantanove",
    ),
}


@pytest.mark.parametrize("n", KNOWN)
def test_known_numbers_are_written_as_in_a_grammar(n: int) -> None:
    assert (english(n), italian(n)) == KNOWN[n]


def test_different_numbers_have_different_words() -> None:
    numbers = [*range(3000), *range(3000, 1_000_000, 331)]
    assert len({italian(n) for n in numbers}) == len({english(n) for n in numbers}) == len(numbers)


@pytest.mark.parametrize(("unit", "between"), [("char", ""), ("word", " ")])
def test_tokens_decode_to_the_words_of_one_number(unit: str, between: str) -> None:
    arrays = load("number_words", {"samples": 300, "unit": unit, "seed": 5}, Path())
    names = arrays.names["src"]
    for n, src, tgt, after in zip(drawn(300, 10**6, 5), *arrays.fields.values(), strict=True):
        left, right = decode(src, names, between), decode(after, names, between)
        wanted = (
            (english(n), italian(n)) if unit == "char" else (" ".join(english_parts(n)), " ".join(italian_parts(n)))
        )
        assert (left, right) == wanted
        assert decode(tgt, names, between) == right


def test_vocabulary_and_lengths_do_not_depend_on_the_sample() -> None:
    small, large = (load("number_words", {"samples": n, "limit": 2000}, Path()) for n in (5, 2000))
    assert small.names == large.names
    assert small.fields["src"].shape[1] == large.fields["src"].shape[1]


@pytest.mark.parametrize("unit", ["char", "word"])
@pytest.mark.parametrize("limit", [1, 10, 101, 1000, 1001, 4321])
def test_every_number_below_a_limit_fits(unit: str, limit: int) -> None:
    arrays = load("number_words", {"samples": 10**9, "limit": limit, "unit": unit}, Path())
    assert arrays.size == limit
    unused = [int((values != 0).any(axis=0)[::-1].argmax()) for values in arrays.fields.values()]
    assert max(unused) == 0  # no column is there for nothing


def test_the_longest_numbers_fit() -> None:
    letters = load("number_words", {"samples": 1}, Path()).fields
    assert letters["src"].shape[1] == len(english(373_373)) == 64
    assert letters["next"].shape[1] > len(italian(454_454))


def test_numbers_are_drawn_once_and_short_ones_as_often_as_long_ones() -> None:
    numbers = np.array(drawn(3000, 10**6, 0))
    assert len(set(numbers.tolist())) == 3000
    assert np.bincount([len(str(n)) for n in numbers]).tolist() == [0, 10, 90, 725, 725, 725, 725]


@pytest.mark.parametrize("statics", [{"limit": 0}, {"limit": 10**6 + 1}, {"samples": 0}, {"unit": "letter"}])
def test_statics_that_make_no_pairs_are_errors(statics: dict[str, int | float | bool | str]) -> None:
    with pytest.raises(TrainingError):
        load("number_words", statics, Path())
