"""Every op of the registry and random graphs, scheduled for C and compiled, against the reference evaluator.

All programs of this file are compiled at once, before the first test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.backends.harness import Case, case_of, compare
from tests.backends.random_graphs import SIZES as GRAPH_SIZES
from tests.backends.random_graphs import Maker
from tests.backends.test_conformance import RUNNABLE, example
from zhdsl.backends.native import NativeExecutable, library, toolchain
from zhdsl.backends.native.backend import prepare
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.schedule import schedule, tiling

GRAPHS = range(1000, 1040)
PIECES = range(2000, 2020)
Compiled = dict[object, tuple[Case, NativeExecutable]]


@pytest.fixture(autouse=True)
def fresh() -> None:
    """One cache for the whole file, instead of one for each test."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    if not toolchain.available():
        pytest.skip(toolchain.reason())
    found: Compiled = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(library, "_loaded", {})
        for name, i in RUNNABLE:
            found[name, i] = compiled(example(name, i), "f64")
            found[name, i, "f32"] = compiled(single(example(name, i, seed=1)), "f32")
        for seed in GRAPHS:
            maker = Maker(seed, 12 if seed % 4 else 60)
            found[seed] = compiled(case_of(maker.graph, maker.values, dict(GRAPH_SIZES)), "f64")
        patch.setattr(tiling, "PIECE", 8)
        patch.setattr(tiling, "SMALL", 0)
        patch.setitem(GRAPH_SIZES, "B", 7)
        patch.setitem(GRAPH_SIZES, "T", 5)
        for seed in PIECES:
            maker = Maker(seed, 20)
            found[seed] = compiled(case_of(maker.graph, maker.values, dict(GRAPH_SIZES)), "f64")
        prepare([executable for _, executable in found.values()])
        yield found


def compiled(case: Case, dtype: str) -> tuple[Case, NativeExecutable]:
    return case, NativeExecutable(schedule(case.graph, direct=True), dtype, threads=2)


def single(case: Case) -> Case:
    """The same case with values that are exact in single precision."""
    values = {}
    for port in case.graph.inputs:
        array = case.inputs[f"{port.role}/{port.name}"].transpose([port.order.index(n) for n in port.node.type.labels])
        values[port.node] = array.astype("f4").astype("f8") if array.dtype.kind == "f" else array
    return case_of(case.graph, values, case.sizes)


def drawn(graph: Graph, sizes: dict[str, int]) -> dict[Node, np.ndarray]:
    """New values for all inputs, in canonical order."""
    rng = np.random.default_rng(0)
    found = {}
    for port in graph.inputs:
        shape = port.node.type.shape(sizes)
        found[port.node] = rng.uniform(-1, 1, shape) if port.node.type.is_float else rng.integers(-1, 3, shape)
    return found


@pytest.mark.parametrize(("name", "i"), RUNNABLE)
def test_an_op_means_what_the_reference_says(name: str, i: int, programs: Compiled) -> None:
    case, executable = programs[name, i]
    compare(executable.run(case.inputs, sizes=case.sizes), case.wanted, "f64")


@pytest.mark.parametrize(("name", "i"), RUNNABLE)
def test_an_op_holds_in_single_precision(name: str, i: int, programs: Compiled) -> None:
    case, executable = programs[name, i, "f32"]
    compare(executable.run(case.inputs, sizes=case.sizes), case.wanted, "f32")


@pytest.mark.parametrize("seed", GRAPHS)
def test_random_graphs(seed: int, programs: Compiled) -> None:
    case, executable = programs[seed]
    compare(executable.run(case.inputs, sizes=case.sizes), case.wanted, "f64")


@pytest.mark.parametrize("seed", PIECES)
def test_random_graphs_in_tiny_pieces_with_a_rest(seed: int, programs: Compiled) -> None:
    case, executable = programs[seed]
    compare(executable.run(case.inputs, sizes=case.sizes), case.wanted, "f64")


@pytest.mark.parametrize("seed", GRAPHS[::5])
def test_other_sizes_need_no_compiler(seed: int, programs: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program compiled for one batch size runs with others."""
    first, executable = programs[seed]
    monkeypatch.setattr(library, "_compile_all", None)
    sizes = {"B": 5, "T": 2}
    case = case_of(first.graph, drawn(first.graph, sizes), sizes)
    compare(executable.run(case.inputs, sizes=case.sizes), case.wanted, "f64")


@pytest.mark.parametrize("seed", GRAPHS[::5])
def test_the_bits_do_not_depend_on_the_number_of_threads(seed: int, programs: Compiled) -> None:
    case, executable = programs[seed]
    one = NativeExecutable(executable.program, "f64", threads=1)
    first, second = (e.run(case.inputs, sizes=case.sizes) for e in (one, executable))
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], key)


def test_nothing_is_left_where_the_programs_run(programs: Compiled) -> None:
    assert not list(Path().glob("*.so"))
