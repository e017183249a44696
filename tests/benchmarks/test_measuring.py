"""What the harness says: missing peers, medians and ratios, refused sides, tables, settings of its processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import environment, run, sides, table, timing
from benchmarks.bits import digests
from benchmarks.flops import products
from benchmarks.measure import Plan, _steps_agree, compared
from benchmarks.workloads import WORKLOADS, start_of

REPORT = Path(__file__).parent / "report.json"


def small_plan(*parts: str) -> Plan:
    return Plan(("spirals",), ("numpy",), (), parts, 1, 2, False)


# ---------------------------------------------------------------- peers that are not there
def test_missing_peers_are_named_with_what_installs_them() -> None:
    lines = sides.missing(sides.PEERS, lambda package: package == "torch")
    assert lines == [
        "left out: JAX jit (python -m pip install jax)",
        "left out: ONNX Runtime (python -m pip install onnx onnxruntime)",
    ]


def test_nothing_is_missing_where_all_is_installed() -> None:
    assert sides.missing(sides.PEERS, lambda package: True) == []


def test_without_any_peer_times_are_there_and_no_ratio() -> None:
    said: list[str] = []
    found = compared(small_plan("training"), start_of("spirals", {"H": 4}, batch=3), "training", 1e9, said.append)
    assert list(found["sides"]) == ["zhdsl numpy"]
    assert found["ratios"] == {} and "best" not in found
    assert said[-1].endswith("no peer, no ratio")


# ---------------------------------------------------------------- sides that differ
def test_a_side_that_computes_something_else_does_not_agree() -> None:
    start = start_of("spirals", {"H": 4}, batch=5)
    ours, same, other = (sides.zhdsl_on("numpy").training(start, 1) for _ in range(3))
    for side in (ours, same, other):
        side()
    other.session.arrays["state", "optimizer.dense.b.v"][...] *= 1.01
    found = _steps_agree({"ours": ours, "same": same, "other": other}, start)
    assert found["same"]["agrees"] and found["same"]["gradient_error"] == 0
    assert not found["other"]["agrees"] and found["other"]["tensor"] == "dense.b"


def test_the_largest_error_is_relative_and_named() -> None:
    wanted = {"a": np.ones(4), "b": np.full(9, 100.0)}
    found = {"a": wanted["a"] * 1.5, "b": wanted["b"] * 1.01}
    error, name = sides.largest_error(found, wanted)
    assert (round(error, 6), name) == (0.5, "a")


def test_a_tensor_that_is_not_a_number_is_the_largest_error() -> None:
    error, name = sides.largest_error({"a": np.array([np.nan]), "b": np.ones(1)}, {"a": np.ones(1), "b": np.zeros(1)})
    assert np.isnan(error) and name == "a"


def test_other_tensors_are_an_error() -> None:
    with pytest.raises(AssertionError, match="tensors differ"):
        sides.largest_error({"a": np.ones(1)}, {"b": np.ones(1)})


# ---------------------------------------------------------------- timing
def ticking(steps: Iterator[float]) -> Callable[[], float]:
    """A clock that is a list of times."""
    return lambda: next(steps)


def test_samples_are_taken_in_turn_after_a_discarded_call() -> None:
    called: list[str] = []
    both = {name: lambda name=name: called.append(name) for name in "ab"}
    times = iter(np.cumsum(np.ones(1000)))
    samples = timing.interleaved(both, rounds=2, warm=1, clock=ticking(times))
    assert called == [*"ab", *"aabb", *"aabb"]
    assert samples == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_a_ratio_is_taken_round_by_round() -> None:
    samples = {"ours": [1.0, 10.0, 100.0], "peer": [2.0, 30.0, 200.0]}
    assert timing.ratio(samples, "ours", "peer") == timing.Spread(2.0, 2.0, 2.5)
    assert timing.best({"a": [3.0], "b": [2.0]}, ["a", "b"]) == "b"


def test_the_spread_of_one_value_is_that_value() -> None:
    assert timing.spread([4.0]) == timing.Spread(4.0, 4.0, 4.0)


# ---------------------------------------------------------------- the process
def test_measuring_processes_have_equal_threads_and_not_the_slow_kernels() -> None:
    found = environment.settings(2, {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "1", "PATH": "p"})
    assert not set(environment.HALVING) & found.keys()
    assert {found[f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "OMP", "MKL")} == {"2"}
    assert found["PATH"] == "p"


def test_the_machine_is_named_with_versions() -> None:
    found = environment.machine()
    assert found["numpy"] == np.__version__
    assert found["processor"]


# ---------------------------------------------------------------- what a step costs
@pytest.mark.parametrize(
    ("name", "training", "inference"),
    [
        ("spirals", 194 * 2 * (2 * 64 + 3 * 1024 + 3 * 64), 194 * 2 * (64 + 1024 + 64)),
        ("mlp", 128 * 2 * (2 * 784 * 512 + 3 * 512 * 512 + 3 * 5120), 128 * 2 * (784 * 512 + 512 * 512 + 5120)),
        ("lstm", 3 * 4096 * 2 * (128 * 1024 + 256 * 1024 + 256 * 64), 4096 * 2 * (128 * 1024 + 256 * 1024 + 256 * 64)),
    ],
)
def test_products_are_counted_once_forward_and_once_for_each_gradient(name: str, training: int, inference: int) -> None:
    start = start_of(name)
    assert (products(start, True), products(start, False)) == (training, inference)


def test_a_deeper_net_of_the_same_text_has_a_name() -> None:
    start = start_of("resnet110", {"S": 8, "C0": 2}, batch=2)
    assert start.work.name == "resnet20"
    assert len([path for path in start.params if path.endswith("basic.conv.W")]) == 54


def test_a_step_from_the_same_weights_has_one_digest() -> None:
    small = WORKLOADS["resnet20"].small
    start, other = start_of("resnet20", small, batch=2), start_of("resnet20", small, batch=2, seed=1)
    found = digests(start, "numpy", runs=3)
    assert found == digests(start, "numpy", runs=1)
    assert found != digests(other, "numpy", runs=1)


# ---------------------------------------------------------------- tables
def test_tables_of_a_report(golden: Callable[[str | Path, str], None]) -> None:
    golden("report.md", table.tables(json.loads(REPORT.read_text("utf-8"))))


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", "utf-8")
    table.write(page, "| new |\n")
    assert page.read_text("utf-8") == f"before\n{table.BEGIN}\n| new |\n{table.END}\nafter\n"
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n", "utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no"):
        table.write(page, "new")
    assert page.read_text("utf-8") == "text\n"


def test_the_page_of_the_documentation_has_the_marks() -> None:
    text = run.PAGE.read_text("utf-8")
    assert text.index(table.BEGIN) < text.index(table.END)


# ---------------------------------------------------------------- the command
def test_a_plan_for_each_number_of_threads() -> None:
    args = run.parser().parse_args(["--nets", "mlp", "--threads", "1", "2", "--device", "numpy", "--peers"])
    assert [(p.threads, p.nets, p.devices, p.peers) for p in run.plans(args)] == [
        (1, ("mlp",), ("numpy",), ()),
        (2, ("mlp",), ("numpy",), ()),
    ]


def test_without_a_device_the_fastest_is_compared() -> None:
    from zhdsl.runtime import pipeline

    assert run.devices()[0] == pipeline.chosen("auto")
    assert "reference" not in run.devices()


@pytest.mark.slow
def test_the_command_measures_one_net_without_peers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    command = [
        "--nets",
        "spirals",
        "--peers",
        "--device",
        "numpy",
        "--threads",
        "1",
        "--rounds",
        "2",
        "--json",
        str(out),
    ]
    assert run.main([*command, "--parts", "training", "inference", "memory", "bits"]) == 0
    (found,) = json.loads(out.read_text("utf-8"))["runs"]
    assert found["training"]["spirals"]["sides"]["zhdsl numpy"]["median"] > 0
    assert found["memory"]["spirals"]["zhdsl numpy"]["predicted"] > 0
    assert len(found["bits"]["spirals"]) == 1
    assert "| spirals |" in capfd.readouterr().out


@pytest.mark.parametrize("work", WORKLOADS.values(), ids=lambda w: w.name)
def test_a_text_checks_and_every_parameter_is_decayed(work: object) -> None:
    from zhdsl.lang.check import check
    from zhdsl.source import Source

    path = Path(run.ROOT) / "benchmarks" / "nets" / f"{work.name}.zh"
    text = path.read_text("utf-8")
    assert all(claim.holds for claim in check(Source(path.name, text)).claims)
    assert "sgd[lr = 0.01, momentum = 0.9, decay = 1e-4, spare = []]" in text
