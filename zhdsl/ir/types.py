"""Types of values: a dtype and a *set* of named axes with sizes.

The set is kept sorted by label, so two types are equal exactly when their text is. The order in which a user wrote
the axes is a fact of the checker; the order in memory is a choice of the scheduler.

    Type("float", B, D=512)         float[B, D=512]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from zhdsl.ir.sizes import Size, SizeLike

FLOAT = "float"  # the program's float: decided when it is compiled
FLOATS = (FLOAT, "f16", "bf16", "f32", "f64")
DTYPES = ("bool", "i32", *FLOATS)

Axis = tuple[str, Size]


class TypeProblem(Exception):
    """An op cannot take these operands. The checker adds place and help; elsewhere it is a compiler error."""


@dataclass(frozen=True)
class Type:
    """dtype and axes, sorted by label."""

    dtype: str
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(((label, Size.of(size)) for label, size in self.axes), key=lambda a: a[0]))
        object.__setattr__(self, "axes", ordered)
        if len({label for label, _ in ordered}) < len(ordered):
            raise TypeProblem(f"two axes of one name in {self}")

    @cached_property
    def sizes(self) -> dict[str, Size]:
        return dict(self.axes)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted: the canonical order."""
        return tuple(label for label, _ in self.axes)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    def index(self, label: str) -> int:
        return self.labels.index(label)

    def without(self, labels: Iterable[str]) -> Type:
        gone = set(labels)
        return Type(self.dtype, tuple(a for a in self.axes if a[0] not in gone))

    def extended(self, axes: Iterable[tuple[str, SizeLike]]) -> Type:
        return Type(self.dtype, (*self.axes, *((label, Size.of(size)) for label, size in axes)))

    def renamed(self, names: Mapping[str, str]) -> Type:
        return Type(self.dtype, tuple((names.get(label, label), size) for label, size in self.axes))

    def of_dtype(self, dtype: str) -> Type:
        return Type(dtype, self.axes)

    def count(self) -> Size:
        """Number of elements."""
        total = Size.of(1)
        for _, size in self.axes:
            total = total * size
        return total

    def substitute(self, values: Mapping[str, SizeLike]) -> Type:
        return Type(self.dtype, tuple((label, size.substitute(values)) for label, size in self.axes))

    def shape(self, sizes: Mapping[str, int], order: Iterable[str] | None = None) -> tuple[int, ...]:
        """Numbers, in `order` (default: sorted by label)."""
        return tuple(self.sizes[label].evaluate(sizes) for label in (order or self.labels))

    def __str__(self) -> str:
        return ("" if self.dtype == FLOAT else self.dtype) + axes_text(self.axes)


def axes_text(axes: Iterable[Axis]) -> str:
    """`[B, D=512]`: a label whose size is the symbol of its own name is written once."""
    return "[" + ", ".join(n if s == Size.of(n) else f"{n}={s}" for n, s in axes) + "]"


def union(types: Iterable[Type]) -> tuple[Axis, ...]:
    """The axes of a by-name operation. Raises `TypeProblem` where one label has two sizes."""
    sizes: dict[str, Size] = {}
    for type_ in types:
        for label, size in type_.axes:
            if sizes.setdefault(label, size) != size:
                raise TypeProblem(f"axes do not agree on {label}: {sizes[label]} and {size}")
    return tuple(sizes.items())
