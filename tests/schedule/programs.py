"""Programs from the text of graphs, and what tests look at in them."""

from __future__ import annotations

from collections.abc import Iterator

import zhdsl.ops  # noqa: F401  (fills the registry)
from zhdsl.ir.graph import Graph
from zhdsl.ir.read import read_graph
from zhdsl.schedule import schedule
from zhdsl.schedule.program import Kernel, Loop, Program


def graph(lines: str) -> Graph:
    """The graph of the lines between the braces."""
    return read_graph(f"graph case {{\n{lines}\n}}")


def program(lines: str) -> Program:
    return schedule(graph(lines))


def kernels(found: Program) -> list[str]:
    """Every kernel in short: `elementwise add tanh`; those of loops begin with `loop`."""
    return list(_short(found.kernels))


def _short(items: tuple[Kernel | Loop, ...], prefix: str = "") -> Iterator[str]:
    for item in items:
        if isinstance(item, Loop):
            yield from _short(item.body, f"{prefix}loop ")
        else:
            yield f"{prefix}{item.family} {' '.join(step.op.name for step in item.steps)}"


def order(found: Program, key: str) -> tuple[str, ...]:
    """The memory order of an output's buffer."""
    entry = next(e for e in found.outputs if e.key == key)
    return tuple(label for label, _ in found.buffers[entry.view.buffer].axes)
