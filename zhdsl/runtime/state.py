"""First values of parameters and states.

In: `Weight`s and a seed. Out: one array each, its axes in the order in which they were written. A weight's random
numbers depend on the seed and on its own path, so adding a parameter changes no other's first values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.ir.types import Type
from zhdsl.lang.model import Weight
from zhdsl.ops.evaluate import evaluate, numpy_dtype

Array: TypeAlias = npt.NDArray[Any]


def initial(weights: Mapping[str, Weight], seed: int, dtype: str = "float32") -> dict[str, Array]:
    """The first values of all weights but stream states, which begin as zeros of a size that the batch decides.

    Args:
        weights: by path.
        seed: any number; it is taken modulo 2^31.
        dtype: what the program's `float` is.

    Returns:
        path -> array of its own, C order, axes in `Weight.order`.
    """
    return {path: first_value(w, seed, dtype) for path, w in weights.items() if not w.stream}


def first_value(weight: Weight, seed: int, dtype: str) -> Array:
    """One weight's first value: its `init` graph, run."""
    given = {port.node: np.int32(seed_word(seed)) for port in weight.init.inputs}
    (value,) = evaluate([weight.init.output("init").node], given, {}, dtype)
    return arranged(value, weight.type.labels, weight.order)


def zeros(weight: Weight, sizes: Mapping[str, int], dtype: str) -> Array:
    """A stream state at the start of a pass: zeros [order], its symbols taken from `sizes`."""
    return np.zeros(weight.type.shape(sizes, weight.order), numpy_dtype(weight.type.dtype, dtype))


def count(weights: Iterable[Weight]) -> int:
    """The number of elements, found without making them."""
    return sum(w.type.count().evaluate({}) for w in weights)


def seed_word(seed: int) -> int:
    """A seed as the counter that graphs take: 31 bits, so that it fits an i32."""
    return seed & 0x7FFFFFFF


def arranged(array: Array, labels: Iterable[str], order: Iterable[str]) -> Array:
    """`array`, whose axes are `labels`, as an array of its own in C order with its axes in `order`."""
    has = list(labels)
    return np.array(np.transpose(array, [has.index(label) for label in order]), order="C")


def array_dtype(type_: Type, dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of a value of this type."""
    found: np.dtype[Any] = numpy_dtype(type_.dtype, dtype)
    return found
