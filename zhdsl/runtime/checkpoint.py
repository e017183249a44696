"""A run in a file: arrays and everything else that is needed to go on, or to use the model without its `.zh` file.

`Record` is what is not an array; `Checkpoint` is both. A file is one safetensors file (`tensor_file`), replaced whole
or not at all (`files`). It is verified completely before anything is done with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import __version__
from zhdsl.errors import TrainingError
from zhdsl.runtime import tensor_file
from zhdsl.runtime.files import write_whole

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]  # (role, name); role is param or state

FORMAT = 1
LAST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"
DIFFERENCES = 10


@dataclass(frozen=True)
class Record:
    """What a checkpoint says beside its arrays.

    Attributes:
        texts: every `.zh` text of the spec by name, exactly as it was; `root` is the one that was given.
        overrides: values set from outside (`--set`).
        model, recipe: which of the things in the spec this is; the recipe is empty for a model alone.
        dtype, seed: of the run.
        epoch, batch: the next batch to be done; step: steps done so far.
        best: (value of the watched metric, epoch) of the best weights so far; waited: evaluations since.
        data: fingerprint of the training data; empty outside of a run.
        logged: bytes of `metrics.jsonl` that belong to this state.
        loss_sum, loss_count: of the steps of the unfinished epoch, weighted by samples.
        states: names of the arrays that are states; the others are parameters.
    """

    texts: Mapping[str, str]
    root: str
    model: str
    dtype: str
    seed: int
    recipe: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: tuple[float, int] | None = None
    waited: int = 0
    data: str = ""
    logged: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    states: tuple[str, ...] = ()
    version: str = __version__
    format: int = FORMAT

    @property
    def spec_hash(self) -> str:
        """SHA-256 of what was compiled: texts, overrides and the names chosen from them."""
        chosen = [dict(self.texts), self.root, dict(self.overrides), self.model, self.recipe]
        return sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by (role, name), and the record."""

    arrays: Mapping[Key, Array]
    record: Record


# ---------------------------------------------------------------- to and from bytes
def encode(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; equal checkpoints give equal bytes."""
    arrays = {name: array for (_, name), array in checkpoint.arrays.items()}
    states = sorted(name for role, name in checkpoint.arrays if role == "state")
    if len(arrays) < len(checkpoint.arrays):
        twice = sorted(set(states) & {name for role, name in checkpoint.arrays if role == "param"})
        raise TrainingError(f"{twice[0]} is a parameter and a state\nhelp: rename one of them")
    record = asdict(checkpoint.record) | {"states": states, "spec": checkpoint.record.spec_hash}
    return tensor_file.encode(arrays, json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False))


def write(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Replaces the file at `path`, durably. Raises `BackendError`, the old file being whole."""
    write_whole(path, encode(checkpoint))


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint, verified.

    Raises:
        TrainingError: the file is missing, damaged, of another format, or not a checkpoint of zhdsl.
    """
    arrays, note = tensor_file.read(path)
    record = _record(note, Path(path))
    roles = {name: "state" if name in record.states else "param" for name in arrays}
    return Checkpoint({(role, name): arrays[name] for name, role in roles.items()}, record)


def _record(note: str, path: Path) -> Record:
    """The record, every field of its kind and no other field."""
    found = tensor_file.parsed(note, path)
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        tensor_file.refuse(path, "it holds no record of a run")
    if found["format"] != FORMAT:
        raise TrainingError(
            f"{path}: it was written by zhdsl {found.get('version')}, in format {found['format']}\n"
            f"help: this is zhdsl {__version__}, which reads format {FORMAT}"
        )
    spec = found.pop("spec", None)
    for name in found.keys() ^ KINDS.keys():
        tensor_file.refuse(path, f"its record has {'no' if name in KINDS else 'an unknown'} field {name!r}")
    for name, kinds in KINDS.items():
        if type(found[name]) not in kinds:
            tensor_file.refuse(path, f"the field {name!r} of its record is of the wrong kind")
    best = found["best"]
    if best is not None and [type(v) for v in best] != [float, int]:
        tensor_file.refuse(path, "the field 'best' of its record is of the wrong kind")
    if not all(isinstance(t, str) for t in (*found["texts"].values(), *found["states"])):
        tensor_file.refuse(path, "its record holds something else than texts")
    record = Record(**{**found, "best": tuple(best) if best else None, "states": tuple(found["states"])})
    if record.spec_hash != spec or record.root not in record.texts:
        tensor_file.refuse(path, "its spec has changed since it was written")
    return record


_JSON: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "Mapping[str, str]": (dict,),
    "Mapping[str, Any]": (dict,),
    "tuple[str, ...]": (list,),
    "tuple[float, int] | None": (list, NoneType),
}
KINDS = {f.name: _JSON[str(f.type)] for f in fields(Record)}


# ---------------------------------------------------------------- against what is expected
Expected: TypeAlias = Mapping[Key, tuple[tuple[int, ...], np.dtype[Any]]]


def require_same(arrays: Mapping[Key, Array], expected: Expected, place: str) -> None:
    """Refuses arrays that are not exactly the expected ones.

    Raises:
        TrainingError: lists the first ten differences; nothing has been touched.
    """
    found = {key: (array.shape, array.dtype) for key, array in arrays.items()}
    lines = []
    for key in sorted(found.keys() | expected.keys(), key=lambda key: key[1]):
        if found.get(key) != expected.get(key):
            lines.append(f"  {key[1]}: {_described(found.get(key))} in the file, {_described(expected.get(key))} here")
    if lines:
        more = [f"  and {len(lines) - DIFFERENCES} more"] if len(lines) > DIFFERENCES else []
        text = "\n".join([*lines[:DIFFERENCES], *more])
        raise TrainingError(f"{place}: its arrays are not those of this model\n{text}")


def _described(entry: tuple[tuple[int, ...], np.dtype[Any]] | None) -> str:
    return "nothing" if entry is None else f"{entry[1]} {list(entry[0])}"


# ---------------------------------------------------------------- the newest of a folder
def keep(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes `last.safetensors`; what was there before becomes `previous.safetensors`.

    At every moment one of the two is whole: the old file gets its second name before the new one replaces it.

    Raises:
        BackendError: it could not be written; the old file is still the last.
    """
    data, last = encode(checkpoint), folder / LAST
    aside = folder / f".zh-{os.urandom(8).hex()}.tmp"
    try:
        os.link(last, aside)
        os.replace(aside, folder / PREVIOUS)
        aside.unlink(missing_ok=True)  # renaming one name of a file to another of the same file does nothing
    except FileNotFoundError:
        pass  # the first one
    except OSError:
        aside.unlink(missing_ok=True)  # a file system without links keeps only one
    write_whole(last, data)


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint of a run that is whole, and what is to be said about newer ones that are not.

    Returns:
        (`None` where there is none at all, warnings).

    Raises:
        TrainingError: there are some, and all are damaged.
    """
    warnings: list[str] = []
    for name in (LAST, PREVIOUS):
        if not os.path.lexists(folder / name):
            continue
        try:
            return read(folder / name), warnings
        except TrainingError as error:
            warnings.append(str(error).partition("\n")[0])
    if warnings:
        raise TrainingError("\n".join(warnings) + "\nhelp: no whole checkpoint is left; start a new run")
    return None, []
