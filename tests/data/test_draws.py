"""The random numbers are those of Philox4x64-10, computed here a second time."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from zhdsl.data.draws import integers, permutation, raw, uniform

MASK = 2**64 - 1


def philox(counter: list[int], key: list[int]) -> list[int]:
    """One block of Philox4x64-10 (Salmon et al. 2011, figure 3), in Python integers."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        left, right = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (right >> 64) ^ b ^ k, right & MASK, (left >> 64) ^ d ^ m, left & MASK
        k, m = (k + 0x9E3779B97F4A7C15) & MASK, (m + 0xBB67AE8584CAA73B) & MASK
    return [a, b, c, d]


def test_this_philox_gives_the_known_answer_of_its_authors() -> None:
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([0, 0, 0, 0], [0, 0]) == expected


def test_words_are_those_of_philox_under_the_hashed_key() -> None:
    digest = blake2b(b"7\x1forder\x1f3", digest_size=16).digest()
    key = [int.from_bytes(digest[i : i + 8], "little") for i in (0, 8)]
    expected = [word for count in (1, 2) for word in philox([count, 0, 0, 0], key)]  # NumPy counts from 1
    assert raw(8, 7, "order", 3).tolist() == expected


def test_purposes_do_not_run_into_one_another() -> None:
    keys = [(1, "a", 2), (1, "a2"), (11, "a"), (1, "a", 2, 0), (-1, "a", 2), (2**200, "a")]
    assert len({raw(1, *key).item() for key in keys}) == len(keys)


def test_uniform_numbers_are_uniform_and_integers_reach_both_ends() -> None:
    values = uniform((20_000,), 5, "test")
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.bincount((values * 10).astype(int))
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # chi-squared, 9 degrees of freedom, 0.1 %
    assert set(integers(-2, 3, (500,), 5, "test").tolist()) == {-2, -1, 0, 1, 2}


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(500, 1, "x").tolist()) == list(range(500))
    assert permutation(0, 1).tolist() == []
