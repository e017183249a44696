"""Reads the files of cases: a title, a graph before the pass, `---`, the graph after it; and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl.ir.graph import Graph
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph

FOLDER = Path(__file__).parent / "cases"  # a folder per pass, a file per family
SIZES = {"B": 3, "D": 6, "E": 2, "F": 2, "K": 4, "N": 2, "Q": 3, "T": 6, "V": 5, "M": 4, "W": 3}


@dataclass(frozen=True)
class Case:
    """One transformation, as text."""

    title: str
    before: str
    after: str

    def passed(self, transform: Callable[[Graph], Graph]) -> Case:
        """The case with what the pass makes now."""
        graph = read_graph(self.before)
        return replace(self, before=print_graph(graph), after=print_graph(transform(graph)))


def case_files() -> list[str]:
    """All of them, relative to the folder."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.case"))


def read_cases(file: str) -> list[Case]:
    """The cases of a file."""
    return list(_cases((FOLDER / file).read_text(encoding="utf-8")))


def _cases(text: str) -> Iterator[Case]:
    for block in text.split("## ")[1:]:
        title, _, graphs = block.partition("\n")
        before, _, after = graphs.partition("---\n")
        yield Case(title, before, after.rstrip("\n") + "\n")


def print_cases(cases: list[Case]) -> str:
    """The file."""
    return "\n".join(f"## {case.title}\n{case.before}---\n{case.after}" for case in cases)


def drawn(graph: Graph, sizes: Mapping[str, int] = SIZES, seed: int = 0) -> dict[Any, Any]:
    """Values for all inputs; indices are out of range now and then."""
    values = np.random.default_rng(seed)
    kinds: dict[str, Callable[[tuple[int, ...]], Any]] = {
        "i32": lambda shape: values.integers(-1, 5, shape, np.int32),
        "bool": lambda shape: values.random(shape) < 0.5,
    }
    draw = lambda type_: kinds.get(type_.dtype, lambda shape: values.uniform(-2, 2, shape))(type_.shape(sizes))  # noqa: E731
    return {port.node: draw(port.node.type) for port in graph.inputs}
