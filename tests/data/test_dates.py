"""Dates in English and in ISO form."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np

from zhdsl.data import decode, load
from zhdsl.data.dates import FORMS, LONGEST, written


def test_a_day_is_written_in_six_forms() -> None:
    assert [written(date(2026, 11, 3), form) for form in range(len(FORMS))] == [
        "3 Nov 2026",
        "3 November 2026",
        "November 3, 2026",
        "Nov 3, 2026",
        "Tuesday 3 November 2026",
        "Tuesday, November 3, 2026",
    ]


def test_every_target_is_the_day_of_its_source() -> None:
    arrays = load("dates", {"samples": 200}, Path())
    years = set()
    for src, after in zip(arrays.fields["src"], arrays.fields["next"], strict=True):
        text = decode(src, arrays.names["src"]).replace(",", "")
        words = text.split()[-3:]
        day, month = (words[0], words[1]) if words[0].isdigit() else (words[1], words[0])
        parsed = datetime.strptime(f"{day} {month[:3]} {words[2]}", "%d %b %Y").date()
        assert decode(after, arrays.names["next"]) == parsed.isoformat()
        years.add(parsed.year)
    assert len(years) > 100


def test_lengths_are_fixed_and_the_longest_form_just_fits() -> None:
    fields = load("dates", {"samples": 3000}, Path()).fields
    assert fields["src"].shape == (3000, LONGEST)
    assert (fields["src"] > 0).sum(axis=1).max() == LONGEST
    assert (fields["next"][:, -1] == 2).all()
    assert fields["tgt"].dtype == np.int32
