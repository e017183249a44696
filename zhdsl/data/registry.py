"""Data sets by name: `@dataset("digits")` registers a provider, `load` calls it with the statics of the spec.

A provider is a function of statics (keyword parameters annotated `int`, `float`, `bool` or `str`) that returns
`Arrays`. One that reads the user's files has a parameter `folder: Path` too, the folder of the spec; paths are opened
through `files` only, which keeps them inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from math import isfinite
from pathlib import Path
from typing import TypeAlias, TypeVar

from zhdsl.data.arrays import Arrays
from zhdsl.data.faults import fault

Static: TypeAlias = int | float | bool | str
Provider: TypeAlias = Callable[..., Arrays]
P = TypeVar("P", bound=Provider)

_PROVIDERS: dict[str, Provider] = {}
_FITS: dict[str, Callable[[object], bool]] = {
    "int": lambda v: type(v) is int,
    "float": lambda v: isinstance(v, int | float) and type(v) is not bool and isfinite(v),
    "bool": lambda v: type(v) is bool,
    "str": lambda v: type(v) is str,
}


def dataset(name: str) -> Callable[[P], P]:
    """Registers the decorated provider under `name`.

    Raises:
        ValueError: the name is taken (a mistake of the program, not of its data).
    """

    def register(provider: P) -> P:
        if name in _PROVIDERS:
            raise ValueError(f"a data set named {name!r} is registered already")
        _PROVIDERS[name] = provider
        return provider

    return register


def known() -> list[str]:
    """Names of all registered data sets, sorted."""
    return sorted(_PROVIDERS)


def load(name: str, statics: Mapping[str, Static], folder: Path) -> Arrays:
    """The data set `name[statics]`.

    Args:
        name: a registered name.
        statics: keyword arguments; those left out take the provider's defaults.
        folder: the folder of the spec: user files are found, and confined, in it.

    Raises:
        TrainingError: unknown name or static, a static of the wrong kind, or what the provider finds wrong.
    """
    if name not in _PROVIDERS:
        near = get_close_matches(name, known(), 1)
        fix = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known())}"
        raise fault(f"data set `{name}`", "there is no data set of this name", fix)
    provider = _PROVIDERS[name]
    parameters = dict(signature(provider).parameters)
    extra = {"folder": folder} if parameters.pop("folder", None) else {}
    _check_statics(name, statics, parameters)
    return provider(**statics, **extra)


def _check_statics(name: str, statics: Mapping[str, Static], parameters: Mapping[str, Parameter]) -> None:
    place, takes = f"data set `{name}`", ", ".join(parameters) or "none"
    for key, value in statics.items():
        if key not in parameters:
            near = get_close_matches(key, parameters, 1)
            fix = f"did you mean `{near[0]}`?" if near else f"it has {takes}"
            raise fault(place, f"there is no static `{key}`", fix)
        annotation = parameters[key].annotation  # text, or the class itself, by the imports of its module
        kind = annotation if isinstance(annotation, str) else annotation.__name__
        if kind in _FITS and not _FITS[kind](value):
            raise fault(place, f"`{key}` = {value!r} is not of kind {kind}", f"write one {kind}")
    for key, parameter in parameters.items():
        if key not in statics and parameter.default is Parameter.empty:
            raise fault(place, f"the static `{key}` is missing", f"write `{name}[{key} = …]`")
