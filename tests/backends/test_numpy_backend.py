"""What goes into an executable and comes out: sizes, dtypes, layouts, aliasing, arrays that are held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.schedule.programs import program
from zhdsl.backends.base import Backend, Executable
from zhdsl.backends.numpy import NumpyBackend, NumpyExecutable
from zhdsl.backends.numpy import compile as compile_program
from zhdsl.errors import BackendError, TrainingError

LAYER = """
  input data x: [B, D=3] as %0
  input param W: [D=3, N=2] as %1
  %2 = contract[D](%0, %1)
  output result y[B, N] = %2
"""
UPDATE = """
  input param w: [N] as %0
  input state m: [N] as %1
  input data g: [N] as %2
  %3 = mul(0.5, %1)
  %4 = add(%3, %2)
  %5 = sub(%0, %4)
  %6 = sum[N](%0)
  output loss total[] = %6
  output param w[N] = %5
  output state m[N] = %4
"""
RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 2))


def compiled(lines: str, dtype: str = "f64") -> NumpyExecutable:
    return compile_program(program(lines), dtype)


def test_the_backend_keeps_the_protocol() -> None:
    backend: Backend = NumpyBackend()
    executable: Executable = backend.compile(program(LAYER))
    assert backend.available()
    assert (backend.name, executable.program.name) == ("numpy", "case")


# ---------------------------------------------------------------- sizes
def test_each_batch_size_is_bound_once() -> None:
    layer = compiled(LAYER)
    for n in (4, 2, 4, 0, 1):
        y = layer.run({"data/x": X[:n], "param/W": W})["result/y"]
        np.testing.assert_allclose(y, X[:n] @ W)
    assert layer.bind({"B": 4}) is layer.bind({"B": 4})


def test_only_the_latest_sizes_are_remembered() -> None:
    layer = compiled(LAYER)
    first = layer.bind({"B": 1})
    for n in range(2, 40):
        layer.run({"data/x": np.zeros((n, 3)), "param/W": W})
    assert layer.bind({"B": 1}) is not first


def test_sizes_are_solved_from_expressions() -> None:
    doubled = compiled("""
      input data x: [S=2*N + 1] as %0
      input data y: [T=N] as %1
      %2 = sum[S](%0)
      %3 = mul(%2, %1)
      output result z[T] = %3
    """)
    assert doubled.run({"data/x": np.ones(7), "data/y": np.ones(3)})["result/z"].tolist() == [7, 7, 7]
    with pytest.raises(TrainingError, match=r"axis S of data/x has size 8, which is no 2\*N \+ 1"):
        doubled.run({"data/x": np.ones(8), "data/y": np.ones(3)})


def test_sizes_that_no_input_tells_are_given() -> None:
    ones = compiled("""
      %0 = expand[T](1.0)
      output result y[T] = %0
    """)
    assert ones.run({}, sizes={"T": 3})["result/y"].tolist() == [1, 1, 1]


def test_sizes_that_no_input_can_tell_are_asked_for() -> None:
    product = compiled("""
      input data x: [M=A*C] as %0
      %1 = sum[M](%0)
      output result y[] = %1
    """)
    with pytest.raises(TrainingError, match="the inputs do not tell A, C"):
        product.run({"data/x": np.ones(6)})
    assert product.run({"data/x": np.ones(6)}, sizes={"A": 2, "C": 3})["result/y"] == 6


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.ones((4, 5)), "axis D of data/x has size 5, not 3"),
        (np.ones(3), r"data/x is \[B, D=3\], but has shape \[3\]"),
        (np.ones((4, 3, 1)), r"but has shape \[4, 3, 1\]"),
    ],
)
def test_a_shape_that_does_not_fit_names_input_and_axis(x: Any, text: str) -> None:
    with pytest.raises(TrainingError, match=text):
        compiled(LAYER).run({"data/x": x, "param/W": W})


def test_two_inputs_that_disagree_are_both_named() -> None:
    total = compiled("""
      input data x: [B] as %0
      input data y: [B] as %1
      %2 = add(%0, %1)
      output result z[B] = %2
    """)
    with pytest.raises(TrainingError, match=r"axis B of data/y has size 3, not B = 2 \(B = 2 by axis B of data/x\)"):
        total.run({"data/x": np.ones(2), "data/y": np.ones(3)})


def test_missing_and_unknown_inputs_are_named() -> None:
    with pytest.raises(TrainingError, match="param/W is not given"):
        compiled(LAYER).run({"data/x": X})
    with pytest.raises(TrainingError, match="has no input data/z"):
        compiled(LAYER).run({"data/x": X, "param/W": W, "data/z": X})


# ---------------------------------------------------------------- dtypes and layouts
@pytest.mark.parametrize(("dtype", "wanted"), [("f32", np.float32), ("f64", np.float64), ("f16", np.float16)])
def test_float_is_decided_when_a_program_is_compiled(dtype: str, wanted: type) -> None:
    y = compiled(LAYER, dtype).run({"data/x": X, "param/W": W})["result/y"]
    assert y.dtype == wanted
    np.testing.assert_allclose(y, X @ W, rtol=0.02, atol=0.02)


def test_a_dtype_that_no_backend_has() -> None:
    with pytest.raises(BackendError, match="f32, f64, f16, not int8"):
        compiled(LAYER, "int8")


@pytest.mark.parametrize(
    "x", [np.asfortranarray(X), np.repeat(X, 2, 0)[::2], X[::-1][::-1], X.astype("f4"), X.tolist()]
)
def test_any_layout_and_float_is_taken(x: Any) -> None:
    y = compiled(LAYER).run({"data/x": x, "param/W": np.asfortranarray(W)})["result/y"]
    np.testing.assert_allclose(y, np.asarray(x, "f8") @ W, rtol=1e-6)


PICK = """
  input data x: [B, V] as %0
  input data i: i32[B] as %1
  %2 = gather[V](%0, %1)
  output result y[B] = %2
