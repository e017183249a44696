"""Memory of a program for given sizes: one arena, one flat array per buffer, views as strided arrays on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zhdsl.errors import BackendError
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT
from zhdsl.schedule.memory import ALIGN, Plan
from zhdsl.schedule.program import Buffer, Program
from zhdsl.schedule.views import View

NUMPY = {"bool": "?", "i32": "i4", "f16": "f2", "bf16": "f4", "f32": "f4", "f64": "f8"}  # bf16: rounded after every op

Array = NDArray[Any]
T = TypeVar("T")


def numpy_dtype(dtype: str, float_: str) -> np.dtype[Any]:
    """The NumPy dtype of an IR dtype, a program's `float` being `float_`."""
    return np.dtype(NUMPY[float_ if dtype == FLOAT else dtype])


def aligned_bytes(count: int) -> NDArray[np.uint8]:
    """Uninitialised bytes from an aligned address on."""
    whole = np.empty(count + ALIGN, np.uint8)
    start = -whole.ctypes.data % ALIGN
    return whole[start : start + count]


@dataclass(frozen=True)
class Places:
    """A view in numbers: an array's flat memory, and for every label size and stride, in elements."""

    flat: Array
    offset: int
    dims: dict[str, tuple[int, int]]

    @property
    def count(self) -> int:
        total = 1
        for size, _ in self.dims.values():
            total *= size
        return total

    def array(self, labels: Iterable[str]) -> Array:
        """The elements with axes in this order; a label that the view lacks has size 1."""
        dims = [self.dims.get(label, (1, 0)) for label in labels]
        return strided(self.flat, self.offset, [n for n, _ in dims], [s for _, s in dims])


def strided(flat: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A view of flat memory; offset and strides in elements."""
    if 0 in shape:
        return np.empty(shape, flat.dtype)
    item = flat.itemsize
    try:
        return np.ndarray(tuple(shape), flat.dtype, flat.data, offset * item, tuple(s * item for s in strides))
    except (ValueError, TypeError) as error:
        raise BackendError(f"numpy: a view reaches out of its buffer ({error})") from error


class Memory:
    """All arrays of a program for given sizes.

    Args:
        program: whose buffers.
        plan: where they lie in the arena.
        sizes: values of all symbols; loops add their counters for a while.
        float_: what `float` is.
        held: arrays that stand for held buffers, by key.
    """

    def __init__(self, program: Program, plan: Plan, sizes: Mapping[str, int], float_: str, held: Mapping[str, Array]):
        self.program = program
        self.float = float_
        self.sizes = dict(sizes)
        self.arena = aligned_bytes(plan.arena)
        self._plan = plan
        self._flat: dict[str, Array] = {name: array.reshape(-1) for name, array in held.items()}
        self._made_before: dict[object, Any] = {}
        self._numbers: dict[Size, tuple[int, tuple[tuple[str, int], ...]]] = {}

    def remembered(self, key: object, make: Callable[[], T]) -> T:
        """What was made for this key before."""
        if key not in self._made_before:
            self._made_before[key] = make()
        found: T = self._made_before[key]
        return found

    def number(self, size: Size) -> int:
        """The value of a size; offsets in loops are affine in the loops' counters."""
        known = self._numbers.get(size)
        if known is None:
            known = self._numbers[size] = self._affine(size)
        start, steps = known
        return start if not steps else start + sum(self.sizes[counter] * step for counter, step in steps)

    def _affine(self, size: Size) -> tuple[int, tuple[tuple[str, int], ...]]:
        counters = sorted(symbol for symbol in size.symbols if symbol.startswith("@"))
        zero = {**self.sizes, **dict.fromkeys(counters, 0)}
        start = size.evaluate(zero)
        return start, tuple((c, size.evaluate({**zero, c: 1}) - start) for c in counters)

    def dtype(self, dtype: str) -> np.dtype[Any]:
        return numpy_dtype(dtype, self.float)

    def flat(self, name: str) -> Array:
        """The memory of a buffer, one-dimensional."""
        if name not in self._flat:
            self._flat[name] = self._made(self.program.buffers[name])
        return self._flat[name]

    def _made(self, buffer: Buffer) -> Array:
        dtype, count = self.dtype(buffer.dtype), self.number(buffer.count)
        offset = self._plan.offsets.get(buffer.name)
        if offset is None or buffer.place in ("const", "held") or not count:
            return aligned_bytes(count * dtype.itemsize).view(dtype)
        return self.arena[offset : offset + count * dtype.itemsize].view(dtype)

    def places(self, view: View) -> Places:
        """A view in numbers."""
        if any(symbol.startswith("@") for symbol in view.symbols):
            return self._places(view)
        return self.remembered(view, lambda: self._places(view))

    def _places(self, view: View) -> Places:
        dims = {label: (self.number(size), self.number(stride)) for label, size, stride in view.dims}
        return Places(self.flat(view.buffer), self.number(view.offset), dims)
