"""Any op by its own meaning: operands in canonical order, the result copied into place. Slow and right."""

from __future__ import annotations

from typing import Any

import numpy as np

from zhdsl.backends.numpy.calls import Call, Frame
from zhdsl.backends.numpy.memory import Array
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.source import Const
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import View


def bind(frame: Frame, step: Step) -> list[Call]:
    """One call of `op.numpy` and a copy."""
    op = step.op.bind(frame.memory.sizes)
    arrays = tuple(frame.array(v, sorted(v.labels)) for v in step.inputs)
    types = tuple(concrete(frame, v) for v in step.inputs)
    out = frame.array(step.output, sorted(step.output.labels))
    return [(_meaning, (op, out, arrays, types, concrete(frame, step.output)))]


def concrete(frame: Frame, view: View) -> Type:
    """The view's type with numbers for sizes."""
    dtype = frame.memory.program.buffers[view.buffer].dtype
    dims = frame.places(view).dims
    return Type(dtype, tuple((label, Size.of(size)) for label, (size, _) in dims.items()))


def _meaning(op: Any, out: Array, arrays: tuple[Array, ...], types: tuple[Type, ...], type_: Type) -> None:
    if out.size:
        np.copyto(out, op.numpy(*arrays, types=types, out=type_), "unsafe")


def bind_source(frame: Frame, step: Step) -> list[Call]:
    """A constant or a count: computed here, for it never changes."""
    op = step.op.bind(frame.memory.sizes)
    more = {"dtype": frame.memory.dtype(op.dtype)} if isinstance(op, Const) else {}
    return [(_source, (op, frame.array(step.output), more))]


def _source(op: Any, out: Array, more: dict[str, Any]) -> None:
    np.copyto(out, op.numpy(**more))
