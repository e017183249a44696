"""Pictures of graphs and runs, drawn from the compiler's own objects. In: graphs, programs. Out: text.

    scene_of_graph, scene_of_program → Scene → svg, html, text, dot, graphml, json_text

scene.py     what is to be drawn            fold.py      what of it is open         layers.py   rows, wires, skips
place.py     coordinates                    groups.py    calls and rounds as groups formula.py  what a node computes
svg.py text.py formats.py html.py           page/        the script and the style of pages
"""

from __future__ import annotations

from zhdsl.viz.formats import dot, graphml, json_text
from zhdsl.viz.html import html
from zhdsl.viz.of_graph import scene_of_graph
from zhdsl.viz.of_program import scene_of_program
from zhdsl.viz.scene import Scene
from zhdsl.viz.svg import svg
from zhdsl.viz.text import text

__all__ = ["Scene", "dot", "graphml", "html", "json_text", "scene_of_graph", "scene_of_program", "svg", "text"]
