"""`zh explain` says what the error said shortly, and finds the code that was meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zhdsl.lang.codes import CODES


@pytest.mark.parametrize("code", ["Z0005", "z0005"])
def test_a_code_is_explained_however_it_is_written(code: str, zh: Callable) -> None:
    result = zh("explain", code)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Z0005: ")
    assert CODES["Z0005"].title in result.out
    assert len(result.out.splitlines()) > 1


def test_an_unknown_code_is_wrong_use_and_the_nearest_is_named(zh: Callable) -> None:
    result = zh("explain", "Z00O5")
    assert (result.code, result.out) == (2, "")
    assert "there is no error Z00O5" in result.err
    assert "did you mean Z0005?" in result.err


def test_an_unknown_code_far_from_all_is_wrong_use(zh: Callable) -> None:
    result = zh("explain", "ruhestand")
    assert result.code == 2
    assert "there is no error ruhestand" in result.err


def test_without_a_code_all_are_listed(zh: Callable) -> None:
    result = zh("explain")
    assert (result.code, result.err) == (0, "")
    assert [line.split("  ", 1) for line in result.out.splitlines()] == [[c.code, c.title] for c in CODES.values()]
