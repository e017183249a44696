"""What a page says of a model and its run: read from its folder, counted from its program, computed by the model.

What is not there, or cannot be read, is left out and shown as not recorded: a report never fails for that.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zhdsl.errors import ZhError

if TYPE_CHECKING:
    from zhdsl.ir.graph import Graph
    from zhdsl.ir.node import Node, Origin
    from zhdsl.schedule.program import Program
    from zhdsl.train.trainable import Trainable
    from zhdsl.viz.scene import Scene

T = TypeVar("T")
SECTIONS = ("training", "layers", "memory", "confusion", "worst", "attention", "samples", "run")
WORST, SAMPLES, ROUNDS = 12, 12, 3
CELLS = 6_000  # of a heat map
ABOUT = (
    "model",
    "recipe",
    "seed",
    "dtype",
    "device",
    "samples",
    "batch",
    "epochs",
    "set",
    "zhdsl",
    "numpy",
    "platform",
)


def attempted(make: Callable[[], T]) -> T | None:
    """What `make` gives, or nothing where the model, its data or its files do not have it."""
    try:
        return make()
    except (ZhError, OSError, ValueError, KeyError, IndexError, MemoryError):
        return None


# ---------------------------------------------------------------- the folder of a run
def read_json(path: Path) -> dict[str, Any]:
    """An object; empty where there is none."""
    found = attempted(lambda: json.loads(path.read_text(encoding="utf-8")))
    return found if isinstance(found, dict) else {}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file that are objects, without a last line that is not whole."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        found = [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []
    return [record for record in found if isinstance(record, dict)]


def layer_records(folder: Path | None) -> list[dict[str, Any]]:
    """The recorded steps in which layers were measured."""
    from zhdsl.train.record import RECORD

    records = read_lines(folder / RECORD) if folder is not None else []
    return [r for r in records if "step" in r and _is_layers(r.get("layers"))]


def _is_layers(value: Any) -> bool:
    return bool(value) and isinstance(value, dict) and all(isinstance(v, list) and len(v) == 3 for v in value.values())


def curves(folder: Path | None) -> dict[str, Any]:
    """Measured epochs, and steps whose loss was recorded."""
    if folder is None:
        return {"epochs": [], "steps": []}
    from zhdsl.train.record import RECORD
    from zhdsl.train.run_folder import METRICS

    records = read_lines(folder / RECORD)
    steps = [[r["step"], short(r.get("loss"), 5), short(r.get("rate"), 5)] for r in records if "step" in r]
    epochs = [record for record in read_lines(folder / METRICS) if "step" in record]
    return {"epochs": epochs, "steps": steps}


def layers(folder: Path | None) -> dict[str, Any] | None:
    """Gradient norms and relative updates by parameter and recorded step; ratio: change / parameter."""
    records = layer_records(folder)
    if not records:
        return None
    names = list(records[0]["layers"])
    every = max(1, -(-len(records) * len(names) // CELLS))
    records = records[::every]
    return {"names": names, "steps": [r["step"] for r in records]} | layer_rows(records)


def layer_rows(records: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float | None]]]:
    """One row a record, one column a parameter."""
    names = list(records[0]["layers"])
    rows = [[r["layers"].get(name, (None, None, None)) for name in names] for r in records]
    ratio = [[short(d / w) if short(w) and short(d) is not None else None for _, w, d in row] for row in rows]
    return {"grad": [[short(g) for g, _, _ in row] for row in rows], "update": ratio}


def short(value: Any, digits: int = 3) -> float | None:
    """A measured number with as many digits as a picture shows: pages stay small."""
    return float(f"{value:.{digits}g}") if isinstance(value, int | float) else None


def about_run(folder: Path | None) -> dict[str, Any] | None:
    """What `run.json` and `result.json` say."""
    if folder is None:
        return None
    from zhdsl.train.run_folder import RESULT, RUN

    about, result = read_json(folder / RUN), read_json(folder / RESULT)
    stated = [c for c in _of(result, "expectations", list) if isinstance(c, dict)]
    claims = [f"{c.get('text')}: {'holds' if c.get('holds') else 'does not hold'}" for c in stated]
    shown = {name: about[name] for name in ABOUT if name in about}
    measured = _of(result, "metrics", dict).items()
    shown |= {f"result: {name}": value for name, value in measured if not isinstance(value, list)}
    ended = {"stopped": result.get("stopped", "not finished")}
    return {"about": shown | ended, "claims": claims}


def _of(value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A part of an object, empty where it is none of its kind."""
    found = value.get(name)
    return found if isinstance(found, kind) else kind()


# ---------------------------------------------------------------- the text
def source_lines(scenes: Iterable[Scene], given: Mapping[str, str]) -> dict[str, str]:
    """The lines of the text at all places of scenes, `net.zh:6:9` → `  h = x -> Dense[4]`."""
    texts = {name: text.splitlines() for name, text in given.items()}
    places = {p for scene in scenes for item in scene.items for p in item.place.split(", ") if p}
    return {p: line for p in sorted(places) if (line := attempted(lambda p=p: _line(p, texts))) is not None}  # type: ignore[misc]


