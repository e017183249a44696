"""Random graphs: sharing memory, fusing, forwarding and tiling change nothing."""

from __future__ import annotations

import pytest

from tests.backends.harness import case_of, compare
from tests.backends.random_graphs import SIZES, Maker
from zhdsl.backends.numpy.backend import NumpyExecutable
from zhdsl.schedule import pieces, schedule, tiling
from zhdsl.schedule.memory import plan


@pytest.mark.parametrize("seed", range(40))
def test_small_graphs_with_and_without_sharing(seed: int) -> None:
    maker = Maker(seed, 12)
    case = case_of(maker.graph, maker.values, SIZES)
    case.check(reuse=True)
    case.check(reuse=False)


@pytest.mark.parametrize("seed", range(100, 110))
def test_large_graphs(seed: int) -> None:
    maker = Maker(seed, 80)
    case_of(maker.graph, maker.values, SIZES).check()


@pytest.mark.parametrize("seed", range(200, 230))
def test_tiny_pieces_with_a_rest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel with scratch runs in several pieces, and the last one is shorter."""
    monkeypatch.setattr(pieces, "ELEMENTWISE", 6)
    monkeypatch.setattr(pieces, "MATRIX", 6)
    monkeypatch.setitem(SIZES, "B", 7)
    monkeypatch.setitem(SIZES, "T", 5)
    maker = Maker(seed, 20)
    case_of(maker.graph, maker.values, SIZES).check()


@pytest.mark.parametrize("seed", range(300, 310))
def test_sizes_of_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "B", 1)
    monkeypatch.setitem(SIZES, "T", 2)
    maker = Maker(seed, 20)
    case_of(maker.graph, maker.values, SIZES).check()


@pytest.mark.parametrize("seed", range(400, 410))
def test_kept_values_are_what_they_are(seed: int) -> None:
    """Giving out every value changes all lifetimes and most kernels."""
    maker = Maker(seed, 12)
    case = case_of(maker.graph, maker.values, SIZES)
    nodes = [n for n in maker.graph.nodes if n.type.dtype == "float"]
    keep = {str(i): node for i, node in enumerate(nodes)}
    found = NumpyExecutable(schedule(maker.graph, keep), "f64").run(case.inputs, sizes=SIZES)
    wanted = case_of(nodes, maker.values, SIZES).wanted
    compare({k: v for k, v in found.items() if not k.startswith("kept/")}, case.wanted, "f64")
    for i in range(len(nodes)):
        compare({"y": found[f"kept/{i}"]}, {"y": wanted[f"result/y{i}"]}, "f64")


@pytest.mark.parametrize("seed", range(500, 510))
def test_the_peak_is_what_is_taken(seed: int) -> None:
    maker = Maker(seed, 30)
    executable = NumpyExecutable(schedule(maker.graph), "f32")
    binding = executable.bind(SIZES)
    assert plan(executable.program, SIZES, 4).arena == binding.memory.arena.nbytes == executable.plan(SIZES).arena


@pytest.mark.parametrize("seed", range(600, 605))
def test_running_twice_gives_the_same_bits(seed: int) -> None:
    """Nothing of the first run is left in the memory that the second one could see."""
    maker = Maker(seed, 30)
    case = case_of(maker.graph, maker.values, SIZES)
    executable = NumpyExecutable(schedule(case.graph), "f32")
    first, second = (executable.run(case.inputs, sizes=SIZES) for _ in range(2))
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)


@pytest.mark.parametrize("seed", range(2100, 2130))
def test_programs_for_c_mean_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiled kernels, run by this backend step by step; every other seed in tiny pieces."""
    if seed % 2:
        monkeypatch.setattr(tiling, "PIECE", 8)
        monkeypatch.setattr(tiling, "SMALL", 0)
    maker = Maker(seed, 8)
    case = case_of(maker.graph, maker.values, SIZES)
    program = schedule(case.graph, direct=True)
    compare(NumpyExecutable(program, "f64").run(case.inputs, sizes=SIZES), case.wanted, "f64")
