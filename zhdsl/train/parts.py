"""Which samples train, which validate, which test.

    the data set has parts of its own     they are kept; a missing validation part is cut from training
    `valid` is another data set           it validates; the data set itself trains
    `valid = f`                           15 % test, of the rest the fraction f validates, the others train
    neither, and `batch = all`            all samples train and are measured (small exact problems)
    neither                               70 % train, 15 % validate, 15 % test

Cuts are seeded and stratified by class. With fewer than `FEW` samples, or `valid = 0`, nothing is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zhdsl import data
from zhdsl.data import Arrays
from zhdsl.data.faults import printable
from zhdsl.errors import TrainingError
from zhdsl.runtime.arguments import require_guards, sizes_of
from zhdsl.runtime.spec import DatasetUse, Recipe
from zhdsl.runtime.state import array_dtype

FEW = 20
TEST = 0.15
VALID = 0.15
SHOWN = 20  # classes whose counts are told
NOTICED_BYTES = 256 * 2**20  # more than this is not searched for samples that are in two parts


@dataclass(frozen=True)
class Parts:
    """The data of a run.

    Attributes:
        train: what is learnt from.
        valid: what decides which weights are best; `None`: that is decided on `train`.
        test: what nothing is decided on; `None` where there is none.
        fingerprint: SHA-256 of the data, before they were cut.
        notes: what a user should know, one line each.
    """

    train: Arrays
    valid: Arrays | None
    test: Arrays | None
    fingerprint: str
    notes: tuple[str, ...]

    @property
    def watched(self) -> tuple[str, Arrays]:
        """The part on which weights are compared."""
        return ("train", self.train) if self.valid is None else ("valid", self.valid)

    @property
    def final(self) -> tuple[str, Arrays]:
        """The part on which the finished model is measured."""
        return self.watched if self.test is None else ("test", self.test)

    @property
    def counts(self) -> dict[str, int]:
        """Samples by part."""
        return {name: part.size for name, part in self.named.items()}

    @property
    def named(self) -> dict[str, Arrays]:
        """The parts that there are, by name."""
        found = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}


def parts_of(recipe: Recipe, folder: Path, seed: int, dtype: str, given: Mapping[str, Any] | None = None) -> Parts:
    """Loads the data of a recipe and cuts them.

    Args:
        recipe: says which data.
        folder: where the user's files lie.
        seed: decides the cut.
        dtype: what the program's `float` is; fields come in it.
        given: arrays by field, instead of the data set.

    Raises:
        TrainingError: there is no such data set, or it is not what the recipe declares.
    """
    arrays = whole(recipe, folder, dtype, given)
    found, mark = _cut(recipe, arrays, seed), data.fingerprint(arrays)
    if isinstance(recipe.valid, DatasetUse):
        found["valid"] = _conformed(recipe.valid, load(recipe.valid, folder), dtype)
        mark += "+" + data.fingerprint(found["valid"])
    return Parts(found["train"], found.get("valid"), found.get("test"), mark, _notes(found))


def whole(recipe: Recipe, folder: Path, dtype: str, given: Mapping[str, Any] | None = None) -> Arrays:
    """All the data of a recipe, checked against what it declares, in the dtypes of the program. See `parts_of`."""
    found = _given(recipe, given) if given is not None else load(recipe.data, folder)
    fitting = _conformed(recipe.data, found, dtype)
    _check_sizes(recipe, fitting)
    return fitting


def load(use: DatasetUse, folder: Path) -> Arrays:
    """The data set that a recipe names: a registered one, or the user's file that the spec declares."""
    if "file" in use.statics and use.name not in data.known():
        fields = {p.name: (_sample_shape(p), _kind(p)) for p in use.fields}
        return data.read_table(str(use.statics["file"]), fields, folder)
    return data.load(use.name, use.statics, folder)


def _given(recipe: Recipe, given: Mapping[str, Any]) -> Arrays:
    import numpy as np

    fields = {name: np.asarray(values) for name, values in given.items()}
    names = {p.name for p in recipe.data.fields}
    if fields.keys() != names:
        raise TrainingError(f"the data have fields {', '.join(sorted(names))}; {', '.join(sorted(fields))} are given")
    kinds = {p.name: ((None,) * (len(p.order) - 1), _kind(p)) for p in recipe.data.fields}
    return Arrays(data.conform(fields, kinds, "the data"), "given in Python")


def _sample_shape(port: Any) -> tuple[int | None, ...]:
    """Sizes of the axes after the batch; `None` for those that the text leaves open."""
    return tuple(port.node.type.sizes[label].number for label in port.order[1:])


def _kind(port: Any) -> str:
    return "float" if port.node.type.is_float else str(port.node.type.dtype)


def _conformed(use: DatasetUse, arrays: Arrays, dtype: str) -> Arrays:
    """The declared fields, in the declared shapes and in the dtypes of the program."""
    wanted = {p.name: (_sample_shape(p), _kind(p)) for p in use.fields}
    found = data.conform(arrays.fields, wanted, f"data set {use.name}")
    fields = {p.name: found[p.name].astype(array_dtype(p.node.type, dtype), copy=False) for p in use.fields}
    kept = {name: texts for name, texts in arrays.names.items() if name in fields}
    labels = arrays.labels if arrays.labels in fields else None
    return replace(arrays, fields=fields, names=kept, labels=labels)


def _check_sizes(recipe: Recipe, arrays: Arrays) -> None:
    ports = recipe.data.fields
    sizes = sizes_of(ports, [arrays.fields[p.name].shape for p in ports])
    batch = ports[0].node.type.sizes[recipe.batch_axis].symbols
    require_guards(recipe.guards, {name: n for name, n in sizes.items() if name not in batch})


def _cut(recipe: Recipe, arrays: Arrays, seed: int) -> dict[str, Arrays]:
    ready, valid = dict(arrays.splits or {}), recipe.valid
    if isinstance(valid, DatasetUse) or valid == 0:
        return data.split(arrays, None, seed) if ready else {"train": arrays}
    if "valid" in ready:
        return data.split(arrays, None, seed)
    if ready:
        fraction = VALID if valid is None else valid
        return data.split(arrays, {"train": 1 - fraction, "valid": fraction}, seed)
    if arrays.size < FEW or (valid is None and recipe.batch == "all"):
        return {"train": arrays}
    rest = 1 - TEST
    fraction = VALID / rest if valid is None else valid
    return data.split(arrays, {"train": rest * (1 - fraction), "valid": rest * fraction, "test": TEST}, seed)


def _notes(found: Mapping[str, Arrays]) -> tuple[str, ...]:
    notes = [", ".join(f"{name}: {part.size:,}" for name, part in found.items()) + " samples"]
    if counts := data.class_counts(found["train"]):
        notes.append("classes to learn: " + listed(counts))
    if "valid" not in found:
        notes.append("there is no validation part: weights are compared on the training data")
    total = sum(values.nbytes for part in found.values() for values in part.fields.values())
    if total <= NOTICED_BYTES and len(found) > 1:
        notes += data.notices(found)
    return (*notes, *(line for line in found["train"].attribution.splitlines()))


def listed(counts: Mapping[str, int]) -> str:
    """`cat: 12, dog: 30`; of many only the first and how many there are."""
    shown = [f"{printable(name)}: {n:,}" for name, n in list(counts.items())[:SHOWN]]
    return ", ".join([*shown, *([f"… of {len(counts):,}"] if len(counts) > SHOWN else [])])
