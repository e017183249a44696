"""`%%zh`: a cell in the language. It is checked, and the model that it defines is kept and shown.

    %%zh spirals --set N=3          model TwoSpirals(…) { … }  train TwoSpirals { … }
    spirals.fit()

In: the line and the cell. Out: a model in the variable that the line names, by default that of the model or recipe.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from zhdsl.errors import TrainingError

if TYPE_CHECKING:
    from zhdsl.train.trainable import Trainable

USE = "%%zh [VARIABLE] [--model NAME] [--set NAME=VALUE …] [--dtype DTYPE] [--seed N]"


class Line(NamedTuple):
    """What stands behind `%%zh`."""

    variable: str | None
    model: str | None
    settings: dict[str, Any]
    dtype: str | None
    seed: int | None


def parsed(line: str) -> Line:
    """The parts of the line. Raises `TrainingError` for what is none."""
    words, variable = shlex.split(line), None
    found: dict[str, Any] = {"--model": None, "--dtype": None, "--seed": None}
    settings: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        if word in (*found, "--set") and words:
            value = words.pop(0)
            if word != "--set":
                found[word] = value
                continue
            name, equals, text = value.partition("=")
            if not equals:
                raise TrainingError(f"--set {value}\nhelp: write --set NAME=VALUE")
            settings[name] = _number(text)
        elif variable is None and word.isidentifier():
            variable = word
        else:
            raise TrainingError(f"{word}: nothing of this kind can be said here\nhelp: {USE}")
    seed = found["--seed"]
    return Line(variable, found["--model"], settings, found["--dtype"], int(seed) if seed is not None else None)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def model_of(line: str, cell: str) -> tuple[str, Trainable]:
    """The variable and the model. Raises `ZhError`."""
    from zhdsl.train.trainable import load

    said = parsed(line)
    model = load(cell if "\n" in cell else f"{cell}\n", said.model, said.settings, "auto", said.dtype, said.seed)
    return said.variable or variable_of(model.name), model


def variable_of(name: str) -> str:
    """`TwoSpirals` is two_spirals."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def register(shell: Any) -> None:
    """Makes `%%zh` known to an IPython shell."""

    def zh(line: str, cell: str) -> Any:
        variable, model = model_of(line, cell)
        shell.user_ns[variable] = model
        return model

    zh.__doc__ = f"{USE}\n\n{__doc__}"
    shell.register_magic_function(zh, "cell", "zh")
