"""What a backend is, and what all of them do alike: finding sizes from shapes, checking what is given.

    executable = backend.compile(program, "f32")
    executable.hold({"param/W": W})                 # these arrays are read and updated where they are
    losses = executable.run({"data/x": x, "counter/step": 3})["loss/loss"]

Inputs and outputs are named `role/name`. A program has no fixed sizes: each new combination of shapes is bound once
(memory laid out, views made) and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Protocol

from zhdsl.errors import BackendError, TrainingError
from zhdsl.ir.arrays import Array
from zhdsl.ir.sizes import Size
from zhdsl.schedule.memory import Plan
from zhdsl.schedule.program import Entry, Program

FLOAT_DTYPES = ("f32", "f64", "f16")
Shapes = Mapping[str, tuple[int, ...]]


class Executable(Protocol):
    """A compiled program."""

    program: Program

    def hold(self, arrays: Mapping[str, Array]) -> None:
        """From now on these parameters and states live in these arrays, of exactly their dtype and shape, row-major.

        They are then no inputs of `run`; what a run writes to them is in the arrays when it returns.
        """

    def run(
        self,
        inputs: Mapping[str, Any],
        *,
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
        copy: bool = True,
    ) -> dict[str, Array]:
        """Run once.

        Args:
            inputs: all inputs that are not held; axes in the order of the port. They are read before anything is
                written.
            sizes: symbols that no shape tells.
            out: arrays to write outputs into; they may be the inputs' own.
            copy: with `False`, outputs may be the program's own memory, good until the next run.

        Raises:
            TrainingError: an input is missing, unknown, of another kind of dtype, or does not fit the others' sizes.
        """

    def plan(self, sizes: Mapping[str, int]) -> Plan:
        """How much memory a run takes with these sizes, before any is taken."""


class Backend(Protocol):
    """A way to run programs."""

    name: str

    def available(self) -> bool:
        """Whether this machine has what it needs."""

    def compile(self, program: Program, dtype: str = "f32") -> Executable:
        """Make a program ready to run; `dtype` is what its `float` shall be: f32, f64 or f16.

        Raises:
            BackendError: the backend does not know the dtype.
        """


def require_float(dtype: str) -> None:
    """Raises `BackendError` unless it can be a program's float."""
    if dtype not in FLOAT_DTYPES:
        raise BackendError(f"a program's float can be {', '.join(FLOAT_DTYPES)}, not {dtype}")


def solve_sizes(entries: Iterable[Entry], shapes: Shapes, given: Mapping[str, int] | None = None) -> dict[str, int]:
    """Values of symbols from the shapes of inputs.

    Args:
        entries: the inputs whose shapes are given.
        shapes: by key.
        given: symbols that are known already.

    Raises:
        TrainingError: an input has too many or few axes, or an axis that does not fit; the message names it.
    """
    known = dict(given or {})
    told = dict.fromkeys(known, "the sizes given")
    open_axes = []
    for entry in entries:
        shape = shapes[entry.key]
        if len(shape) != len(entry.order):
            raise TrainingError(f"{entry.key} is {_axes(entry)}, but has shape {list(shape)}")
        open_axes += [(entry, label, size, n) for (label, size), n in zip(entry.axes, shape, strict=True)]
    while open_axes:  # sizes may need symbols that a later axis tells
        waiting = [axis for axis in open_axes if not _solve(*axis, known, told)]
        if len(waiting) == len(open_axes):
            break
        open_axes = waiting
    return known


def _solve(entry: Entry, label: str, size: Size, found: int, known: dict[str, int], told: dict[str, str]) -> bool:
    """Learn a symbol from an axis or compare it; `False` if it has two unknown symbols or is not linear in one."""
    unknown = [s for s in sorted(size.symbols) if s not in known]
    where = f"axis {label} of {entry.key}"
    if not unknown:
        wanted = size.evaluate(known)
        if wanted != found:
            why = ", ".join(f"{s} = {known[s]} by {told[s]}" for s in sorted(size.symbols))
            raise TrainingError(f"{where} has size {found}, not {size}" + (f" = {wanted} ({why})" if why else ""))
        return True
    if len(unknown) > 1:
        return False
    value = _root(size, unknown[0], found, known)
    if value is None:
        return False
    if value < 0 or size.evaluate({**known, unknown[0]: value}) != found:
        raise TrainingError(f"{where} has size {found}, which is no {size}")
    known[unknown[0]], told[unknown[0]] = value, where
    return True


def _root(size: Size, symbol: str, found: int, known: Mapping[str, int]) -> int | None:
    """The value of the only unknown symbol where the size is linear in it; -1 where it would be no whole number."""
    terms = dict(size.substitute(known).terms)
    slope, start = terms.pop((symbol,), None), terms.pop((), Fraction(0))
    if slope is None or terms:
        return None
    value = (found - start) / slope
    return value.numerator if value.denominator == 1 else -1


def require_sizes(program: Program, sizes: Mapping[str, int]) -> None:
    """Raises `TrainingError` where a symbol has no value."""
    missing = sorted(program.symbols - sizes.keys())
    if missing:
        raise TrainingError(f"{program.name}: the inputs do not tell {', '.join(missing)}; give it by `sizes`")


def _axes(entry: Entry) -> str:
    text = ", ".join(n if s == Size.of(n) else f"{n}={s}" for n, s in entry.axes)
    return f"[{text}]"
