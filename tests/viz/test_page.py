"""The page in a real browser: it draws, folds, finds, tells; it asks nobody anything, whatever things are called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.viz.browser import Browser, browser
from tests.viz.scenes import SKIP, scene_of
from tests.viz.test_formats import HOSTILE
from zhdsl.viz import Scene, html
from zhdsl.viz.fold import MOST, opened, visible
from zhdsl.viz.html import json_for_script, page

pytestmark = pytest.mark.browser
Show = Callable[..., float]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a page's text; in the end the page must have asked for nothing but itself, and no script have failed."""
    place = tmp_path / "page.html"

    def run(text: str) -> float:
        place.write_text(text, encoding="utf-8")
        return chromium.open(place.as_uri())

    yield run
    assert chromium.requests() == [place.as_uri()]
    assert chromium.complaints() == []


def boxes(chromium: Browser) -> int:
    return chromium.js("canvas.querySelectorAll('.item, .group').length")


def test_the_page_shows_the_boxes_that_are_open_at_first(chromium: Browser, show: Show) -> None:
    scene = scene_of("depth/resnet.zh ResNet20")
    show(html(scene))
    assert boxes(chromium) == len(visible(scene, opened(scene, MOST)))
    assert chromium.js("document.title") == scene.name


@pytest.mark.parametrize(
    ("text", "stage"), [(SKIP, "grad"), ("depth/resnet.zh ResNet20", "graph"), ("sequences/adding.zh", "grad")]
)
def test_unfolded_it_has_the_nodes_and_edges_of_the_graph(text: str, stage: str, chromium: Browser, show: Show) -> None:
    scene = scene_of(text, stage)
    show(html(scene))
    chromium.click("#unfold-all")
    items = chromium.js("[...new Set([...canvas.querySelectorAll('[data-item]')].map(n => n.dataset.item))].length")
    edges = chromium.js(
        "[...new Set([...canvas.querySelectorAll('[data-edges]')].flatMap(n => n.dataset.edges.split(' ')))].length"
    )
    assert (items, edges) == (len(scene.items), len(scene.edges))


def test_a_click_fills_the_pane(chromium: Browser, show: Show) -> None:
    scene = scene_of(SKIP)
    places = {place for item in scene.items for place in item.place.split(", ")}
    lines = {place: f"line of {place}" for place in places}
    number = next(i for i, item in enumerate(scene.items) if item.op == "contract")
    report = {"lines": lines, "kernels": {"texts": ["k0 contract"], "of": {"graph": [[0]] * len(scene.items)}}}
    show(page("Skip", [("graph", scene)], report))
    chromium.click("#unfold-all")
    chromium.click(f'[data-item="{number}"]')
    said = chromium.js("pane.innerText")
    for part in ("contract", scene.items[number].type, "line of std/layers.zh:9:7", "k0 contract", "used by"):
        assert part in said
    assert chromium.js("pane.querySelector('math').textContent").startswith("y")
    assert chromium.js("pane.querySelectorAll('math msub').length") >= 3
    assert chromium.js("canvas.querySelectorAll('.chosen').length") == 1


def test_a_click_unfolds_and_folds(chromium: Browser, show: Show) -> None:
    scene = scene_of("depth/resnet.zh ResNet20")
    show(html(scene))
    before = boxes(chromium)
    group = chromium.js("canvas.querySelector('.group').dataset.group")
    chromium.click(f'.group[data-group="{group}"]')
    inside = len([i for i in scene.items_of[int(group)] if scene.items[i].value is None])
    assert boxes(chromium) == before - 1 + inside + len(scene.groups_of[int(group)])
    chromium.click(f'.open[data-group="{group}"] > text')
    assert boxes(chromium) == before


def test_keys_do_what_the_mouse_does(chromium: Browser, show: Show) -> None:
    show(html(scene_of("depth/resnet.zh ResNet20")))
    before = boxes(chromium)
    chromium.js("canvas.querySelector('.group').focus()")
    chromium.key("Enter", 13, "\r")
    assert boxes(chromium) > before
    assert chromium.js("document.activeElement.getAttribute('aria-expanded')") == "true"
    chromium.js("canvas.querySelector('.item').focus()")
    chromium.key("ArrowDown", 40)
    assert chromium.js("canvas.contains(document.activeElement) && !document.activeElement.matches('.data')")
    chromium.key("/", 191)
    assert chromium.js("document.activeElement.id") == "search"


def test_search_finds_what_is_folded_away(chromium: Browser, show: Show) -> None:
    scene = scene_of("depth/resnet.zh ResNet20")
    show(html(scene))
    chromium.click("#search")
    chromium.type("basic.conv2.W")
    wanted = [item for item in scene.items if "basic.conv2.w" in item.label.lower()]
    assert chromium.js("hits.textContent") == f"{len(wanted)} found, Enter shows one"
    chromium.key("Enter", 13, "\r")
    assert chromium.js("pane.querySelector('h3').textContent") in {item.label for item in wanted}
    assert chromium.js("canvas.querySelectorAll('.chosen').length") == 1


def test_a_value_and_its_gradient_light_up_together(chromium: Browser, show: Show) -> None:
    scene = scene_of(SKIP, "grad")
    show(html(scene, most=1000))
    twins = [i for i, item in enumerate(scene.items) if item.op == "tanh" and item.phase == "forward"]
    chromium.click(f'[data-item="{twins[0]}"]')
    lit = chromium.js("[...canvas.querySelectorAll('.twin')].map(n => Number(n.dataset.item))")
    assert lit
    assert {scene.items[i].phase for i in lit} == {"backward"}


