"""`zh new`: a small commented model to start from, which checks and trains as it is."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

KINDS = ("mlp", "convnet", "rnn")
PLACEHOLDER = "Starter"  # the model's name in the starters


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What to start from.")
def new(name: str, kind: str) -> None:
    """Write a starter model.

    NAME is the file to write; '.zh' is added where it is missing. The model in it
    gets the name of the file. A file that exists is never overwritten.
    """
    from zhdsl.runtime.files import write_new

    path = Path(name if name.endswith(".zh") else f"{name}.zh")
    text = starter(kind, model_name(path.name.removesuffix(".zh")))
    try:
        write_new(path, text)
    except FileExistsError:
        raise click.UsageError(f"{path} exists; choose another name, or remove it first") from None
    click.echo(f"wrote {path}\nnext: zh check {path}, then zh train {path}")


def model_name(stem: str) -> str:
    """A model's name from a file's: `my-first_net` becomes `MyFirstNet`.

    Raises:
        click.BadParameter: no name of the language can be made of it.
    """
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", stem))
    if not stem.isascii() or not name[:1].isalpha():
        raise click.BadParameter(
            f"'{stem}' must begin with a letter from a to z and hold only ASCII", param_hint="NAME"
        )
    return name


def starter(kind: str, model: str) -> str:
    """The text of a starter with a model of that name; a name that the text uses already gets `Net` added."""
    text = (files("zhdsl.cli") / "starters" / f"{kind}.zh").read_text(encoding="utf-8")
    taken = re.search(rf"\b{model}\b", text)
    return text.replace(PLACEHOLDER, f"{model}Net" if taken else model)
