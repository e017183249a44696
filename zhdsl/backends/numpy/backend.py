"""The NumPy backend: programs bound to sizes are lists of calls on arrays that exist already."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zhdsl.backends.base import require_float, require_sizes, solve_sizes
from zhdsl.backends.numpy.calls import Call
from zhdsl.backends.numpy.kernels import Bound, bind_all
from zhdsl.backends.numpy.memory import Array, Memory, numpy_dtype
from zhdsl.errors import TrainingError
from zhdsl.schedule.memory import Plan, plan
from zhdsl.schedule.program import Entry, Kernel, Program

BINDINGS = 8  # combinations of sizes that are remembered
FLOAT_BYTES = {"f16": 2, "f32": 4, "f64": 8}

Watch = Callable[[Kernel, list[Array]], None]


class NumpyBackend:
    """Runs on any machine, one thread but for the library's products."""

    name = "numpy"

    def available(self) -> bool:
        """NumPy is a requirement of zhdsl."""
        return True

    def compile(self, program: Program, dtype: str = "f32") -> NumpyExecutable:
        """See `Backend.compile`."""
        require_float(dtype)
        return NumpyExecutable(program, dtype)


class NumpyExecutable:
    """A program with a float dtype. See `Executable`."""

    def __init__(self, program: Program, dtype: str, reuse: bool = True):
        self.program = program
        self.dtype = dtype
        self.reuse = reuse
        self._owned: dict[str, Array] = {}
        self._bindings: OrderedDict[Any, Binding] = OrderedDict()

    def plan(self, sizes: Mapping[str, int]) -> Plan:
        """See `Executable.plan`."""
        return plan(self.program, sizes, FLOAT_BYTES[self.dtype], reuse=self.reuse)

    def hold(self, arrays: Mapping[str, Array]) -> None:
        """See `Executable.hold`."""
        entries = {e.key: e for e in self.program.inputs}
        for key, array in arrays.items():
            if key not in entries or self.program.buffers[key].place != "held":
                raise TrainingError(f"{self.program.name} has no parameter or state {key}")
            wanted = numpy_dtype(entries[key].type.dtype, self.dtype)
            if array.dtype != wanted or not array.flags.c_contiguous or not array.flags.writeable:
                raise TrainingError(f"{key} must be held in a writeable row-major array of {wanted}")
        self._owned |= arrays
        self._bindings.clear()

    def run(
        self,
        inputs: Mapping[str, Any],
        *,
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
        copy: bool = True,
        watch: Watch | None = None,
    ) -> dict[str, Array]:
        """See `Executable.run`. `watch` is shown every kernel and what it wrote, to find where numbers go bad."""
        arrays = self._arrays(inputs)
        binding = self._binding(arrays, sizes)
        binding.load(arrays)
        binding.execute(watch)
        return binding.results(out or {}, copy)

    def bind(self, sizes: Mapping[str, int]) -> Binding:
        """The program with all sizes known; remembered."""
        key = tuple(sorted(sizes.items()))
        found = self._bindings.get(key)
        if found is None:
            require_sizes(self.program, sizes)
            found = self._bindings[key] = self._bound(sizes)
            if len(self._bindings) > 2 * BINDINGS:  # each is known by its sizes and by its inputs' shapes
                self._bindings.popitem(last=False)
        return found

    def _bound(self, sizes: Mapping[str, int]) -> Binding:
        return Binding(self, sizes)

    def _arrays(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """What is given, as arrays; everything that is not held must be."""
        arrays = {}
        for entry in self.program.inputs:
            if entry.key in inputs:
                value = inputs[entry.key]
                arrays[entry.key] = value if isinstance(value, np.ndarray) else np.asarray(value)
            elif entry.key not in self._owned:
                raise TrainingError(f"{self.program.name}: {entry.key} is not given")
        if len(arrays) < len(inputs):
            unknown = sorted(inputs.keys() - arrays.keys())
            raise TrainingError(f"{self.program.name} has no input {', '.join(unknown)}")
        return arrays

    def _binding(self, arrays: Mapping[str, Array], sizes: Mapping[str, int] | None) -> Binding:
        key = tuple(a.shape for a in arrays.values()), tuple(arrays), tuple(sorted((sizes or {}).items()))
        found = self._bindings.get(key)
        if found is None:
            all_arrays = {**self._owned, **arrays}
            shapes = {name: a.shape for name, a in all_arrays.items()}
            found = self.bind(solve_sizes(self.program.inputs, shapes, sizes))
        self._bindings[key] = found
        self._bindings.move_to_end(key)
        return found


class Binding:
    """A program with all sizes known: its memory, its calls, and the arrays where inputs and outputs lie.

    Beside the planned memory there are only what indices are turned into, scratch of `erf` and of random numbers, and
    what ops without a rule of their own make and drop within their one call.

    Attributes:
        inputs, outputs: arrays by key, axes in the order of the outside. Who writes to the inputs' arrays and calls
            `execute` copies nothing.
    """

    def __init__(self, executable: NumpyExecutable, sizes: Mapping[str, int]):
        program = executable.program
        self.program = program
        self.plan = executable.plan(sizes)
        self.owned = frozenset(executable._owned)
        self.memory = Memory(program, self.plan, sizes, executable.dtype, executable._owned)
        self.inputs = {e.key: self._array(e) for e in program.inputs}
        with np.errstate(all="ignore"):
            for bound in bind_all(self.memory, program.once):
                _run(bound.calls)
            self._bind()
        self.outputs = {e.key: self._array(e) for e in program.outputs}

    def _bind(self) -> None:
        """Prepare all calls of a run."""
        self.bound = list(bind_all(self.memory, self.program.kernels))
        self.calls: list[Call] = [call for b in self.bound for call in b.calls]

    def _array(self, entry: Entry) -> Array:
        return self.memory.places(entry.view).array(entry.order)

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Copy inputs in. Raises `TrainingError` for a dtype of another kind, or numbers that do not fit."""
        for key, array in arrays.items():
            into = self.inputs[key]
            if array.dtype != into.dtype:
                _require_kind(key, array, into.dtype)
            np.copyto(into, array, "unsafe")

    def execute(self, watch: Watch | None = None) -> None:
        """Run all kernels."""
        with np.errstate(all="ignore"):
            if watch is None:
                _run(self.calls)
                return
            for bound in self.bound:
                _run(bound.calls)
                watch(bound.kernel, self._written(bound))

    def _written(self, bound: Bound) -> list[Array]:
        """What a kernel has written, scratch left out. In a loop these are the arrays of its last step."""
        local = {b.name for b in self.program.of_place("local")}
        return [self.memory.places(v).array(v.labels) for v in bound.kernel.written if v.buffer not in local]

    def results(self, out: Mapping[str, Array], copy: bool) -> dict[str, Array]:
        """Outputs, as copies, in the arrays given, or as they lie; what is held is given as the array that holds it."""
        found = {}
        for key, array in self.outputs.items():
            if key in out:
                np.copyto(out[key], array, "same_kind")
                found[key] = out[key]
            else:
                found[key] = array.copy() if copy and key not in self.owned else array
        return found


def _run(calls: list[Call]) -> None:
    for function, args in calls:
        function(*args)


def _require_kind(key: str, array: Array, dtype: np.dtype[Any]) -> None:
    """Raises `TrainingError` unless the array can be taken for this dtype."""
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TrainingError(f"{key} takes {dtype}, not {array.dtype}")
    if dtype == np.int32 and array.size and array.dtype.itemsize >= dtype.itemsize:
        least, most = array.min(), array.max()
        limits = np.iinfo(np.int32)
        if least < limits.min or most > limits.max:
            raise TrainingError(f"{key} takes {dtype}; {least if least < limits.min else most} does not fit")