def colour_by(chromium: Browser, name: str) -> None:
    chromium.js(f"(c => {{ c.value = '{name}'; c.dispatchEvent(new Event('change')); }})(document.all.colour)")


def test_measures_colour_the_boxes(chromium: Browser, show: Show) -> None:
    scene = scene_of("depth/resnet.zh ResNet20")
    show(html(scene))
    colour_by(chromium, "params")
    fills = "[...canvas.querySelectorAll('.group rect')].map(r => r.style.fill).filter(Boolean)"
    assert len(set(chromium.js(fills))) >= 3
    assert "parameters" in chromium.js("legend.textContent")
    colour_by(chromium, "grad")
    assert chromium.js("legend.textContent") == "gradient norm: not recorded"


def test_it_is_dark_where_the_screen_is(chromium: Browser, show: Show) -> None:
    show(html(scene_of(SKIP)))
    light = chromium.js("getComputedStyle(document.body).backgroundColor")
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = chromium.js("getComputedStyle(document.body).backgroundColor")
    chromium.call("Emulation.setEmulatedMedia", features=[])
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(21, 24, 30)")


def test_the_derivative_of_resnet_110_is_small_and_opens_fast(chromium: Browser, show: Show) -> None:
    name = "depth/resnet.zh ResNet110"
    text = page("ResNet110", [("model", scene_of(name)), ("derivative", scene_of(name, "grad"))])
    assert len(text.encode()) < 1_500_000
    assert show(text) < 3.0


SHAPES = r"""
<script>{}</script>
</script><script>{}</script>
<img src=x onerror={}>
"><svg onload={}>
'-{}-'
";{}//
</title><script>{}</script>
</style><script>{}</script>
<!--<script>{}</script>-->
]]><script>{}</script>
javascript:{}
${{}}
`{}`
{{{}}}
\u003cscript\u003e{}
&lt;script&gt;{}&lt;/script&gt;
<iframe srcdoc='<script>parent.{}</script>'>
<a href=javascript:{}>x</a>
<math><mtext><img src=x onerror={}>
x onmouseover={} y
"""


def names() -> list[str]:
    """A hundred names that would do something if they were taken for anything but text."""
    more = ["", "名前 ", "\u202e", "A" * 300, "\x00\x1b[2J"]
    return [prefix + shape.replace("{}", "window.broken=1") for shape in SHAPES.split("\n")[1:-1] for prefix in more]


def test_a_hundred_hostile_names_in_every_field_run_no_script(chromium: Browser, show: Show) -> None:
    hostile, scene = [*names(), *HOSTILE], scene_of(SKIP, "grad")
    assert len(names()) == 100
    fields = ("label", "name", "type", "place", "formula", "op", "family", "phase", "key")
    items = [
        replace(item, outputs=(name,), group=item.group, **dict.fromkeys(fields, name))
        for item, name in zip(scene.items * 9, hostile, strict=False)
    ]
    groups = tuple(replace(g, label=n, note=n, key=n) for g, n in zip(scene.groups, hostile, strict=False))
    edges = tuple(e for e in scene.edges)
    whole = Scene(hostile[1], tuple(items), groups, edges, {hostile[2]: 1}, hostile[3])
    show(page(hostile[1], [(hostile[4], whole)], everywhere(hostile, len(items))))
    chromium.js("(b => b.click())(document.getElementById('unfold-all'))")
    for colour in ("params", "grad", "op"):
        colour_by(chromium, colour)
    for cell in [f"i{i}" for i in range(len(items))] + [f"g{g}" for g in range(len(groups))]:
        chromium.js(f"reveal('{cell}')")
    chromium.js("document.querySelectorAll('*').forEach(n => n.dispatchEvent(new Event('mouseover')))")
    assert chromium.js("window.broken") is None
    assert chromium.js("document.scripts.length") == 2
    loading = "img:not([src^='data:image/png;base64,']), iframe, a[href^=javascript]"
    assert chromium.js(f'document.querySelectorAll("{loading}").length') == 0


def everywhere(names: list[str], count: int) -> dict[str, object]:
    """A report with hostile names in every place that holds text."""
    numbers = [[1.0] * len(names) for _ in names]
    cards = [{"images": [name], "lines": [name], "alt": name} for name in names]
    peak = {"step": 0, "bytes": 1, "kernel": names[0], "place": names[1], "buffers": [[n, 1, n] for n in names]}
    return {
        "facts": [[n, n] for n in names],
        "sections": dict.fromkeys(
            ("training", "layers", "memory", "confusion", "worst", "attention", "samples", "run"), 1
        ),
        "lines": dict(zip(names, names, strict=True)),
        "memory": {"name": names[0], "bytes": [1, 2], "arena": 1, "held": 1, "constant": 1, "peak": peak},
        "curves": {"epochs": [{"epoch": 1, "step": 1, n: 1.0, n + "!": {n: 2.0}} for n in names], "steps": []},
        "layers": {"names": names, "steps": [1], "grad": [[1.0] * len(names)], "update": [[1.0] * len(names)]},
        "confusion": {"field": names[0], "names": names, "counts": numbers, "part": names[1], "samples": 1},
        "attention": [{"title": n, "rows": names, "columns": names, "axis": n, "values": numbers} for n in names[:2]],
        "worst": cards,
        "samples": cards,
        "run": {"about": dict(zip(names, names, strict=True)), "claims": names},
        "kernels": {"texts": names, "of": {names[4]: [[i % len(names)] for i in range(count)]}},
        "measures": {"time": {}, "grad": {}, "dead": {}},
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_json_in_the_page_can_end_no_element(name: str) -> None:
    text = json_for_script({name: [name]})
    assert "<" not in text and ">" not in text and "&" not in text
    assert json.loads(text) == {name: [name]}
