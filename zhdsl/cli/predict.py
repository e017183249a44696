"""`zh predict`: a model's results for a table of inputs, as a table.

CSV: one row for each sample, `x0, x1, …` for the elements of `x`. NPZ: one array for each input or result.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zhdsl.cli.runs import device_option, names_of_training, read_fields, trained
from zhdsl.cli.specs import spec_file
from zhdsl.cli.terminal import complain, printable
from zhdsl.errors import ZhError

if TYPE_CHECKING:
    from zhdsl.ir.graph import Port
    from zhdsl.train.trainable import Trainable

OUTPUTS = (".csv", ".npz")
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a cell of text that begins so is a formula to a spreadsheet


class Found(NamedTuple):
    """One result: its axes in order, its array, and the text of its numbers where they are known classes."""

    name: str
    order: tuple[str, ...]
    array: Any
    texts: tuple[str, ...] = ()


@click.command()
@click.argument("source", metavar="RUN|WEIGHTS|SPEC")
@click.argument("inputs", metavar="INPUT")
@click.option("-o", "--output", metavar="FILE", help="Write to a .csv or .npz file.  [default: CSV to the output]")
@click.option("--argmax", "axis", metavar="AXIS", help="Instead of all values along this axis, where the largest is.")
@click.option("--model", metavar="NAME", help="Which model of a spec.")
@device_option
def predict(source: str, inputs: str, output: str | None, axis: str | None, model: str | None, device: str) -> None:
    """Run a trained model on inputs.

    INPUT is a .csv, .tsv, .npz or .npy file with the inputs of the model, by
    name. What the recipe does to prepare its data is done to them, too. RUN is
    the folder of a run, whose best weights are meant; a SPEC runs with the first
    values of its parameters.
    """
    if output is not None:
        require_output(output, inputs)
    session = opened(source, model, device)
    graph = session.spec.recipe.predict if session.spec.recipe else session.spec.model.infer
    given = read_fields(inputs, graph.of_role("data"), session)
    ports = graph.results("result")
    results = session.predict(**given)
    arrays = results if len(ports) > 1 else {ports[0].name: results}
    found = [Found(p.name, p.order, arrays[p.name]) for p in ports]
    if axis is not None:
        found = largest(found, axis, session)
    if output is not None and output.lower().endswith(".npz"):
        write(output, as_npz(found))
    else:
        text = as_csv(found, batch_label(session, graph.of_role("data")))
        click.echo(text, nl=False) if output is None else write(output, text.encode())


def require_output(output: str, inputs: str) -> None:
    """Raises `click.ClickException` for a name that cannot be meant."""
    if not output.lower().endswith(OUTPUTS):
        raise click.ClickException(f"{output}: results are written to files that end in {' or '.join(OUTPUTS)}")
    if os.path.exists(output) and os.path.exists(inputs) and os.path.samefile(output, inputs):
        raise click.ClickException(f"{output} is the input itself; name another file")


def opened(source: str, model: str | None, device: str) -> Trainable:
    """The model, trained or not."""
    if not source.endswith(".zh"):
        return trained(source, device)[1]
    from zhdsl.train.trainable import load

    found = load(Path(spec_file(source)), model, device=device)
    if found.spec.recipe is not None and found.spec.recipe.fit is not None:
        raise click.ClickException(f"{source} prepares its inputs with statistics of the training data: train it first")
    if found.param_count:
        complain(f"note: {source} is a spec: its {found.param_count:,} parameters have their first values")
    return found


def write(output: str, content: bytes) -> None:
    """Writes the file, whole or not at all."""
    from zhdsl.runtime.files import SHARED, write_whole

    write_whole(output, content, mode=SHARED)
    click.echo(f"wrote {printable(output)}")


def batch_label(session: Trainable, ports: Sequence[Port]) -> str:
    """The axis of the samples: the recipe's, or the first of the first input."""
    recipe = session.spec.recipe
    return recipe.batch_axis if recipe else next((p.order[0] for p in ports if p.order), "")


# ---------------------------------------------------------------- classes
def largest(found: Sequence[Found], axis: str, session: Trainable) -> list[Found]:
    """Results that have the axis become the index of their largest value along it.

    Raises:
        click.ClickException: none has it.
    """
    if not any(axis in f.order for f in found):
        there = ", ".join(f"{f.name}[{', '.join(f.order)}]" for f in found)
        raise click.ClickException(f"--argmax {axis}: no result has this axis; there is {there}")
    return [_largest(f, axis, session) if axis in f.order else f for f in found]


def _largest(found: Found, axis: str, session: Trainable) -> Found:
    import numpy as np

    at = found.order.index(axis)
    order = (*found.order[:at], *found.order[at + 1 :])
    index = np.argmax(found.array, at).astype(np.int32)
    return Found(found.name, order, index, class_texts(session, found.array.shape[at]))


def class_texts(session: Trainable, count: int) -> tuple[str, ...]:
    """The text of each of `count` classes; empty where the training data do not give it."""
    if session.spec.recipe is None:
        return ()
    try:
        names = names_of_training(session)
    except (ZhError, OSError):
        return ()  # the data are gone: numbers will do
    fitting = [texts for texts in names.values() if len(texts) == count]
    return fitting[0] if len(fitting) == 1 else ()


# ---------------------------------------------------------------- to bytes
def as_npz(found: Sequence[Found]) -> bytes:
    """An .npz file; the same arrays give the same bytes."""
    import numpy as np

    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{f.name: f.array for f in found})
    return file.getvalue()


def as_csv(found: Sequence[Found], batch: str) -> str:
    """A header and one row for each sample.

    Raises:
        click.ClickException: a result has no axis of samples first.
    """
    for f in found:
        if f.order[:1] != (batch,):
            shape = f"{f.name}[{', '.join(f.order)}]"
            raise click.ClickException(f"{shape} is not one row for each sample: write an .npz file with -o")
    columns = [column for f in found for column in _columns(f)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([title for title, _ in columns])
    writer.writerows(zip(*(cells for _, cells in columns), strict=True))
    return file.getvalue()


def _columns(found: Found) -> Iterator[tuple[str, list[str]]]:
    """Titles with their cells; the elements of a sample in row-major order."""
    rows = found.array.reshape(len(found.array), -1)
    titles = [found.name] if found.array.ndim == 1 else [f"{found.name}{k}" for k in range(rows.shape[1])]
    for k, title in enumerate(titles):
        yield title, [number_text(value) for value in rows[:, k]]
        if found.texts:
            yield f"{title}_name", [text_cell(found.texts[int(value)]) for value in rows[:, k]]


def number_text(value: Any) -> str:
    """The shortest text that gives the same number again; truth values as 0 and 1."""
    return str(int(value)) if value.dtype.kind == "b" else str(value)


def text_cell(text: str) -> str:
    """A cell of text that no spreadsheet takes for a formula, and no terminal for a command."""
    safe = printable(text).replace("\n", " ")
    return f"'{safe}" if safe.startswith(RISKY) else safe
