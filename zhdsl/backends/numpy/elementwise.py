"""Elementwise steps: ufuncs that write into memory that is there. What is no ufunc falls back on the op's meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zhdsl.backends.numpy.calls import Call, Frame, aligned, copied, same_memory
from zhdsl.backends.numpy.memory import Array
from zhdsl.ops.elementwise import Cast, IPow
from zhdsl.ops.evaluate import round_bf16
from zhdsl.schedule.program import Step
from zhdsl.schedule.tape import Fill

UFUNCS: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "neg": np.negative,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "pow": np.power,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "not": np.logical_not,
    "and": np.logical_and,
    "or": np.logical_or,
}
BITS = {1: np.dtype("i1"), 2: np.dtype("i2"), 4: np.dtype("i4"), 8: np.dtype("i8")}


def bind(frame: Frame, step: Step) -> list[Call]:
    """The calls of an elementwise step."""
    places = [frame.places(v) for v in (step.output, *step.inputs)]
    if not places[0].count:
        return []
    out, *arrays = aligned(places, step.output.labels)
    calls = _calls(step, out, arrays)
    rounded = frame.memory.program.buffers[step.output.buffer].dtype == "bf16"
    return [*calls, (_round, (out,))] if rounded else calls


def _calls(step: Step, out: Array, arrays: list[Array]) -> list[Call]:
    ufunc = UFUNCS.get(step.op.name)
    if ufunc is not None:
        return [(ufunc, (*arrays, out))]
    special = SPECIAL.get(step.op.name)
    calls = special(step, out, arrays) if special else None
    return [(_meaning, (step.op, out, arrays))] if calls is None else calls


def _meaning(op: Any, out: Array, arrays: list[Array]) -> None:
    np.copyto(out, op.numpy(*arrays))


def _round(out: Array) -> None:
    np.copyto(out, round_bf16(out))


# ---------------------------------------------------------------- what needs more than one ufunc
def _copy(step: Step, out: Array, arrays: list[Array]) -> list[Call]:
    return [copied(out, arrays[0])]


def _fill(step: Step, out: Array, arrays: list[Array]) -> list[Call]:
    assert isinstance(step.op, Fill)
    with np.errstate(all="ignore"):
        value = np.full((), step.op.value).astype(out.dtype)
    return [copied(out, value)]


def _cast(step: Step, out: Array, arrays: list[Array]) -> list[Call]:
    assert isinstance(step.op, Cast)
    return [copied(out, arrays[0])]


def _where(step: Step, out: Array, arrays: list[Array]) -> list[Call] | None:
    """A choice by bits, z ^ ((y ^ z) * c): exact for every value, and many times faster than a branch per element."""
    c, y, z = arrays
    bits = BITS[out.itemsize]
    if out.dtype == np.bool_:
        return None
    o, y_bits, z_bits = out.view(bits), y.view(bits), z.view(bits)
    if same_memory(out, z):  # z would be gone when it is needed
        return None if same_memory(out, y) else _chosen(o, y_bits, z_bits, c)
    return [
        (np.bitwise_xor, (y_bits, z_bits, o)),
        (np.multiply, (o, c, o)),
        (np.bitwise_xor, (o, z_bits, o)),
    ]


def _chosen(o: Array, y: Array, z: Array, c: Array) -> list[Call]:
    """As above where the result lies over z: y ^ ((y ^ z) * !c), with !c as 1 - c."""
    inverse = np.empty(c.shape, np.bool_)
    return [
        (np.logical_not, (c, inverse)),
        (np.bitwise_xor, (y, z, o)),
        (np.multiply, (o, inverse, o)),
        (np.bitwise_xor, (o, y, o)),
    ]


def _ipow(step: Step, out: Array, arrays: list[Array]) -> list[Call] | None:
    assert isinstance(step.op, IPow)
    (x,), k = arrays, step.op.exponent
    if k == 1:
        return [copied(out, x)]
    if k == 2:
        return [(np.multiply, (x, x, out))]
    if k == 3 and not same_memory(out, x):
        return [(np.multiply, (x, x, out)), (np.multiply, (out, x, out))]
    return [(np.reciprocal, (x, out))] if k == -1 and x.dtype.kind == "f" else None


SPECIAL: dict[str, Callable[[Step, Array, list[Array]], list[Call] | None]] = {
    "copy": _copy,
    "fill": _fill,
    "cast": _cast,
    "where": _where,
    "ipow": _ipow,
}
