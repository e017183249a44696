"""`zh train`: a run by the recipe of a spec, in a folder from which it can go on."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli.runs import device_option
from zhdsl.cli.specs import recipe_name, setting_option, spec_file
from zhdsl.cli.terminal import printable

if TYPE_CHECKING:
    from zhdsl.runtime.checkpoint import Record
    from zhdsl.train.trainable import Trainable

RUNS = "runs"


@click.command()
@click.argument("spec", metavar="SPEC")
@click.option("--recipe", metavar="NAME", help="Which recipe, if the spec has several.")
@setting_option
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's epochs.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Instead of the recipe's.")
@device_option
@click.option("--dtype", type=click.Choice(("float32", "float64")), help="What a float is.")
@click.option("--out", metavar="DIR", help=f"Where to make the folder of the run.  [default: {RUNS}]")
@click.option("--resume", metavar="RUN", help="Go on with the run in this folder.")
@click.option("--quiet", is_flag=True, help="Print only what came of it.")
def train(
    spec: str,
    recipe: str | None,
    settings: dict[str, Any],
    epochs: int | None,
    steps: int | None,
    seed: int | None,
    device: str,
    dtype: str | None,
    out: str | None,
    resume: str | None,
    quiet: bool,
) -> int:
    """Train a model by its recipe.

    The run is written to a folder of its own: weights, metrics, and all that is
    needed to go on after an interrupt. A run that goes on keeps its recipe, its
    settings, its seed and its dtype. The exit code is 1 if an `expect` of the
    recipe does not hold.
    """
    if epochs is not None and steps is not None:
        raise click.UsageError("--epochs and --steps exclude each other")
    if out is not None and resume is not None:
        raise click.UsageError("--out and --resume exclude each other: a run stays in its folder")
    limit = {name: n for name, n in (("epochs", epochs), ("steps", steps)) if n is not None}
    if resume is not None:
        before = record_of(resume)
        recipe, settings = recipe or before.recipe, settings or dict(before.overrides)
        seed, dtype = before.seed if seed is None else seed, dtype or before.dtype
    model = opened(spec, recipe, settings, device, dtype, seed)
    return run(model, spec, folder_of(model, out, resume), resume is not None, limit, quiet)


def record_of(run: str) -> Record:
    """What the newest checkpoint of a run says.

    Raises:
        click.ClickException: there is no run in this folder.
    """
    from zhdsl.runtime import checkpoint

    found, _ = checkpoint.newest(Path(run))
    if found is None:
        raise click.ClickException(f"there is no run in {run} to go on with")
    return found.record


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


def folder_of(model: Trainable, out: str | None, resume: str | None) -> Path:
    """The run's folder: that of the run that goes on, or a new one."""
    from zhdsl.train.run_folder import new_folder

    return Path(resume) if resume is not None else new_folder(out or RUNS, model.recipe.name)


def run(model: Trainable, spec: str, folder: Path, resume: bool, limit: dict[str, int], quiet: bool) -> int:
    """Trains, tells what came of it, and gives the exit code."""
    from zhdsl.runtime.pipeline import chosen
    from zhdsl.train.limits import Options
    from zhdsl.train.trainer import fit

    if not quiet:
        about = f"{model.param_count:,} parameters, {model.dtype} on {chosen(model.device)}, seed {model.seed}"
        click.echo(printable(f"{model.recipe.name}: {about}, in {folder}"))
    words = ["zh", "train", spec, "--resume", str(folder), *(w for k, n in limit.items() for w in (f"--{k}", str(n)))]
    try:
        result = fit(model, folder, resume, Options(**limit), None, [] if quiet else None, shlex.join(words))
    except BaseException:
        remove_if_empty(folder)
        raise
    best = f", its best weights are of epoch {result.best[1]}" if result.best else ""
    click.echo(printable(f"{result}\nthe run is in {folder}{best}"))
    click.echo(printable(f"next: zh eval {folder}, or zh predict {folder} INPUT.csv"))
    return result.exit_code


def remove_if_empty(folder: Path) -> None:
    """Removes the folder of a run that never began; one that holds more than its lock stays."""
    with suppress(OSError):
        if [p.name for p in folder.iterdir()] == ["lock"]:
            (folder / "lock").unlink()
        folder.rmdir()