"""


@pytest.mark.parametrize("dtype", ["i8", "i4", "u1", "i2", "u8"])
def test_labels_of_any_integer_dtype_are_taken(dtype: str) -> None:
    y = compiled(PICK).run({"data/x": X, "data/i": np.array([0, 2, 1, 0], dtype)})["result/y"]
    np.testing.assert_array_equal(y, X[np.arange(4), [0, 2, 1, 0]])


def test_integers_that_do_not_fit_and_floats_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"data/i takes int32; 4294967296 does not fit"):
        compiled(PICK).run({"data/x": X, "data/i": np.array([0, 2**32, 1, 0])})
    with pytest.raises(TrainingError, match="data/i takes int32, not float64"):
        compiled(PICK).run({"data/x": X, "data/i": np.array([0.0, 2.0, 1.0, 0.0])})


def test_an_index_out_of_range_reads_zero() -> None:
    y = compiled(PICK).run({"data/x": X, "data/i": [-1, 3, 99, 2]})["result/y"]
    assert y.tolist() == [0, 0, 0, X[3, 2]]


# ---------------------------------------------------------------- outputs
def test_results_belong_to_the_caller() -> None:
    layer = compiled(LAYER)
    first = layer.run({"data/x": X, "param/W": W})["result/y"]
    kept = first.copy()
    layer.run({"data/x": -X, "param/W": W})
    np.testing.assert_array_equal(first, kept)


def test_without_a_copy_results_are_the_programs_memory() -> None:
    layer = compiled(LAYER)
    inputs = {"data/x": X, "param/W": W}
    first = layer.run(inputs, copy=False)["result/y"]
    assert np.shares_memory(first, layer.run(inputs, copy=False)["result/y"])


def test_results_may_be_written_over_inputs() -> None:
    update = compiled(UPDATE)
    w, m, g = np.ones(3), np.full(3, 2.0), np.arange(3.0)
    found = update.run({"param/w": w, "state/m": m, "data/g": g}, out={"param/w": w, "state/m": m})
    assert found["param/w"] is w
    assert (w.tolist(), m.tolist()) == ([0, -1, -2], [1, 2, 3])
    assert found["loss/total"] == 3


def test_inputs_are_never_changed() -> None:
    update = compiled(UPDATE)
    given = {"param/w": np.ones(3), "state/m": np.ones(3), "data/g": np.ones(3)}
    update.run(given)
    assert all(array.tolist() == [1, 1, 1] for array in given.values())


# ---------------------------------------------------------------- held arrays
def test_held_arrays_are_updated_where_they_are() -> None:
    update = compiled(UPDATE)
    w, m = np.ones(3), np.full(3, 2.0)
    update.hold({"param/w": w, "state/m": m})
    for total in (3.0, -3.0):
        found = update.run({"data/g": np.arange(3.0)})
        assert found["loss/total"] == total
    assert np.shares_memory(found["param/w"], w)
    np.testing.assert_array_equal(m, [0.5, 2, 3.5])
    np.testing.assert_array_equal(w, [-0.5, -3, -5.5])


def test_held_arrays_serve_all_batch_sizes_and_may_be_exchanged() -> None:
    layer, held = compiled(LAYER), W.copy()
    layer.hold({"param/W": held})
    np.testing.assert_allclose(layer.run({"data/x": X})["result/y"], X @ W)
    held *= 2
    np.testing.assert_allclose(layer.run({"data/x": X[:2]})["result/y"], X[:2] @ W * 2)
    layer.hold({"param/W": -W})
    np.testing.assert_allclose(layer.run({"data/x": X})["result/y"], -X @ W)


@pytest.mark.parametrize("array", [np.ones((3, 2), "f4"), np.ones((2, 3)).T, np.broadcast_to(np.ones(2), (3, 2))])
def test_what_cannot_be_updated_in_place_is_not_held(array: Any) -> None:
    with pytest.raises(TrainingError, match="param/W must be held in a writeable row-major array of float64"):
        compiled(LAYER).hold({"param/W": array})


def test_only_parameters_and_states_are_held() -> None:
    with pytest.raises(TrainingError, match="has no parameter or state data/x"):
        compiled(LAYER).hold({"data/x": X})


def test_a_held_array_of_another_shape_is_an_error() -> None:
    layer = compiled(LAYER)
    layer.hold({"param/W": np.ones((3, 3))})
    with pytest.raises(TrainingError, match="axis N of param/W has size 3, not 2"):
        layer.run({"data/x": X})


def test_an_output_that_shows_an_old_parameter_shows_the_old_one() -> None:
    found = compiled("""
      input param w: [N] as %0
      %1 = add(%0, 1.0)
      output result before[N] = %0
      output param w[N] = %1
    """).run({"param/w": np.zeros(2)})
    assert (found["result/before"].tolist(), found["param/w"].tolist()) == ([0, 0], [1, 1])


def test_exchanged_parameters_are_exchanged() -> None:
    exchange = compiled("""
      input param a: [N] as %0
      input param b: [N] as %1
      output param a[N] = %1
      output param b[N] = %0
    """)
    a, b = np.zeros(2), np.ones(2)
    exchange.hold({"param/a": a, "param/b": b})
    exchange.run({}, sizes={"N": 2})
    assert (a.tolist(), b.tolist()) == ([1, 1], [0, 0])


# ---------------------------------------------------------------- looking in
def test_a_watcher_sees_every_kernel_and_what_it_wrote() -> None:
    seen: list[tuple[str, list[str]]] = []
    layer = compiled("""
      input data x: [B] as %0
      %1 = log(%0)
      %2 = sum[B](%1)
      output result y[] = %2
    """)
    layer.run(
        {"data/x": np.array([1.0, -1.0])},
        watch=lambda kernel, arrays: seen.append((kernel.steps[-1].op.name, [str(np.isnan(a).any()) for a in arrays])),
    )
    assert seen == [("log", ["True"]), ("sum", ["True"])]


def test_numbers_that_are_not_finite_give_no_warnings(recwarn: pytest.WarningsRecorder) -> None:
    y = compiled("""
      input data x: [B] as %0
      %1 = log(%0)
      %2 = div(%1, %0)
      output result y[B] = %2
    """).run({"data/x": np.array([0.0, -1.0, 1e-320])})["result/y"]
    assert np.isinf(y[0])
    assert np.isnan(y[1])
    assert not recwarn.list


def test_sizes_of_zero_reduce_to_identities() -> None:
    found = compiled("""
      input data x: [B, D] as %0
      input data w: [D, N=2] as %1
      %2 = sum[B](%0)
      %3 = max[D](%0)
      %4 = contract[D](%0, %1)
      %5 = argmax[D](%0)
      output result s[D] = %2
      output result m[B] = %3
      output result y[B, N] = %4
      output result a[B] = %5
    """).run({"data/x": np.ones((3, 0)), "data/w": np.ones((0, 2))})
    assert found["result/s"].shape == (0,)
    assert found["result/m"].tolist() == [-np.inf] * 3
    assert found["result/y"].tolist() == [[0, 0]] * 3
    assert found["result/a"].tolist() == [0, 0, 0]
