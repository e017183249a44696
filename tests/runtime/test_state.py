"""First values depend on the seed and on a weight's own path, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.runtime import recipes
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.runtime.state import count, initial, zeros


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (initial(recipes.PARAMS, seed, "float32") for seed in (5, 5, 6))
    for path in recipes.PARAMS:
        assert first[path].tobytes() == again[path].tobytes()
        assert not np.array_equal(first[path], other[path])


def test_another_parameter_changes_no_value() -> None:
    more = {"zeroth.W": recipes.weight("zeroth.W", (("F", 3),)), **recipes.PARAMS}
    few, many = initial(recipes.PARAMS, 1), initial(more, 1)
    assert all(np.array_equal(few[path], many[path]) for path in few)


def test_arrays_have_the_order_in_which_axes_were_written() -> None:
    turned = recipes.weight("first.W", (("Z", 3), ("A", 4)))
    array = initial({"first.W": turned}, 1)["first.W"]
    assert array.shape == (3, 4)
    assert array.flags.c_contiguous
    assert array.dtype == np.float32


def test_a_negative_or_huge_seed_is_taken_modulo() -> None:
    assert np.array_equal(initial(recipes.PARAMS, -1)["first.W"], initial(recipes.PARAMS, 2**31 - 1)["first.W"])


def test_both_floats_begin_with_the_same_numbers() -> None:
    single, double = initial(recipes.PARAMS, 1, "float32"), initial(recipes.PARAMS, 1, "float64")
    np.testing.assert_array_equal(single["first.W"], double["first.W"].astype(np.float32))


def test_elements_are_counted_without_making_them() -> None:
    huge = replace(recipes.PARAMS["first.W"], type=Type("float", (("A", Size.of(10**9)), ("B", Size.of(10**9)))))
    assert count([huge, recipes.PARAMS["first.b"]]) == 10**18 + 4


def test_a_stream_state_begins_as_zeros_of_the_batch() -> None:
    type_ = Type("float", (("B", Size.of("B")), ("H", Size.of(4))))
    stream = replace(recipes.STATES[recipes.MEAN], path="s", type=type_, order=("B", "H"), stream=True)
    assert initial({"s": stream}, 1) == {}
    assert zeros(stream, {"B": 6}, "float64").shape == (6, 4)
