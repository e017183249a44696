"""Models, graphs and runs show themselves in a notebook: as text, as HTML in which nothing can run, as SVG."""

from __future__ import annotations

import html
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

import zhdsl as zh
from tests.conftest import ROOT
from zhdsl.notebook.bundles import HTML, SVG, TEXT, of_graph, of_model, of_result
from zhdsl.notebook.chart import chart, series

SPEC = """model Line(x: [B, F=2]) -> p: [B, K=1] { return x -> Dense[3] -> tanh -> Dense[1] }
dataset points[] -> (x: [B, F=2], y: [B, K=1])
train Line {
  data = points
  loss = mse(p, y)
  optimizer = sgd[lr = 0.1]
  batch = 4
  epochs = 3
  valid = 0.25
  metric = (error = mae(p, y))
  expect = error < 100
}
"""


class Tags(HTMLParser):
    """The tags and the attributes of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def model() -> Any:
    return zh.load(SPEC)


@pytest.fixture(scope="module")
def result(model: Any) -> Any:
    import numpy as np

    draw = np.random.default_rng(0)
    return model.fit(data={"x": draw.normal(size=(40, 2)), "y": draw.normal(size=(40, 1))}, reporters=[])


def test_a_model_shows_its_parameters_with_types_and_counts(model: Any) -> None:
    bundle = model._repr_mimebundle_(include=None, exclude=None)
    assert bundle == of_model(model)
    assert "dense2.W  [D=3, N=1]" in bundle[TEXT]
    words = Tags(bundle[HTML]).words
    for path, count in (("dense.W", "6"), ("dense.b", "3"), ("dense2.W", "3"), ("dense2.b", "1")):
        assert words[words.index(path) + 2] == count
    assert "13 parameters" in bundle[HTML]


@pytest.mark.parametrize("stage", ["graph", "grad", "step", "passes"])
def test_a_graph_shows_its_ports_and_counts_its_nodes(stage: str, model: Any) -> None:
    graph = model.stage(stage)
    bundle = graph._repr_mimebundle_()
    assert bundle == of_graph(graph)
    assert f"{len(graph.nodes)} nodes" in bundle[TEXT]
    words = Tags(bundle[HTML]).words
    assert all(f"{p.role} {p.name}" in words for p in graph.outputs)


def test_a_run_shows_its_metrics_and_its_history_as_a_picture(result: Any) -> None:
    bundle = result._repr_mimebundle_()
    assert bundle == of_result(result)
    assert bundle[TEXT] == str(result)
    assert f"{result.metrics['error']:.6g}" in Tags(bundle[HTML]).words
    root = ElementTree.fromstring(bundle[SVG])
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 3  # loss on two parts, error on one
    assert all(len(line.attrib["points"].split()) == 3 for line in lines)


def test_the_picture_has_every_finite_point_of_the_history() -> None:
    nan = float("nan")
    history = [{"epoch": i, "loss": v, "valid": {"acc": i / 4, "text": "x"}} for i, v in enumerate((1.0, nan, 0.5), 1)]
    assert series(history) == {
        "loss": {"train": [(1.0, 1.0), (3.0, 0.5)]},
        "acc": {"valid": [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75)]},
    }
    assert "nan" not in chart(history)


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "loss": 1.0}], [{"epoch": 1, "loss": None}] * 3])
def test_a_history_without_a_line_has_no_picture(history: list[dict[str, Any]]) -> None:
    assert chart(history) == ""


def test_a_constant_history_and_a_hostile_name_are_drawn() -> None:
    history = [{"epoch": i, "loss": 1.0, "valid": {"<script>": 2.0}} for i in (1, 2)]
    ElementTree.fromstring(chart(history))
    assert "<script>" not in chart(history)


def test_no_text_of_a_spec_becomes_a_tag(model: Any, result: Any) -> None:
    from dataclasses import replace

    hostile = '<img src=x onerror="alert(1)">'
    shown = [
        of_result(replace(result, part=hostile, metrics={hostile: hostile})),
        of_graph(replace(model.stage("graph"), name=hostile)),
    ]
    for bundle in shown:
        tags = Tags(bundle[HTML])
        assert "img" not in tags.names
        assert "onerror" not in tags.attributes
        assert html.escape(hostile) in bundle[HTML]


def test_a_large_model_shows_its_first_parameters_and_counts_the_others() -> None:
    big = zh.load(ROOT / "specs/transformers/vit_digits.zh")
    page = of_model(big)[HTML]
    assert "more</td>" in page
    assert page.count("<tr>") <= 45
