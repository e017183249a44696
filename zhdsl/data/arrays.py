"""`Arrays`: what every data set is once it is loaded, and what can be asked of it without training.

A field is one array whose first axis runs over the samples: `image: float32 [B, 8, 8]`, `label: int32 [B]`.
Arrays are read-only from here on; a run works on copies (batches).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.data.faults import fault, printable

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int | None, ...]
Fields: TypeAlias = Mapping[str, tuple[Shape, str]]
"""Field name -> (shape of one sample, `None` where any size will do; kind: "float", "i32" or "bool")."""

DTYPES = {"float": np.float32, "i32": np.int32, "bool": np.bool_}
ALLOWED = ("float32", "float64", "int32", "bool")
FEW_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Arrays:
    """The samples of a data set, by field.

    Attributes:
        fields: name -> array [B, ...] of float32, float64, int32 or bool, C order, read-only; B is the same in all.
        attribution: who made the data, in one line or a few, to be printed with results.
        splits: ready splits, name -> indices int64; `None` when the run makes its own (see `split`).
        labels: the field to stratify by, one value per sample; `None` where there is no class.
        names: for integer fields, the text that each id stands for: names of classes, characters, words.
        streams: 0 when samples are independent. n > 0: sample i + n goes on where sample i stopped, so batches are n
            consecutive samples, in order; such data are never shuffled.
    """

    fields: Mapping[str, Array]
    attribution: str
    splits: Mapping[str, Array] | None = None
    labels: str | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    streams: int = 0

    def __post_init__(self) -> None:
        for name, values in self.fields.items():
            _check_field(name, values)
        sizes = {name: len(values) for name, values in self.fields.items()}
        if len(set(sizes.values())) != 1:
            listed = ", ".join(f"{name}: {n}" for name, n in sizes.items()) or "no fields at all"
            raise fault(
                self.attribution or "data",
                f"fields do not have one number of samples ({listed})",
                "give one row per sample",
            )
        if not self.size:
            raise fault(
                self.attribution or "data", "there are no samples", "check the file, or the size that was asked for"
            )
        object.__setattr__(self, "fields", {name: _read_only(values) for name, values in self.fields.items()})

    @cached_property
    def size(self) -> int:
        """Number of samples B."""
        return len(next(iter(self.fields.values())))

    def take(self, indices: Array) -> Arrays:
        """The samples `indices`: int64 [b], in that order, with everything else that is known of them."""
        return replace(self, fields={k: v[indices] for k, v in self.fields.items()}, splits=None)


def _check_field(name: str, values: Array) -> None:
    if values.dtype.name not in ALLOWED:
        raise fault(f"field `{name}`", f"dtype {values.dtype} is not one of {', '.join(ALLOWED)}", "convert it")
    if values.ndim == 0:
        raise fault(f"field `{name}`", "it is one number, without an axis of samples", "give one row per sample")


def _read_only(values: Array) -> Array:
    view = np.ascontiguousarray(values).view()
    view.setflags(write=False)
    return view


def fingerprint(arrays: Arrays) -> str:
    """SHA-256 (hex) of the fields' names, dtypes, shapes and bytes: a checkpoint keeps it to notice changed data.

    It does not depend on the order of the fields, on memory layout or on the machine's byte order.
    """
    digest = sha256()
    for name in sorted(arrays.fields):
        values = np.ascontiguousarray(arrays.fields[name])
        head = repr((name, values.dtype.name, values.shape)).encode()
        digest.update(len(head).to_bytes(8, "little") + head)
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def class_field(arrays: Arrays) -> str | None:
    """The field to stratify by: `arrays.labels`, else `label`, else the only integer with one value per sample.

    A field of more than `FEW_CLASSES` different values, or of more than half as many as there are samples, is no
    class. `None` when nothing fits.
    """
    scalars = [k for k, v in arrays.fields.items() if v.size == arrays.size and v.dtype in (np.int32, np.bool_)]
    chosen = arrays.labels or ("label" if "label" in scalars else scalars[0] if len(scalars) == 1 else None)
    if chosen is None or arrays.fields[chosen].size != arrays.size:
        return None
    return chosen if len(np.unique(arrays.fields[chosen])) <= min(FEW_CLASSES, max(2, arrays.size // 2)) else None


def class_counts(arrays: Arrays, by: str | None = None) -> dict[str, int]:
    """How many samples each class has, by its name (or number), in order of the class; empty without classes."""
    chosen = by or class_field(arrays)
    if chosen is None:
        return {}
    values, counts = np.unique(arrays.fields[chosen], return_counts=True)
    names = arrays.names.get(chosen, ())
    texts = [names[int(v)] if names else f"{float(v):g}" for v in values]
    return dict(zip(texts, map(int, counts), strict=True))


def describe(arrays: Arrays) -> list[str]:
    """Lines to print before training: samples, fields, classes with their counts and indices, attribution."""
    lines = [f"{arrays.size:,} samples"]
    lines += [f"  {name}: {values.dtype.name} {list(values.shape[1:])}" for name, values in arrays.fields.items()]
    chosen, counts = class_field(arrays), class_counts(arrays)
    if counts:
        lines.append(f"classes of `{chosen}`: " + ", ".join(f"{name}: {n}" for name, n in counts.items()))
    if chosen is not None and chosen in arrays.names:
        lines.append("indices: " + ", ".join(f"{name} = {i}" for i, name in enumerate(arrays.names[chosen])))
    return [printable(line) for line in (*lines, *arrays.attribution.splitlines())]


def conform(found: Mapping[str, Array], fields: Fields, place: str) -> dict[str, Array]:
    """The declared fields, taken out of `found`, in the declared shape and kind.

    Args:
        found: name -> array [B, ...] of any real dtype, byte order and layout.
        fields: what is wanted; further arrays of `found` are left out.
        place: file or data set, for errors.

    Raises:
        TrainingError: a field is missing, has another shape, or values that its kind cannot hold.
    """
    return {name: _conform_one(name, found, shape, kind, place) for name, (shape, kind) in fields.items()}


def _conform_one(name: str, found: Mapping[str, Array], shape: Shape, kind: str, place: str) -> Array:
    if name not in found:
        raise fault(place, f"there is no field `{name}`; there are {_listed(found)}", f"name an array `{name}`")
    values, where = found[name], f"{place}, field `{name}`"
    want = "[B" + "".join(f", {'any' if n is None else n}" for n in shape) + "]"
    if values.ndim == 0:
        raise fault(where, f"it is one number, {want} is declared", "give one row per sample")
    same = values.ndim == len(shape) + 1 and all(n in (None, m) for n, m in zip(shape, values.shape[1:], strict=True))
    if not same:
        raise fault(where, f"one array of shape {list(values.shape)}, {want} is declared", "reshape it, or the type")
    return to_kind(values, kind, where)


def _listed(found: Mapping[str, Array]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(found)[:20]) or "none"


def to_kind(values: Array, kind: str, place: str) -> Array:
    """`values` as float32, int32 or bool without loss of meaning.

    Raises:
        TrainingError: not real numbers; NaN or infinite; a fraction or a number beyond 32 bits for "i32"; anything
            but 0 and 1 for "bool". The message names the first such sample.
    """
    if values.dtype.kind not in "biuf":
        raise fault(place, f"dtype {values.dtype} holds no real numbers", "store numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        new: Array = np.ascontiguousarray(values.astype(DTYPES[kind], order="C"))
        bad = ~np.isfinite(new) if kind == "float" else new != values
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"sample {at[0]}" + (f" at {list(at[1:])}" if at[1:] else "")
        raise fault(place, f"{where} is {values[at]!s}, which is no {MEANING[kind]}", "mend or drop that sample")
    return new


MEANING = {"float": "finite float32", "i32": "integer of 32 bits", "bool": "0 or 1"}
