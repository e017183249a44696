"""`zh eval`: loss and metrics of trained weights on a part of their data, or on a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli.runs import TABLES, device_option, read_fields, trained
from zhdsl.cli.specs import counted
from zhdsl.cli.terminal import printable

if TYPE_CHECKING:
    from zhdsl.data import Arrays
    from zhdsl.train.trainable import Trainable

PARTS = ("test", "valid", "train", "all")


@click.command(name="eval")
@click.argument("weights", metavar="RUN|WEIGHTS")
@click.option("--data", "source", default="test", show_default=True, metavar="PART|FILE", help="What to measure on.")
@device_option
@click.option("--json", "json_", is_flag=True, help="Print the numbers as JSON.")
def evaluate(weights: str, source: str, device: str, json_: bool) -> None:
    """Measure trained weights on a split of the data.

    RUN is the folder of a run, whose best weights are meant. The parts are test,
    valid, train and all; without a test part the validation part is measured,
    and without that the training part. A file is a .csv, .tsv, .npz or .npy that
    has the fields of the recipe's data.
    """
    if source not in PARTS and not source.lower().endswith(TABLES):
        raise click.UsageError(f"--data {source}: it is neither one of {', '.join(PARTS)} nor a file of data")
    path, model = trained(weights, device)
    name, part = chosen_part(model, source)
    from zhdsl.train.limits import batch_size
    from zhdsl.train.measure import Measure

    found = Measure(model).over(part, batch_size(model.recipe, part))
    click.echo(as_json(str(path), name, part.size, found) if json_ else printable(lines(name, part.size, found)))


def chosen_part(model: Trainable, source: str) -> tuple[str, Arrays]:
    """The samples that are meant, with what they are called. Raises `TrainingError` without data."""
    from zhdsl.train.parts import parts_of, whole

    if source not in PARTS:
        fields = read_fields(source, model.recipe.data.fields, model)
        return source, whole(model.recipe, model.spec.folder, model.dtype, fields)
    if source == "all":
        return source, whole(model.recipe, model.spec.folder, model.dtype)
    parts = parts_of(model.recipe, model.spec.folder, model.seed, model.dtype)
    return {"test": parts.final, "valid": parts.watched, "train": ("train", parts.train)}[source]


def lines(name: str, samples: int, found: dict[str, Any]) -> str:
    """The part, and one line for each number."""
    from zhdsl.train.result import text

    wide = max(map(len, found))
    numbers = (f"  {key:<{wide}}  {text(value)}" for key, value in found.items())
    return "\n".join([f"{name}: {counted(samples, 'sample')}", *numbers])


def as_json(path: str, name: str, samples: int, found: dict[str, Any]) -> str:
    """`{"weights", "part", "samples", "metrics": {…}}`; what is not finite is null."""
    import json

    from zhdsl.train.keeper import finite

    whole = {"weights": path, "part": name, "samples": samples, "metrics": finite(found)}
    return json.dumps(whole, indent=2, allow_nan=False)
