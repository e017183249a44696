"""Picture → SVG, one file that needs nothing else: no script, no font, no address.

Colours are those of Okabe & Ito (2008), told apart with every kind of colour blindness, as thin marks on light boxes,
so that print keeps the words; a dark screen gets its own. Shape says it again: inputs are round, parameters have a
dotted frame, what is folded has a second frame behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zhdsl.viz.fold import opened as opened_groups
from zhdsl.viz.place import SMALL, TITLE, Box, Line, Picture, place, text_width
from zhdsl.viz.scene import Scene

COLOURS = {
    "contract": "#0072b2",
    "elementwise": "#d55e00",
    "reduce": "#009e73",
    "movement": "#8a8f98",
    "index": "#cc79a7",
    "random": "#e69f00",
    "loop": "#56b4e9",
    "param": "#b8a800",
    "state": "#b8a800",
    "data": "#30343b",
    "counter": "#30343b",
    "source": "#8a8f98",
    "output": "#30343b",
}
ROUND, DOTTED = ("data", "counter"), ("param", "state")

STYLE = """
.picture{--paper:#fff;--ink:#1b1f27;--soft:#5d6673;--line:#8b94a3;--box:#fff;--fold:#f4f6fa;--frame:#c3cad6;--skip:#cc3311;
background:var(--paper);font-family:"Segoe UI","Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){.picture{--paper:#15181e;--ink:#e8ebf0;--soft:#a3adba;--line:#6d7786;--box:#1f242d;
--fold:#262c37;--frame:#434c5a;--skip:#ff8a66}}
.picture rect{fill:var(--box);stroke:var(--frame);stroke-width:1}
.picture .group rect{fill:var(--fold);stroke:var(--soft)}
.picture .open>rect{fill:none;stroke:var(--frame);stroke-dasharray:2 3}
.picture text{fill:var(--ink);font-size:13px}
.picture .small,.picture .label,.picture .open>text{fill:var(--soft);font-size:10.5px}
.picture .label{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.picture .mark{stroke:none}
.picture .param rect,.picture .state rect{stroke-dasharray:1.5 2.5;stroke:#b8a800}
.picture .data>rect,.picture .counter>rect{stroke:var(--ink);stroke-width:1.4}
.picture .line{fill:none;stroke:var(--line);stroke-width:1.3}
.picture .skip{stroke:var(--skip);stroke-width:2}
.picture .back{stroke-dasharray:5 4;stroke-linejoin:round}
.picture .across{stroke-dasharray:1 4;opacity:.65}
.picture .port{fill:var(--line);stroke:none}
.picture .arrow{fill:var(--line)}
.picture .arrow.of-skip{fill:var(--skip)}
""".strip()


def svg(scene: Scene, open_: frozenset[int] | None = None) -> str:
    """The picture of a scene as SVG text; by default with as many groups open as are read at a glance."""
    return svg_of(scene, place(scene, opened_groups(scene) if open_ is None else open_))


def svg_of(scene: Scene, picture: Picture) -> str:
    """A placed picture as SVG text."""
    width, height = max(picture.width, 60), max(picture.height, 40)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}" role="img">'
    )
    parts = [head, f"<title>{escaped(scene.name)}</title>", f"<desc>{escaped(scene.about)}</desc>"]
    parts.append(f"<style>{STYLE}</style>")
    boxes = sorted(picture.boxes, key=lambda b: (b.kind != "open", b.depth))
    parts += [text for box in boxes if box.kind == "open" for text in _box(scene, box)]
    parts += [text for line in picture.lines for text in _line(scene, line)]
    parts += [text for box in boxes if box.kind != "open" for text in _box(scene, box)]
    parts += [text for line in picture.lines for text in _label(line)]
    return "\n".join([*parts, "</svg>", ""])


def escaped(text: str) -> str:
    """Text for an element or a quoted attribute; what XML cannot hold becomes U+FFFD."""
    text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(raw, safe)
    return text


def _n(value: float) -> str:
    """A coordinate with one digit behind the point."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def _rect(box: Box, radius: float, dx: float = 0) -> str:
    place = f'x="{_n(box.x + dx)}" y="{_n(box.y + dx)}" width="{_n(box.width)}" height="{_n(box.height)}"'
    return f'<rect {place} rx="{_n(radius)}"/>'


def _box(scene: Scene, box: Box) -> Iterator[str]:
    if box.kind == "port":
        yield f'<circle class="port" cx="{_n(box.x + 4)}" cy="{_n(box.y + 4)}" r="2.5"/>'
        return
    if box.kind == "open":
        text = f'<text x="{_n(box.x + 12)}" y="{_n(box.y + 16)}">{escaped(box.title)}</text>'
        yield f'<g class="open" data-group="{box.number}">{_rect(box, 8)}{text}</g>'
        return
    if box.kind == "group":
        group = scene.groups[box.number]
        told = escaped(group.note or group.label)
        yield f'<g class="group {group.kind}" data-group="{box.number}"><title>{told}</title>'
        yield _rect(box, 6, 3)
        yield _rect(box, 6)
    else:
        item = scene.items[box.number]
        told = escaped(_told(scene, box.number))
        yield f'<g class="item {item.family}" data-item="{box.number}"><title>{told}</title>'
        yield _rect(box, box.height / 2 if item.family in ROUND else 5)
        if item.family not in ROUND:
            colour = COLOURS.get(item.family, COLOURS["source"])
            place = f'x="{_n(box.x + 4)}" y="{_n(box.y + 5)}" width="3.5" height="{_n(box.height - 10)}" rx="1.7"'
            yield f'<rect class="mark" {place} style="fill:{colour}"/>'
    yield from _texts(box)
    yield "</g>"


def _told(scene: Scene, number: int) -> str:
    item = scene.items[number]
    return "  ".join(part for part in (item.name, item.op, item.type, item.place) if part)


def _texts(box: Box) -> Iterator[str]:
    middle = box.x + box.width / 2
    for text, y, size, kind in ((box.title, 18.5, TITLE, ""), (box.small, 32.5, SMALL, ' class="small"')):
        if text:
            wide = text_width(text, size) > box.width - 8
            fit = f' textLength="{_n(box.width - 14)}" lengthAdjust="spacingAndGlyphs"' if wide else ""
            yield f'<text{kind} x="{_n(middle)}" y="{_n(box.y + y)}" text-anchor="middle"{fit}>{escaped(text)}</text>'


def path_of(line: Line) -> str:
    """The line as an SVG path: straight through rows, curved between them."""
    (x, y), *rest = line.points
    parts = [f"M{_n(x)} {_n(y)}"]
    if line.across:
        (x1, y1) = rest[-1]
        return f"{parts[0]}C{_n((x + x1) / 2)} {_n(y)} {_n((x + x1) / 2)} {_n(y1)} {_n(x1)} {_n(y1)}"
    if line.back:
        return parts[0] + "".join(f"L{_n(x1)} {_n(y1)}" for x1, y1 in rest)
    for x1, y1 in rest:
        if abs(x1 - x) < 0.05:
            parts.append(f"V{_n(y1)}")
        else:
            middle = _n((y + y1) / 2)
            parts.append(f"C{_n(x)} {middle} {_n(x1)} {middle} {_n(x1)} {_n(y1)}")
        x, y = x1, y1
    return "".join(parts)


def _line(scene: Scene, line: Line) -> Iterator[str]:
    kinds = [k for k, on in (("skip", line.skip), ("back", line.back), ("across", line.across)) if on]
    sources = sorted({scene.edges[e].source for e in line.edges})
    told = "; ".join(f"{scene.items[s].label} {scene.items[s].type}" for s in sources[:4])
    more = " …" if len(sources) > 4 else ""
    kind = " ".join(["line", *kinds])
    yield f'<path class="{kind}" d="{path_of(line)}"><title>{escaped(told + more)}</title></path>'
    if line.arrow and not line.across:
        yield _arrow(line)


def _arrow(line: Line) -> str:
    (_, before), (x, y) = line.points[-2], line.points[-1]
    way = 6.0 if y >= before else -6.0
    kind = "arrow of-skip" if line.skip else "arrow"
    return f'<path class="{kind}" d="M{_n(x)} {_n(y)}l-3.6 {_n(-way)}h7.2z"/>'


def _label(line: Line) -> Iterator[str]:
    if line.label and not line.across:
        (x, y), (_, y1) = line.points[0], line.points[1]
        at = y + 14 if y1 >= y else y - 6
        yield f'<text class="label" x="{_n(x + 6)}" y="{_n(at)}">{escaped(line.label)}</text>'
