"""A page that needs nothing but itself: data as JSON, one script, one style, and a policy that lets nothing else in.

In: scenes, and what is known of a run as plain values. Out: HTML. Names are only ever data: JSON with `<` as `\\u003c`,
put into the page as text by the script, which never parses markup. The policy (CSP) allows this script and this style
by their hashes, no request at all, and images only as data.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from zhdsl.viz.fold import opened
from zhdsl.viz.layers import Cell, Level, Wire, levels
from zhdsl.viz.scene import ROOT, Scene
from zhdsl.viz.svg import COLOURS, STYLE, escaped
from zhdsl.viz.text import text

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("graph.js", "charts.js", "page.js")
TEXTS = ("label", "op", "family", "type", "name", "phase", "place", "formula", "value", "outputs")
NUMBERS = ("group", "params", "flops", "bytes", "saved")
CODES = {"item": "i", "group": "g", "in": "n", "out": "o", "pass": "p"}


def html(scene: Scene, most: int | None = None) -> str:
    """A page with one graph."""
    return page(scene.name, [("graph", scene)], most=most)


def page(
    title: str,
    scenes: Sequence[tuple[str, Scene]],
    report: Mapping[str, Any] | None = None,
    live: bool = False,
    most: int | None = None,
) -> str:
    """A page with graphs and what is known of a run.

    Args:
        title: of the page.
        scenes: graphs with the names under which they are chosen.
        report: see `zhdsl.cli.report`; sections that are missing are not shown, those that are `None` as not recorded.
        live: whether the page listens to `events` beside it.
        most: boxes that are seen at first.
    """
    data = {
        "title": title,
        "live": live,
        "scenes": [{"title": name, **packed(scene, most)} for name, scene in scenes],
        "report": report or {},
    }
    script, style = _script(), _style()
    connect = "'self'" if live else "'none'"
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    return TEMPLATE.format(
        title=escaped(title),
        policy=escaped(policy),
        style=style,
        data=json_for_script(data),
        text=escaped("\n".join(text(scene) for _, scene in scenes)),
        script=script,
    )


TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript><p>This page draws with a script of its own; without it, here is the text.</p></noscript>
<main id="main"></main>
<details id="plain"><summary>The graph as text</summary><pre>{text}</pre></details>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def json_for_script(value: Any) -> str:
    """JSON that is the same data and can end neither a script element nor a line of one."""
    found = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _script() -> str:
    parts = [(PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n" + "\n".join(["'use strict';", *parts])


@cache
def _style() -> str:
    marks = "\n".join(f".picture .of-{family}{{fill:{colour}}}" for family, colour in COLOURS.items())
    return "\n" + "\n".join([STYLE, marks, (PAGE / "page.css").read_text(encoding="utf-8")])


# ---------------------------------------------------------------- a scene, packed
def packed(scene: Scene, most: int | None = None) -> dict[str, Any]:
    """A scene with its levels as short JSON: columns of numbers, each text once."""
    strings, keys = _Strings(), _Strings()
    columns: dict[str, list[Any]] = {name: [] for name in (*TEXTS, *NUMBERS, "key")}
    for item in scene.items:
        for name in TEXTS:
            value = getattr(item, name)
            columns[name].append(strings.number(", ".join(value) if isinstance(value, tuple) else value or ""))
        for name in NUMBERS:
            columns[name].append(getattr(item, name) or 0)
        columns["key"].append(keys.number(item.key) + 1 if item.key else 0)
    groups = [
        [strings.number(g.label), strings.number(g.kind), g.parent, keys.number(g.key) + 1, strings.number(g.note)]
        for g in scene.groups
    ]
    known = levels(scene)
    return {
        "name": scene.name,
        "about": scene.about,
        "sizes": dict(scene.sizes),
        "texts": TEXTS,
        "items": columns,
        "groups": groups,
        "edges": "|".join(f"{e.source} {e.target} {e.slot}{' 1' if e.back else ''}" for e in scene.edges),
        "levels": [_level(known[group]) for group in range(ROOT, len(scene.groups))],
        "open": sorted(opened(scene, most)),
        "strings": strings.known,
    }


class _Strings:
    """Texts by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, value: str) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    @property
    def known(self) -> list[str]:
        return [value.encode("utf-8", "replace").decode() for value in self.numbers]


def _level(level: Level) -> list[str]:
    """Rows, then wires, as short texts: `i1 p2|i3` and `i1 p2 i4,12 13,skip|…`."""
    rows = "|".join(" ".join(map(_cell, row)) for row in level.rows)
    return [rows, "|".join(map(_wire, level.wires))]


def _cell(cell: Cell) -> str:
    return f"{CODES[cell.kind]}{cell.number}"


def _wire(wire: Wire) -> str:
    parts = [" ".join(map(_cell, wire.path)), " ".join(map(str, wire.edges))]
    return ",".join([*parts, *(name for name in ("skip", "back") if getattr(wire, name))])
