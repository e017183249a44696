"""Every format is read back by what reads it, whatever the names are."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import networkx
import pytest

from tests.viz.scenes import LSTM, SKIP, scene_of
from zhdsl.viz import Scene, dot, graphml, json_text, svg, text
from zhdsl.viz.fold import everything
from zhdsl.viz.formats import quoted
from zhdsl.viz.svg import escaped

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "]]>&amp;&#60;",
    'a\\"b\\n\nc\x00\x1b[31m\u202e',
    "{{constructor}} ${alert(1)} `x`",
    "名前🙂" * 40,
    "\ud800 alone",
)


def hostile(scene: Scene, name: str) -> Scene:
    """The scene with a name in every place that holds text."""
    fields = ("label", "name", "type", "place", "formula", "op")
    items = tuple(replace(i, outputs=(name,), **dict.fromkeys(fields, name)) for i in scene.items)
    groups = tuple(replace(g, label=name, note=name, key=name) for g in scene.groups)
    return replace(scene, name=name, about=name, items=items, groups=groups)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names_in_svg(name: str) -> None:
    scene = hostile(scene_of(SKIP), name)
    root = ElementTree.fromstring(svg(scene, everything(scene)))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "g", "rect", "text", "path", "circle"}
    assert not [k for e in root.iter() for k in e.attrib if k.startswith("on") or k in ("href", "src")]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names_in_graphml(name: str) -> None:
    scene = hostile(scene_of(SKIP), name)
    found = networkx.read_graphml(io.BytesIO(graphml(scene).encode("utf-8", "replace")))
    assert found.number_of_nodes() == len(scene.items)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_strings_in_dot(name: str) -> None:
    inside = quoted(name)[1:-1]
    assert re.fullmatch(r'(?:[^"\\\n]|\\[\\"n])*', inside)


@pytest.mark.parametrize(
    "scene", [scene_of(SKIP), scene_of(LSTM), scene_of(SKIP, "grad")], ids=["skip", "loop", "grad"]
)
def test_json_and_graphml_hold_the_whole_scene(scene: Scene) -> None:
    data = json.loads(json_text(scene))
    assert (len(data["nodes"]), len(data["edges"]), len(data["groups"])) == (
        len(scene.items),
        len(scene.edges),
        len(scene.groups),
    )
    found = networkx.read_graphml(io.BytesIO(graphml(scene).encode()), force_multigraph=True)
    assert (found.number_of_nodes(), found.number_of_edges()) == (len(scene.items), len(scene.edges))
    assert [found.nodes[f"n{i}"]["op"] for i in range(len(scene.items))] == [item.op for item in scene.items]


def test_dot_has_a_statement_for_every_node_edge_and_group() -> None:
    scene = scene_of(SKIP, "grad")
    found = dot(scene)
    assert len(re.findall(r"^ *n\d+ \[", found, re.M)) == len(scene.items)
    assert len(re.findall(r"^ *n\d+ -> n\d+ \[", found, re.M)) == len(scene.edges)
    assert len(re.findall(r"subgraph cluster_\d+ \{", found)) == len(scene.groups)
    assert found.count("{") == found.count("}")


def test_edges_carry_the_shape_and_the_bytes_of_their_values() -> None:
    data = json.loads(json_text(scene_of(SKIP)))
    edge = next(e for e in data["edges"] if data["nodes"][e["source"]]["label"] == "x")
    assert (edge["type"], edge["bytes"]) == ("[B, D=4]", 16)
    assert "[B, D=4] · 16 B" in svg(scene_of(SKIP))


def test_a_terminal_shows_boxes_in_order_and_the_skip_beside_them() -> None:
    lines = text(scene_of(SKIP)).splitlines()
    titles = [re.sub(r"^[│ ╭├●]*", "", line).split()[0] for line in lines[2:]]
    dense = ["Dense", "contract", "add", "relabel"]
    assert titles == ["x", *dense, "tanh", *dense, "add", "tanh"]
    assert "╮" in lines[2]
    assert "╯" in lines[-2]


def test_text_for_xml_has_only_characters_of_xml() -> None:
    assert escaped("a\x00\x1b\ud800<&\"'>") == "a\ufffd\ufffd\ufffd&lt;&amp;&quot;&#39;&gt;"
