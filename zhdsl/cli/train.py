"""`zh train`: a run by the recipe of a spec, in a folder from which it can go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli.runs import device_option
from zhdsl.cli.specs import recipe_name, setting_option, spec_file
from zhdsl.cli.terminal import printable

if TYPE_CHECKING:
    from zhdsl.train.record import Recorder
    from zhdsl.train.report import Reporter
    from zhdsl.train.trainable import Trainable

RUNS = "runs"


@click.command()
@click.argument("spec", metavar="[SPEC]", required=False)
@click.option("--recipe", metavar="NAME", help="Which recipe, if the spec has several.")
@setting_option
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's epochs.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Instead of the recipe's.")
@device_option
@click.option("--dtype", type=click.Choice(("float32", "float64")), help="What a float is.")
@click.option("--out", metavar="DIR", help=f"Where to make the folder of the run.  [default: {RUNS}]")
@click.option("--resume", metavar="RUN", help="Go on with the run in this folder.")
@click.option("--detect-anomaly", is_flag=True, help="Stop at the first op that makes a NaN or an infinity.")
@click.option("--record", is_flag=True, help="Measure gradients and updates of layers, for zh report.")
@click.option("--live", is_flag=True, help="Show the run in a browser while it trains.")
@click.option("--quiet", is_flag=True, help="Print only what came of it.")
def train(
    spec: str | None,
    recipe: str | None,
    settings: dict[str, Any],
    epochs: int | None,
    steps: int | None,
    seed: int | None,
    device: str,
    dtype: str | None,
    out: str | None,
    resume: str | None,
    detect_anomaly: bool,
    record: bool,
    live: bool,
    quiet: bool,
) -> int:
    """Train a model by its recipe.

    The run is written to a folder of its own: weights, metrics, and all that is
    needed to go on after an interrupt, the spec too. A run that goes on keeps its
    recipe, its settings, its seed and its dtype. The exit code is 1 if an
    `expect` of the recipe does not hold.
    """
    if epochs is not None and steps is not None:
        raise click.UsageError("--epochs and --steps exclude each other")
    if resume is not None and (out is not None or recipe is not None or settings):
        raise click.UsageError("a run that goes on keeps its folder, its recipe and its settings: give --resume alone")
    if spec is None and resume is None:
        raise click.UsageError("Missing argument 'SPEC': name a spec, or a run to go on with by --resume")
    given = {"epochs": epochs, "steps": steps, "detect_anomaly": detect_anomaly or None}
    limit = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        model = resumed(resume, spec, device, dtype, seed)
        return run(model, Path(resume), True, limit, quiet, record, live)
    assert spec is not None
    model = opened(spec, recipe, settings, device, dtype, seed)
    return run(model, new_run(model, out or RUNS), False, limit, quiet, record, live)


def resumed(run: str, spec: str | None, device: str, dtype: str | None, seed: int | None) -> Trainable:
    """The model of a run as it was begun; its spec is that of the run, or the file `spec`, if it has not changed.

    Raises:
        click.ClickException: there is no run in this folder.
        TrainingError: its checkpoints are damaged.
    """
    from zhdsl.cli.runs import data_folder
    from zhdsl.runtime import checkpoint
    from zhdsl.runtime.spec import from_texts
    from zhdsl.train.trainable import Trainable

    found, _ = checkpoint.newest(Path(run))
    if found is None:
        raise click.ClickException(f"there is no run in {run} to go on with")
    record = found.record
    seed, dtype = record.seed if seed is None else seed, dtype or record.dtype
    if spec is not None:
        return opened(spec, record.recipe, dict(record.overrides), device, dtype, seed)
    folder = data_folder(Path(run) / checkpoint.LAST) or Path()
    texts = from_texts(record.texts, record.root, record.recipe or record.model, record.overrides, folder)
    return Trainable(texts, device, dtype, seed)


def new_run(model: Trainable, base: str) -> Path:
    """Makes the folder of a new run. Raises `BackendError`."""
    from zhdsl.train.run_folder import new_folder

    return new_folder(base, model.recipe.name)


def opened(
    spec: str, recipe: str | None, settings: dict[str, Any], device: str, dtype: str | None, seed: int | None
) -> Trainable:
    """The model to train. Raises `click.ClickException` or `ZhError`."""
    from zhdsl.lang.ast import Train
    from zhdsl.lang.parser import parse, read
    from zhdsl.train.trainable import load

    items = parse(read(spec_file(spec))).items
    names = [i.alias.id if i.alias else i.model.id for i in items if isinstance(i, Train)]
    return load(Path(spec), recipe_name(spec, names, recipe), settings, device, dtype, seed)


def run(
    model: Trainable,
    folder: Path,
    resume: bool,
    limit: dict[str, Any],
    quiet: bool,
    record: bool = False,
    live: bool = False,
) -> int:
    """Trains, tells what came of it, and gives the exit code."""
    from zhdsl.runtime.pipeline import chosen
    from zhdsl.train.limits import Options
    from zhdsl.train.report import for_stream
    from zhdsl.train.trainer import fit

    if not quiet:
        about = f"{model.param_count:,} parameters, {model.dtype} on {chosen(model.device)}, seed {model.seed}"
        click.echo(printable(f"{model.recipe.name}: {about}, in {folder}"))
    words = ["zh", "train", "--resume", str(folder)]
    for name, value in limit.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    words += ["--record"] * record + ["--live"] * live
    try:
        with watched(model, folder, record, live) as (more, recorder):
            told = [*([] if quiet else [for_stream()]), *more]
            result = fit(model, folder, resume, Options(**limit), None, told, shlex.join(words), recorder)
    except BaseException:
        remove_if_empty(folder)
        raise
    best = f", its best weights are of epoch {result.best[1]}" if result.best else ""
    click.echo(printable(f"{result}\nthe run is in {folder}{best}"))
    click.echo(printable(f"next: zh eval {folder}, or zh predict {folder} INPUT.csv"))
    return result.exit_code


@contextmanager
def watched(
    model: Trainable, folder: Path, record: bool, live: bool
) -> Iterator[tuple[list[Reporter], Recorder | None]]:
    """Who else is told of the run: what is recorded, and the page that shows it live."""
    from zhdsl.train.record import Recorder

    if not live:
        yield [], Recorder() if record else None
        return
    from zhdsl.cli.live import Live, page_of

    with Live(page_of(model, folder)) as server:
        click.echo(f"live at {server.address}")
        yield [server], Recorder(server.recorded)


def remove_if_empty(folder: Path) -> None:
    """Removes the folder of a run that never began; one that holds more than its lock stays."""
    with suppress(OSError):
        if [p.name for p in folder.iterdir()] == ["lock"]:
            (folder / "lock").unlink()
        folder.rmdir()
