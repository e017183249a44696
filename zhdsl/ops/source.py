"""Values that come from outside, constants and counting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.op import register
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOATS, Type
from zhdsl.ops.families import Source, number


@register
@dataclass(frozen=True)
class Input(Source):
    """Data or a counter (`seed`, `step`, `epoch`) given at run time.

    Shapes    -> the type given      Dtypes  any
    Gradient  ends here: no operands
    """

    name: ClassVar[str] = "input"
    port: str
    type: Type

    def infer(self, *types: Type) -> Type:
        return self.type


@register
@dataclass(frozen=True)
class Param(Source):
    """A trained array, known by its path.

    Shapes    -> the type given      Dtypes  any
    Gradient  ends here: no operands
    """

    name: ClassVar[str] = "param"
    path: str
    type: Type

    def infer(self, *types: Type) -> Type:
        return self.type


@register
@dataclass(frozen=True)
class State(Source):
    """An array that steps carry on but that is not trained; a constant for differentiation.

    Shapes    -> the type given      Dtypes  any
    Gradient  ends here: no operands
    """

    name: ClassVar[str] = "state"
    path: str
    type: Type

    def infer(self, *types: Type) -> Type:
        return self.type


@register
@dataclass(frozen=True)
class Slot(Source):
    """An input of a loop's body. `key` tells the bodies apart.

    Shapes    -> the type given      Dtypes  any
    Gradient  ends here: no operands
    """

    name: ClassVar[str] = "slot"
    key: int
    index: int
    type: Type

    def infer(self, *types: Type) -> Type:
        return self.type


@register
@dataclass(frozen=True, eq=False)
class Const(Source):
    """A scalar: a number, a truth value, or a size that is known at run time.

    Shapes    -> []      Dtypes  as given
    Gradient  none: no operands
    """

    name: ClassVar[str] = "const"
    value: float | int | bool | Size
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype in FLOATS and not isinstance(self.value, Size):
            object.__setattr__(self, "value", float(self.value))
        elif isinstance(self.value, Size) and self.value.number is not None:
            object.__setattr__(self, "value", self.value.number)
            self.__post_init__()

    @property
    def _key(self) -> tuple[str, str, object]:
        # 0.0 == -0.0 and nan != nan: the text tells them apart
        value = self.value if isinstance(self.value, Size) else repr(self.value)
        return self.dtype, type(self.value).__name__, value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def infer(self, *types: Type) -> Type:
        return Type(self.dtype)

    def numpy(self, *, dtype: type[np.generic]) -> Array:
        value = number(self.value) if isinstance(self.value, Size) else self.value
        return np.asarray(value, dtype)

    def is_value(self, value: float) -> bool:
        """Whether it is this very number (and not nan)."""
        return not isinstance(self.value, Size | bool) and self.value == value and not math.isnan(value)


@register
@dataclass(frozen=True)
class Iota(Source):
    """The numbers 0 … size-1 along an axis of their own.

    Shapes    -> [label=size]      Dtypes  i32
    Gradient  none: no operands
    """

    name: ClassVar[str] = "iota"
    label: str
    size: Size

    def infer(self, *types: Type) -> Type:
        return Type("i32", ((self.label, self.size),))

    def numpy(self) -> Array:
        return np.arange(number(self.size), dtype=np.int32)
