"""The history of a run as a small picture: the loss and the watched metrics by epoch, a panel for each.

In: records as in `metrics.jsonl`. Out: SVG whose lines and words have the colour of the page round it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDE, HIGH = 300, 150  # of a panel
LEFT, TOP, BOTTOM, RIGHT = 60, 26, 24, 12
DASHES = ("", "5 3", "1.5 3")  # one for each part of the data
Series = list[tuple[float, float]]


def chart(history: Sequence[Mapping[str, Any]]) -> str:
    """The picture; empty for a run that was measured less than twice."""
    panels = {name: lines for name, lines in series(history).items() if any(len(s) > 1 for s in lines.values())}
    if not panels:
        return ""
    body = "".join(_panel(i * (WIDE + 20), name, lines) for i, (name, lines) in enumerate(panels.items()))
    wide = len(panels) * (WIDE + 20) - 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HIGH}" width="{wide}" height="{HIGH}" '
        f'role="img" aria-label="{escape(", ".join(panels))} by epoch" font-family="system-ui, sans-serif" '
        f'font-size="11" fill="currentColor" color="#6b7280">{body}</svg>'
    )


def series(history: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Series]]:
    """By metric and part of the data: points (epoch, value). What is not finite is left out."""
    found: dict[str, dict[str, Series]] = {}
    for record in history:
        parts: dict[str, Mapping[str, Any]] = {"train": {"loss": record.get("loss")}}
        parts |= {name: values for name, values in record.items() if isinstance(values, Mapping)}
        for part, values in parts.items():
            for name, value in values.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    found.setdefault(name, {}).setdefault(part, []).append((float(record["epoch"]), float(value)))
    return found


def _panel(left: int, name: str, lines: Mapping[str, Series]) -> str:
    points = [p for s in lines.values() for p in s]
    (x0, x1), (y0, y1) = _range(p[0] for p in points), _range(p[1] for p in points)

    def at(x: float, y: float) -> str:
        return (
            f"{left + LEFT + (x - x0) / (x1 - x0) * (WIDE - LEFT - RIGHT):.1f},"
            f"{HIGH - BOTTOM - (y - y0) / (y1 - y0) * (HIGH - TOP - BOTTOM):.1f}"
        )

    parts = [f'<text x="{left + LEFT}" y="14" font-weight="600">{escape(name)}</text>']
    for y in (y0, y1):
        height = at(x0, y).split(",")[1]
        parts.append(
            f'<line x1="{left + LEFT}" x2="{left + WIDE - RIGHT}" y1="{height}" y2="{height}" stroke="currentColor" '
            'stroke-opacity=".3"/>'
            f'<text x="{left + LEFT - 6}" y="{float(height) + 4:.1f}" text-anchor="end">{y:.3g}</text>'
        )
    for x, anchor in ((x0, "start"), (x1, "end")):
        parts.append(f'<text x="{at(x, y0).split(",")[0]}" y="{HIGH - 8}" text-anchor="{anchor}">{x:g}</text>')
    parts += [_line(i, part, [at(*p) for p in s]) for i, (part, s) in enumerate(lines.items())]
    parts += _legend(left, lines)
    return "".join(parts)


def _line(number: int, part: str, points: Sequence[str]) -> str:
    dash = DASHES[number % len(DASHES)]
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="currentColor" stroke-width="1.6"'
        f"{f' stroke-dasharray={chr(34)}{dash}{chr(34)}' if dash else ''}><title>{escape(part)}</title></polyline>"
    )


def _legend(left: int, lines: Mapping[str, Series]) -> list[str]:
    found, x = [], left + WIDE - RIGHT
    for number, part in reversed(list(enumerate(lines))):
        dash = DASHES[number % len(DASHES)]
        found.append(f'<text x="{x}" y="14" text-anchor="end">{escape(part)}</text>')
        x -= 6 * len(part) + 6
        style = f' stroke-dasharray="{dash}"' if dash else ""
        found.append(f'<line x1="{x - 18}" x2="{x}" y1="10" y2="10" stroke="currentColor" stroke-width="1.6"{style}/>')
        x -= 28
    return found


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Lowest and highest; never the same."""
    known = list(values)
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
