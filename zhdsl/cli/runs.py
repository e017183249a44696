"""What the commands on trained models share: finding the weights of a run, and the user's tables of data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from zhdsl.cli.specs import WEIGHTS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zhdsl.ir.graph import Port
    from zhdsl.train.trainable import Trainable

    Array: TypeAlias = npt.NDArray[np.generic]

Command = TypeVar("Command", bound=Callable[..., Any])

KEPT = ("best.safetensors", "last.safetensors")  # in a run's folder, the first that is there is meant
TABLES = (".csv", ".tsv", ".npz", ".npy")


def weights_file(name: str) -> Path:
    """The weights that a path means: a file of them, or the best ones of a run.

    Raises:
        click.ClickException: it is a spec, or something else, or nothing.
    """
    path = Path(name)
    if path.is_dir():
        found = next((path / kept for kept in KEPT if (path / kept).is_file()), None)
        if found is None:
            raise click.ClickException(f"{name} is not the folder of a run: it holds neither {' nor '.join(KEPT)}")
        return found
    if name.endswith(".zh"):
        raise click.ClickException(f"{name} is a spec; a run or a weights file is wanted here: zh train makes one")
    if not os.path.lexists(path):
        raise click.ClickException(f"there is no run and no weights file {name}")
    if path.suffix != WEIGHTS:
        raise click.ClickException(f"{name} is no weights file: those end in {WEIGHTS}")
    return path


def trained(name: str, device: str) -> tuple[Path, Trainable]:
    """The weights that a path means, and the model that they make. Raises `click.ClickException` or `ZhError`."""
    from zhdsl.train.trainable import load

    path = weights_file(name)
    return path, load(path, device=device, folder=data_folder(path))


def data_folder(weights: Path) -> Path | None:
    """Where the data lie that a run was trained on, if the weights are still in its folder and the data are there."""
    try:
        about = json.loads((weights.parent / "run.json").read_text(encoding="utf-8"))
        folder = about.get("folder") if isinstance(about, dict) else None
    except (OSError, ValueError):
        return None
    return Path(folder) if isinstance(folder, str) and os.path.isdir(folder) else None


# ---------------------------------------------------------------- the user's tables
def read_fields(name: str, ports: Sequence[Port], model: Trainable) -> dict[str, Array]:
    """The arrays of a file that ports want, by name; the first axis of each runs over the samples.

    Text in a column of classes gets the numbers that it has in the training data.

    Raises:
        click.ClickException: the file is none of a kind that is read.
        TrainingError: it does not hold what is wanted; the message names line and column.
    """
    path = table_file(name)
    if path.suffix.lower() == ".npz":
        return _arrays(path, ports)
    from zhdsl.data import read_table

    found = read_table(path.name, {p.name: _kind(p) for p in ports}, path.parent)
    return _coded(dict(found.fields), found.names, model)


def table_file(name: str) -> Path:
    """The path of a table, without links, which only data sets of a spec must not be."""
    path = Path(name)
    if path.suffix.lower() not in TABLES:
        raise click.ClickException(f"{name} is no table: those end in {', '.join(TABLES)}")
    if not path.is_file():
        raise click.ClickException(f"there is no file {name}")
    return path.resolve()


def _arrays(path: Path, ports: Sequence[Port]) -> dict[str, Array]:
    """Arrays as they are in the file: their dtypes are looked at where they are used."""
    from zhdsl.data.files import read_file
    from zhdsl.data.npy import names_in_npz, read_npz
    from zhdsl.errors import TrainingError

    content = read_file(path.parent, path.name)
    found = read_npz(content, [p.name for p in ports], path.name)
    missing = [p.name for p in ports if p.name not in found]
    if missing:
        there = ", ".join(names_in_npz(content, path.name)[:20]) or "none"
        raise TrainingError(f"{path.name}: there is no array {missing[0]}\nhelp: it has {there}")
    return dict(found)


def _kind(port: Port) -> tuple[tuple[int | None, ...], str]:
    """Shape of one sample and kind of its numbers, as `read_table` wants them."""
    type_ = port.node.type
    if not port.order:
        raise click.ClickException(f"{port.name} has no axes, so no rows: give it in an .npz file")
    shape = tuple(type_.sizes[label].number for label in port.order[1:])
    return shape, "float" if type_.is_float else type_.dtype


def _coded(fields: dict[str, Array], names: Mapping[str, Sequence[str]], model: Trainable) -> dict[str, Array]:
    """Fields whose text was numbered in the order of this file, numbered as the training data are."""
    import numpy as np

    from zhdsl.errors import TrainingError

    known = names_of_training(model) if names else {}
    for field, texts in names.items():
        unknown = [text for text in texts if text not in known.get(field, ())]
        if unknown:
            raise TrainingError(f"{field}: the training data have no {unknown[0]!r}\nhelp: check the column {field}")
        numbers = np.array([known[field].index(text) for text in texts], np.int32)
        fields[field] = numbers[fields[field].astype(np.intp)]
    return fields


def names_of_training(model: Trainable) -> Mapping[str, tuple[str, ...]]:
    """For fields of classes in the training data, the text of each number. Raises `TrainingError` without data."""
    from zhdsl.train.parts import whole

    return whole(model.recipe, model.spec.folder, model.dtype).names


_device = click.option("--device", default="auto", show_default=True, metavar="NAME", help="Where to compute.")
_threads = click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    expose_value=False,
    callback=lambda context, option, count: _use_threads(count),
    help="How many cores compiled programs use.  [default: all]",
)


def device_option(command: Command) -> Command:
    """`--device` and `--threads`."""
    return _device(_threads(command))


def _use_threads(count: int | None) -> None:
    """Every program that this process compiles runs on so many threads; its bits do not depend on it."""
    if count is not None:
        os.environ["ZH_THREADS"] = str(count)
