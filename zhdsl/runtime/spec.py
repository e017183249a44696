"""What a session is made of: a checked text, the model that is meant in it, and all that is needed to write it down.

In: a path to a `.zh` file, a text, or a weights file (which holds its spec). Out: a `Spec`, and the checkpoint if there
was one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from zhdsl.errors import TrainingError
from zhdsl.lang.ast import Use
from zhdsl.lang.model import DatasetUse, Model, Project, Recipe
from zhdsl.lang.parser import parse, read
from zhdsl.runtime import checkpoint, pipeline
from zhdsl.runtime.checkpoint import Checkpoint, Record
from zhdsl.source import Source

__all__ = ["WEIGHTS", "DatasetUse", "Recipe", "Spec", "chosen", "from_texts", "opened", "texts_of"]

WEIGHTS = ".safetensors"
TEXT = "<text>"  # the name of a text that is not in a file


@dataclass(frozen=True)
class Spec:
    """A checked text and a choice from it.

    Attributes:
        model: what is run.
        recipe: how it is trained, or `None`.
        texts: every text by name, as it was; `root` names the one that was given.
        overrides: values set from outside.
        folder: where the files of the user lie that the spec names.
        project: all that the text defines; `None` for graphs made without one.
    """

    model: Model
    recipe: Recipe | None
    texts: Mapping[str, str]
    root: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    project: Project | None = None

    def record(self, dtype: str, seed: int) -> Record:
        """The beginning of a checkpoint's record."""
        recipe = self.recipe.name if self.recipe else ""
        return Record(
            self.texts, self.root, self.model.name, dtype, seed, recipe=recipe, overrides=dict(self.overrides)
        )


def opened(
    source: str | os.PathLike[str],
    name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> tuple[Spec, Checkpoint | None]:
    """A spec from wherever it is.

    Args:
        source: path of a `.zh` or `.safetensors` file; a text is known by its line ends or braces.
        name: the model, recipe, function or block that is meant; needed where there are several.
        overrides: values for `const`s; a weights file brings its own.
        folder: where the user's data files lie; by default beside the `.zh` file, for texts and weights in the working
            directory.

    Raises:
        SpecError: the text is wrong.
        TrainingError: the weights file is, or the name is not clear.
    """
    text = os.fspath(source)
    if isinstance(source, str) and ("\n" in text or "{" in text):
        return from_texts({TEXT: text}, TEXT, name, overrides or {}, Path(folder or "")), None
    if text.endswith(WEIGHTS):
        return _from_weights(Path(text), name, overrides or {}, Path(folder or ""))
    found, place = read(text), Path(text).parent
    root = Source(Path(text).name, found.text)
    texts = texts_of(root, place)
    project = pipeline.checked(root, place, overrides or {})
    model, recipe = chosen(project, name)
    return Spec(model, recipe, texts, root.name, dict(overrides or {}), Path(folder or place), project), None


def _from_weights(path: Path, name: str | None, overrides: Mapping[str, Any], folder: Path) -> tuple[Spec, Checkpoint]:
    found = checkpoint.read(path)
    record = found.record
    if name not in (None, record.model, record.recipe) or overrides:
        what = f"model {record.model}" if not overrides else f"the values {dict(record.overrides)}"
        raise TrainingError(f"{path}: the weights belong to {what}\nhelp: load them without choosing another")
    return from_texts(record.texts, record.root, record.recipe or record.model, record.overrides, folder), found


def from_texts(
    texts: Mapping[str, str], root: str, name: str | None, overrides: Mapping[str, Any], folder: Path
) -> Spec:
    """The spec of texts that are all at hand: those that others use are checked from a folder of their own."""
    source = Source(root, texts[root])
    if len(texts) == 1:
        project = pipeline.checked(source, None, overrides)
    else:
        with tempfile.TemporaryDirectory(prefix="zh-") as place:
            for used in texts:
                _put(Path(place), used, texts[used])
            project = pipeline.checked(source, Path(place), overrides)
    model, recipe = chosen(project, name)
    return Spec(model, recipe, dict(texts), root, dict(overrides), folder, project)


def _put(folder: Path, name: str, text: str) -> None:
    """Writes one text below `folder`, and only there."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or "\0" in name or "\\" in name:
        raise TrainingError(f"{name!r} is no name of a text\nhelp: the weights file is damaged or hostile")
    place = folder.joinpath(*parts.parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode("utf-8", "surrogatepass"))


def texts_of(root: Source, folder: Path) -> dict[str, str]:
    """The text and all files of the user's that it uses, at any depth, by name relative to `folder`.

    Raises:
        SpecError: one cannot be read or parsed.
    """
    found, todo = {root.name: root.text}, [(root, folder)]
    while todo:
        source, place = todo.pop()
        for item in parse(source).items:
            if isinstance(item, Use) and item.path is not None:
                used = read((place / item.path).resolve(), folder, item.span)
                if used.name not in found:
                    found[used.name] = used.text
                    todo.append((used, (place / item.path).parent))
    return found


def chosen(project: Project, name: str | None) -> tuple[Model, Recipe | None]:
    """The model and recipe that a name means, or the only ones.

    A recipe's name gives it and its model; a model's name the model with its recipe, if it has just one; the name of a
    function or block makes an entry point of that.

    Raises:
        TrainingError: no such name, or several things to choose from.
    """
    if name is None:
        name = _only(project)
    if name in project.recipes:
        return project.recipes[name].model, project.recipes[name]
    model = project.models.get(name) or _entry(project, name)
    own = [r for r in project.recipes.values() if r.model.name == model.name]
    return model, own[0] if len(own) == 1 else None


def _only(project: Project) -> str:
    for names in (list(project.recipes), list(project.models)):
        if len(names) == 1:
            return names[0]
        if names:
            raise TrainingError(
                f"{project.source.name}: there are several to choose from: {', '.join(names)}\nhelp: name one"
            )
    raise TrainingError(f"{project.source.name}: there is no model\nhelp: name a function or block of it")


def _entry(project: Project, name: str) -> Model:
    from zhdsl.lang.check import entry

    return entry(project, name)