def _line(place: str, texts: dict[str, list[str]]) -> str | None:
    name, line, _ = place.rsplit(":", 2)
    if name not in texts:
        texts[name] = _library(name)
    lines = texts[name]
    return lines[int(line) - 1].strip() if 0 < int(line) <= len(lines) else None


def _library(name: str) -> list[str]:
    import zhdsl.lang

    if not name.startswith("std/"):
        return []
    path = Path(zhdsl.lang.__file__).parent / "stdlib" / Path(name).name
    return path.read_text(encoding="utf-8").splitlines()


# ---------------------------------------------------------------- kernels and their time
def own_places(origins: Iterable[Origin]) -> frozenset[tuple[Any, ...]]:
    """What tells the operations of a graph before and after the passes: the innermost places, with the calls around."""
    known = [(o.span.key, o.frames) for o in origins if o.role == "forward"]
    inner = [key for key in known if key[0][0].startswith("std/")]
    return frozenset((place, frames) for place, frames in inner or known)


def kernels_of(nodes: Sequence[Node], graph: Graph, program: Program) -> tuple[list[str], list[list[int]]]:
    """The texts of kernels, and for every node of a scene the kernels that compute it."""
    by_place: dict[Any, list[int]] = {}
    for number, kernel in enumerate(program.all_kernels):
        for place in {p for origins in [kernel.origins] for p in own_places(origins)}:
            by_place.setdefault(place, []).append(number)
    found = [
        sorted({k for place in own_places(graph.origins.get(node, ())) for k in by_place.get(place, ())})
        if node.operands
        else []
        for node in nodes
    ]
    return [re.sub(" {5,}(?=[^ ])", "    ", str(kernel)) for kernel in program.all_kernels], found


def kernel_seconds(model: Trainable, fields: Mapping[str, Any]) -> tuple[Program, dict[str, float]]:
    """The program of the model in use, and the seconds of every kernel: the fastest of some runs on these samples."""
    from zhdsl.backends import numpy as backend
    from zhdsl.runtime.arguments import arrays_of, taken
    from zhdsl.runtime.pipeline import SHORT, optimized
    from zhdsl.schedule import schedule

    graph = model.recipe.predict
    program = schedule(optimized(graph))
    executable = backend.compile(program, SHORT[model.dtype])
    ports = graph.of_role("data")
    arrays, sizes = arrays_of(ports, taken(ports, (), fields), model.dtype)
    given = arrays | model.counters(graph, sizes) | model.fresh(graph, sizes)
    inputs = {f"{role}/{name}": array for (role, name), array in given.items()}
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        last = [time.perf_counter()]
        now: dict[str, float] = {}

        def watch(kernel: Any, written: Any, now: dict[str, float] = now, last: list[float] = last) -> None:
            at = time.perf_counter()
            now[kernel.name] = now.get(kernel.name, 0.0) + at - last[0]
            last[0] = time.perf_counter()

        executable.run(inputs, watch=watch)
        best = {name: min(seconds, best.get(name, seconds)) for name, seconds in now.items()}
    return program, best


def item_seconds(found: Sequence[Sequence[int]], program: Program, seconds: Mapping[str, float]) -> dict[int, float]:
    """The time of a kernel is shared by the operations that it computes."""
    shares: dict[int, list[int]] = {}
    for item, kernels in enumerate(found):
        for kernel in kernels:
            shares.setdefault(kernel, []).append(item)
    result: dict[int, float] = {}
    for kernel, items in shares.items():
        for item in items:
            result[item] = result.get(item, 0.0) + seconds.get(program.all_kernels[kernel].name, 0.0) / len(items)
    return {item: short(value) or 0.0 for item, value in result.items()}


# ---------------------------------------------------------------- measured, by item
def by_parameter(scene: Scene, records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """The last recorded gradient norm of every parameter, by its item."""
    last = records[-1]["layers"] if records else {}
    norms = {name: values[0] for name, values in last.items() if values and values[0] is not None}
    return {
        i: norms[item.label] for i, item in enumerate(scene.items) if item.family == "param" and item.label in norms
    }


def by_relu(nodes: Sequence[Node], graph: Graph, records: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """The last recorded share of dead units of every relu, by the items of its call."""
    from zhdsl.runtime.statistics import place_of

    dead: dict[str, float] = next((r["dead"] for r in reversed(records) if r.get("dead")), {})
    found: dict[int, float] = {}
    for i, node in enumerate(nodes):
        places = {place_of(o.frames) for o in graph.origins.get(node, ()) if o.frames and o.frames[-1].of == "relu"}
        value = next((dead[p] for p in sorted(places) if dead.get(p) is not None), None)
        if value is not None and node.operands:
            found[i] = value
    return found
