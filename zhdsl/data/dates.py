"""`dates`: "3 Nov 2026" and other ways to write a day, to 2026-11-03; the alignment of an attention is easy to see."""

from __future__ import annotations

import string
from datetime import date, timedelta

from zhdsl.data.arrays import Arrays
from zhdsl.data.draws import integers
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import translation, vocabulary

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMS = (
    "{day} {short} {year}",
    "{day} {month} {year}",
    "{month} {day}, {year}",
    "{short} {day}, {year}",
    "{weekday} {day} {month} {year}",
    "{weekday}, {month} {day}, {year}",
)
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
LONGEST = len("Wednesday, September 30, 2026")


def written(day: date, form: int) -> str:
    """A day in English, in form number `form` of `FORMS`; does not depend on the machine's language."""
    month = MONTHS[day.month - 1]
    weekday = DAYS[day.weekday()]
    return FORMS[form].format(day=day.day, month=month, short=month[:3], year=day.year, weekday=weekday)


@dataset("dates")
def dates(samples: int = 5000, seed: int = 0) -> Arrays:
    """Days from 1900 to 2099 in one of six English forms, and as year-month-day.

    Args:
        samples: number of pairs.
        seed: decides days and forms.

    Returns:
        src: int32 [B, 29]; tgt, next: int32 [B, 11]; characters, see `tokens.translation`. One vocabulary whatever
        the samples: letters, digits, blank, comma, hyphen.
    """
    if samples < 1:
        raise fault("dates", f"samples = {samples}", "write samples = 5000")
    check_bytes(samples * 2000, "dates")
    offsets = integers(0, (LAST - FIRST).days + 1, (samples,), seed, "dates", "day")
    forms = integers(0, len(FORMS), (samples,), seed, "dates", "form")
    chosen = [(FIRST + timedelta(days=d), f) for d, f in zip(offsets.tolist(), forms.tolist(), strict=True)]
    pairs = [(tuple(written(day, form)), tuple(day.isoformat())) for day, form in chosen]
    names = vocabulary(string.ascii_letters + string.digits + " ,-")
    return translation(pairs, names, (LONGEST, 10), "dates: generated")
