"""Arrays that a user gives, checked against the ports of a graph: names, dtypes, axes, sizes, values.

In: ports and anything that NumPy takes. Out: arrays of the very dtype and layout that an executable expects, and the
values of all symbols. Everything else is a `TrainingError` that names the port, its type and what was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Port
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import axes_text
from zhdsl.lang.model import Guard
from zhdsl.lang.nearest import nearest
from zhdsl.runtime.state import array_dtype

Array: TypeAlias = npt.NDArray[Any]
KINDS = {"bool": "true or false", "i32": "whole numbers of 32 bits"}


class UnknownName(TrainingError, KeyError):
    """A name that is not there; the message offers the nearest one. Also a `KeyError`, as mappings raise."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name that is not one of `known`."""
    names = list(known)
    like = nearest(name, names)
    fix = f"did you mean {like}?" if like else f"there is {', '.join(names[:20]) or 'none'}"
    return UnknownName(f"{what} {name}: there is none of this name\nhelp: {fix}")


def taken(ports: Sequence[Port], args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Positional and named arguments, by the name of their port.

    Raises:
        TrainingError: too many, one twice, one missing, or a name that no port has.
    """
    names = [p.name for p in ports]
    listed = ", ".join(map(type_text, ports)) or "nothing"
    if len(args) > len(names):
        raise TrainingError(f"{len(args)} arrays are given for {len(names)} inputs\nhelp: it takes {listed}")
    for name in named:
        if name not in names:
            raise unknown("input", name, names)
        if name in names[: len(args)]:
            raise TrainingError(f"input {name} is given twice\nhelp: it takes {listed}")
    given = {**dict(zip(names, args, strict=False)), **named}
    missing = [name for name in names if name not in given]
    if missing:
        raise TrainingError(f"input {missing[0]} is missing\nhelp: it takes {listed}")
    return given


def type_text(port: Port) -> str:
    """`x: [B, F=2]`, axes in the order of the port."""
    type_ = port.node.type
    axes = axes_text((label, type_.sizes[label]) for label in port.order)
    return f"{port.name}: {'' if type_.dtype == 'float' else type_.dtype}{axes}"


def arrays_of(
    ports: Sequence[Port], given: Mapping[str, Any], dtype: str, finite: bool = False
) -> tuple[dict[tuple[str, str], Array], dict[str, int]]:
    """The arrays for these ports, by (role, name), and the symbols' values.

    Args:
        ports: what is wanted; all of them are in `given`.
        given: by name: arrays, nested lists or numbers.
        dtype: what the program's `float` is.
        finite: whether NaN and infinities are refused (data that one trains on).
    """
    arrays = [as_array(p, given[p.name], dtype, finite) for p in ports]
    sizes = sizes_of(ports, [a.shape for a in arrays])
    return {(p.role, p.name): a for p, a in zip(ports, arrays, strict=True)}, sizes


def as_array(port: Port, value: Any, dtype: str, finite: bool = False) -> Array:
    """One value as the array that a port takes. Sizes are not looked at, see `sizes_of`.

    Raises:
        TrainingError: not numbers, another number of axes, or values that the dtype cannot hold.
    """
    wanted = array_dtype(port.node.type, dtype)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise _misfit(port, f"this is no array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise _misfit(port, f"dtype {array.dtype} holds no numbers")
    if array.ndim != len(port.order):
        raise _misfit(port, f"shape {list(array.shape)} has {array.ndim} axes, not {len(port.order)}")
    if array.dtype != wanted:
        array = _converted(port, array, wanted)
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise _misfit(port, f"the value at {list(at)} is {array[at]}")
    return np.ascontiguousarray(array) if array.ndim else array


def _converted(port: Port, array: Array, wanted: np.dtype[Any]) -> Array:
    """The array in another dtype; integers and truth values must come through unchanged."""
    with np.errstate(all="ignore"):
        new = array.astype(wanted)
    if wanted.kind == "i" and array.dtype.kind == "f":
        raise _misfit(port, f"{array.dtype} is given", "round them yourself, with .astype(int)")
    if wanted.kind == "f" or np.array_equal(new, array):
        return new
    raise _misfit(port, f"{array.dtype} is given, not {KINDS[port.node.type.dtype]}")


def _misfit(port: Port, cause: str, fix: str = "") -> TrainingError:
    return TrainingError(f"{type_text(port)}: {cause}" + (f"\nhelp: {fix}" if fix else ""))


# ---------------------------------------------------------------- sizes
def sizes_of(ports: Sequence[Port], shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """The value of every symbol, from the shapes of arrays.

    Args:
        ports: whose axes, in the order of the port, the shapes measure.
        shapes: one per port, with as many axes.

    Raises:
        TrainingError: a size that the type excludes, or one symbol with two values.
    """
    sizes: dict[str, int] = {}
    late: list[tuple[Port, str, int, Sequence[int]]] = []
    for port, shape in zip(ports, shapes, strict=True):
        for label, n in zip(port.order, shape, strict=True):
            solved = _solved(port.node.type.sizes[label], n, sizes)
            if solved is None:
                late.append((port, label, n, shape))
            else:
                _bind(sizes, solved, port, label, shape)
    for port, label, n, shape in late:
        size = port.node.type.sizes[label]
        solved = _solved(size, n, sizes)
        if solved is not None:
            _bind(sizes, solved, port, label, shape)
        elif not _agrees(size, n, sizes):
            raise _misfit(port, f"shape {list(shape)}: axis {label} has size {n}, not {_expected(size, sizes)}")
    return sizes


def _solved(size: Size, n: int, sizes: Mapping[str, int]) -> tuple[str, Fraction] | None:
    """The one unknown symbol of a size, and the value that makes the size n; `None` where it is not that simple."""
    unknown = [s for s in size.symbols if s not in sizes]
    rest = size.substitute({s: sizes[s] for s in size.symbols if s in sizes})
    if len(unknown) != 1:
        return ("", Fraction(n)) if not unknown and rest == n else None
    terms = dict(rest.terms)
    factor, constant = terms.pop((unknown[0],), Fraction(0)), terms.pop((), Fraction(0))
    return (unknown[0], (n - constant) / factor) if factor and not terms else None


def _bind(sizes: dict[str, int], solved: tuple[str, Fraction], port: Port, label: str, shape: Sequence[int]) -> None:
    name, value = solved
    if not name:
        return
    if value.denominator != 1 or value < 0:
        size = port.node.type.sizes[label]
        raise _misfit(port, f"shape {list(shape)}: the size of {label} cannot be {size}")
    sizes[name] = value.numerator


def _agrees(size: Size, n: int, sizes: Mapping[str, int]) -> bool:
    try:
        return size.evaluate(sizes) == n
    except (KeyError, ValueError):
        return False


def _expected(size: Size, sizes: Mapping[str, int]) -> str:
    """`5`, or `T = 5` for a size that depends on others."""
    try:
        value = str(size.evaluate(sizes))
    except (KeyError, ValueError):
        return str(size)
    return value if size.number is not None else f"{size} = {value}"


def require_guards(guards: Iterable[Guard], sizes: Mapping[str, int]) -> None:
    """Checks the conditions that could not be decided before the sizes were known.

    Raises:
        TrainingError: one does not hold; the message names its place and the sizes.
    """
    for guard in guards:
        symbols = guard.left.symbols | guard.right.symbols
        if symbols <= sizes.keys() and not guard.holds(sizes):
            values = ", ".join(f"{s} = {sizes[s]}" for s in sorted(symbols))
            raise TrainingError(f"{guard.span}: {guard.text} does not hold for {values}")
