"""The one file that knows the order of the stages.

    text ─parse→ Module ─check→ Project ─lower→ Graph ─differentiate→ Graph
         ─run_passes→ Graph ─schedule→ Program ─compile→ Executable

Checking yields graphs, so lowering is part of it; differentiating is `step.step_graph` and `step.gradient_graph`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from zhdsl.errors import BackendError, Notice
from zhdsl.source import Source

if TYPE_CHECKING:
    import numpy.typing as npt

    from zhdsl.ir.graph import Graph
    from zhdsl.lang.model import Project

    Array: TypeAlias = npt.NDArray[Any]
    Key: TypeAlias = tuple[str, str]  # (role, name) of a port

DTYPES = ("float32", "float64")
SHORT = {"float32": "f32", "float64": "f64"}  # as the backends say it


class Executable(Protocol):
    """A compiled graph. The same inputs give the same bits, every time."""

    def hold(self, arrays: Mapping[Key, Array]) -> None:
        """From now on these parameters and states live in these arrays (exact dtype, C order), where runs update them.

        They are then no inputs of `run`.
        """

    def run(self, inputs: Mapping[Key, Array]) -> dict[Key, Array]:
        """Computes all outputs.

        Args:
            inputs: by (role, name), all input ports of the graph that are not held; axes in the order of the port,
                dtypes exact.

        Returns:
            By (role, name) of the output ports, but those that are held; axes in the order of the port. The arrays
            belong to the caller.
        """

    def peak(self, sizes: Mapping[str, int]) -> int:
        """Bytes that a run takes with these sizes, all in all; 0 where that is not known."""


# ---------------------------------------------------------------- text to graphs
def checked(source: Source, folder: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Project:
    """Everything that a text defines, checked.

    Args:
        source: the text.
        folder: where `use "file.zh"` looks; `None` for a text without files.
        overrides: values for `const`s, as with `--set`.

    Raises:
        SpecError: all that is wrong with it.
    """
    from zhdsl.lang.check import check
    from zhdsl.lang.parser import parse

    return check(parse(source), folder, overrides or {})


# ---------------------------------------------------------------- graphs to executables
def compile_graph(graph: Graph, device: str = "auto", dtype: str = "float32") -> Executable:
    """A graph as something that runs.

    Args:
        graph: any closed graph.
        device: `auto`, or one of `devices()`.
        dtype: what the program's `float` is: float32 or float64.

    Raises:
        BackendError: there is no such device, or it lacks something here; the message names what.
    """
    require(device, dtype)
    name = chosen(device)
    try:
        return _COMPILERS[name](graph, dtype)
    except BackendError as error:
        if device != "auto" or name == "numpy":
            raise
        stand_in(name, error)
        return _numpy(graph, dtype)


def require(device: str, dtype: str) -> None:
    """Raises `BackendError` if there is no such device here or no such dtype."""
    if dtype not in DTYPES:
        raise BackendError(f"dtype {dtype}: there is {' and '.join(DTYPES)}")
    name = chosen(device)
    if name not in _COMPILERS:
        known = ", ".join(("auto", *devices()))
        raise BackendError(f"device {name}: {MISSING.get(name, 'there is no such device')}\nhelp: use one of {known}")


def optimized(graph: Graph, direct: bool = False) -> Graph:
    """The graph after all passes; `direct`: with those for backends that print loops."""
    from zhdsl.passes import DIRECT, LAST, PASSES, run_passes

    found = run_passes(graph, DIRECT if direct else PASSES)
    for transform in LAST if direct else ():
        found = transform(found)
    return found


def devices() -> tuple[str, ...]:
    """The names that `compile_graph` takes beside `auto`."""
    return tuple(_COMPILERS)


def chosen(device: str) -> str:
    """The device that is meant by a name: `auto` is `$ZH_DEVICE`, else the fastest one that works here.

    Where that is not the best one that there could be, a `Notice` says why, once.
    """
    if device != "auto":
        return device
    return os.environ.get("ZH_DEVICE") or _fastest()


@lru_cache(maxsize=1)
def _fastest() -> str:
    from zhdsl.backends.native import toolchain

    reason = toolchain.reason()
    if reason:
        stand_in("native", reason)
    return "numpy" if reason else "native"


def stand_in(name: str, reason: object) -> None:
    """Say in one line that NumPy computes instead of a device."""
    first = str(reason).partition("\n")[0]
    warnings.warn(f"NumPy computes, slower, since device {name} cannot: {first}", Notice, stacklevel=3)


class _Compiled:
    """An executable of a backend, which names ports `role/name`, with names as pairs."""

    def __init__(self, executable: Any):
        self._executable = executable
        self._held: frozenset[Key] = frozenset()

    def hold(self, arrays: Mapping[Key, Array]) -> None:
        self._held = frozenset(arrays)
        self._executable.hold({f"{role}/{name}": array for (role, name), array in arrays.items()})

    def run(self, inputs: Mapping[Key, Array]) -> dict[Key, Array]:
        found = self._executable.run({f"{role}/{name}": array for (role, name), array in inputs.items()})
        keys = {name: _key(name) for name in found}
        return {keys[name]: array for name, array in found.items() if keys[name] not in self._held}

    def peak(self, sizes: Mapping[str, int]) -> int:
        return int(self._executable.plan(sizes).peak)


def _key(name: str) -> Key:
    role, _, rest = name.partition("/")
    return role, rest


def _numpy(graph: Graph, dtype: str) -> Executable:
    from zhdsl.backends import numpy as backend
    from zhdsl.schedule import schedule

    return _Compiled(backend.compile(schedule(optimized(graph)), SHORT[dtype]))


def _native(graph: Graph, dtype: str) -> Executable:
    from zhdsl.backends import native as backend
    from zhdsl.schedule import schedule

    executable = backend.compile(schedule(optimized(graph, direct=True), direct=True), SHORT[dtype])
    backend.prepare([executable])
    return _Compiled(executable)


def _reference(graph: Graph, dtype: str) -> Executable:
    from zhdsl.runtime.reference import Reference

    return Reference(graph, dtype)


_COMPILERS: dict[str, Callable[[Graph, str], Executable]] = {
    "native": _native,
    "numpy": _numpy,
    "reference": _reference,
}
MISSING = {
    "cuda": "the backend for NVIDIA GPUs is not part of this version",
    "gpu": "the backend for NVIDIA GPUs is not part of this version",
}
