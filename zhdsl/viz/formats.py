"""Scene → text of other programs: DOT (Graphviz), JSON, GraphML. All of the scene, nothing folded away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from zhdsl.viz.scene import ROOT, Edge, Item, Scene, bytes_text
from zhdsl.viz.svg import COLOURS, escaped


# ---------------------------------------------------------------- JSON
def json_text(scene: Scene) -> str:
    """All that a scene says, as one object."""
    return json.dumps(data(scene), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def data(scene: Scene) -> dict[str, Any]:
    """A scene as lists and dicts; an item's `id` is its place in the list."""
    return {
        "name": scene.name,
        "about": scene.about,
        "sizes": dict(scene.sizes),
        "nodes": [{"id": i, **asdict(item)} for i, item in enumerate(scene.items)],
        "groups": [{"id": i, **asdict(group)} for i, group in enumerate(scene.groups)],
        "edges": [_edge(scene, edge) for edge in scene.edges],
    }


def _edge(scene: Scene, edge: Edge) -> dict[str, Any]:
    item = scene.items[edge.source]
    return {**asdict(edge), "type": item.type, "bytes": item.bytes}


# ---------------------------------------------------------------- DOT
def dot(scene: Scene) -> str:
    """A digraph with groups as clusters."""
    lines = [f"digraph {quoted(scene.name)} {{", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    lines += [*_cluster(scene, ROOT, "  "), *(_dot_edge(scene, i) for i in range(len(scene.edges))), "}"]
    return "\n".join(lines) + "\n"


def _cluster(scene: Scene, group: int, indent: str) -> Iterator[str]:
    for number in scene.items_of[group]:
        item = scene.items[number]
        colour = COLOURS.get(item.family, COLOURS["source"])
        label = quoted("\n".join(part for part in (item.label, item.name if item.name != item.label else "") if part))
        yield f"{indent}n{number} [label={label}, color={quoted(colour)}, tooltip={quoted(item.place)}];"
    for number in scene.groups_of[group]:
        yield f"{indent}subgraph cluster_{number} {{"
        yield f"{indent}  label={quoted(scene.groups[number].label)};"
        yield from _cluster(scene, number, indent + "  ")
        yield f"{indent}}}"


def _dot_edge(scene: Scene, number: int) -> str:
    edge = scene.edges[number]
    item = scene.items[edge.source]
    label = quoted(f"{item.type} {bytes_text(item.bytes)}")
    back = ", constraint=false, style=dashed" if edge.back else ""
    return f"  n{edge.source} -> n{edge.target} [label={label}{back}];"


def quoted(text: str) -> str:
    """A string of DOT: nothing in it ends it or is taken for an escape."""
    clean = "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# ---------------------------------------------------------------- GraphML
def graphml(scene: Scene) -> str:
    """Nested graphs, as yEd and networkx read them; every attribute of items is a key."""
    names = [f for f in fields(Item) if f.name != "outputs"]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    for field in names:
        kind = "long" if field.type == "int" else "string"
        lines.append(f'<key id="{field.name}" for="node" attr.name="{field.name}" attr.type="{kind}"/>')
    for name, kind in (("slot", "int"), ("edge_type", "string"), ("edge_bytes", "long")):
        lines.append(f'<key id="{name}" for="edge" attr.name="{name}" attr.type="{kind}"/>')
    lines.append(f'<graph id="{escaped(scene.name)}" edgedefault="directed">')
    for number, item in enumerate(scene.items):
        values = ((f.name, getattr(item, f.name)) for f in names)
        inner = "".join(f'<data key="{k}">{escaped(str(v))}</data>' for k, v in values if v not in (None, ""))
        lines.append(f'<node id="n{number}">{inner}</node>')
    for number, edge in enumerate(scene.edges):
        item = scene.items[edge.source]
        told = (("slot", edge.slot), ("edge_type", item.type), ("edge_bytes", item.bytes))
        inner = "".join(f'<data key="{k}">{escaped(str(v))}</data>' for k, v in told)
        lines.append(f'<edge id="e{number}" source="n{edge.source}" target="n{edge.target}">{inner}</edge>')
    return "\n".join([*lines, "</graph>", "</graphml>", ""])
