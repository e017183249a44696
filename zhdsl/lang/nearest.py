"""`nearest`: the known name that an unknown one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 60  # characters; longer names are compared by their beginnings, so the work stays bounded
SLIPS = 5  # more are never forgiven, however long the name
MOST = 500  # candidates; of more, those with the same first letter are compared before others


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate with the fewest slips from `name`, or None if all differ by more than a third of its letters.

    A slip is a letter too many, too few or wrong, or two swapped; a letter in the other case is a third of one.
    Ties go to the candidate that comes first in the alphabet, so the answer does not depend on the order.
    """
    limit = min(max(1.0, min(len(name), LONGEST) / 3), SLIPS)
    near = [other for other in candidates if other != name and abs(len(other) - len(name)) <= limit]
    if len(near) > MOST:
        near = sorted(near, key=lambda other: (other[:1] != name[:1], other))[:MOST]
    found = [(_slips(name[:LONGEST], other[:LONGEST], limit), other) for other in near]
    best = min(found, default=(limit + 1, ""))
    return best[1] if best[0] <= limit and best[0] < max(len(name), 1) else None


def _slips(a: str, b: str, limit: float) -> float:
    """Optimal string alignment distance; anything above `limit` when it is known to be above.

    Source: Damerau 1964; the restricted form, row by row.
    """
    width, far = int(limit) + 1, limit + 1  # cells farther from the diagonal than `width` are above the limit
    before: list[float] = []
    row = [float(j) if j <= width else far for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        last, row = row, [far] * (len(b) + 1)
        row[0] = float(i)
        for j in range(max(1, i - width), min(len(b), i + width) + 1):
            y = b[j - 1]
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + _cost(x, y))
            if before and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            row[j] = best
        if min(row) > limit:
            return far
        before = last
    return row[-1]


def _cost(x: str, y: str) -> float:
    if x == y:
        return 0
    return 1 / 3 if x.lower() == y.lower() else 1
