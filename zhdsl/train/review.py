"""What a trained model does with its data, for people to look at: confusions, worst samples, attention, some samples.

In: a model with its weights and the part of the data that nothing was decided on. Out: plain arrays and texts.
Everything is computed by the model on these data; what a model or its data do not have is `None` or empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.data import Arrays
from zhdsl.runtime.attention import Weights, attention_weights
from zhdsl.train.measure import Measure
from zhdsl.train.trainable import Trainable

Array: TypeAlias = npt.NDArray[Any]

MOST = 512  # samples that are looked at
CLASSES = 40  # of a confusion matrix
MAPS, HEADS, LONGEST = 8, 4, 64  # attention: maps, heads of each, positions


@dataclass(frozen=True)
class Confusion:
    """counts[true, predicted] for a field of classes."""

    field: str
    names: tuple[str, ...]
    counts: Array


@dataclass(frozen=True)
class Guess:
    """What a result says of a field: `axis` are the classes, `None` where it is one probability or score."""

    field: Any  # ports
    result: Any
    axis: str | None


@dataclass(frozen=True)
class AttentionMap:
    """How much each row looks at each column, for the first sample."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    axis: str
    values: Array


# ---------------------------------------------------------------- classes
def guesses(model: Trainable) -> list[Guess]:
    """The fields of classes that results of the model predict: of the same axes, with one more for the classes."""
    fields = model.recipe.data.fields
    used = {p.name for p in model.recipe.predict.of_role("data")}
    found = []
    for field in (f for f in fields if f.name not in used):
        for result in model.recipe.predict.results("result"):
            more = [label for label in result.node.type.labels if label not in field.node.type.labels]
            same = len(more) == len(result.node.type.labels) - len(field.node.type.labels)
            if field.node.type.dtype == "i32" and same and len(more) == 1 and result.node.type.is_float:
                found.append(Guess(field, result, more[0]))
            elif same and not more and result.node.type.is_float:
                found.append(Guess(field, result, None))
    return found


def predicted(model: Trainable, part: Arrays) -> dict[str, Array]:
    """The results of the model on the first samples of a part."""
    names = [p.name for p in model.recipe.predict.of_role("data")]
    found = model.predict(**{name: part.fields[name][:MOST] for name in names})
    results = [p.name for p in model.recipe.predict.results("result")]
    return found if isinstance(found, dict) else {results[0]: found}


def chosen_classes(guess: Guess, values: Array) -> Array:
    """The class of the largest score; of one number, whether it is above the middle."""
    if guess.axis is not None:
        return np.asarray(np.argmax(values, guess.result.order.index(guess.axis)), np.int64)
    inside = bool(np.all((values >= 0) & (values <= 1)))
    return np.asarray(values > (0.5 if inside else 0.0), np.int64)


def confusion(model: Trainable, part: Arrays, results: Mapping[str, Array]) -> Confusion | None:
    """How often which class was taken for which, for the first field of classes."""
    for guess in guesses(model):
        true = part.fields[guess.field.name][:MOST]
        if guess.axis is None and not np.isin(true, (0, 1)).all():
            continue
        now = chosen_classes(guess, results[guess.result.name])
        names = class_names(guess, part, results)
        pairs = np.stack([true.astype(np.int64).ravel(), now.ravel()])
        pairs = pairs[:, (pairs[0] >= 0) & (pairs[0] < len(names))]
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (pairs[0], pairs[1]), 1)
        kept = _kept(counts)
        return Confusion(guess.field.name, tuple(names[i] for i in kept), counts[np.ix_(kept, kept)])
    return None


def _kept(counts: Array) -> Array:
    """All classes, or those with the most mistakes."""
    if len(counts) <= CLASSES:
        return np.arange(len(counts))
    wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:CLASSES])


def class_names(guess: Guess, part: Arrays, results: Mapping[str, Array]) -> tuple[str, ...]:
    """The texts of the classes, or their numbers."""
    values = results[guess.result.name]
    count = values.shape[guess.result.order.index(guess.axis)] if guess.axis is not None else 2
    known = part.names.get(guess.field.name, ())
    return tuple(known[i] if i < len(known) else str(i) for i in range(count))


# ---------------------------------------------------------------- single samples
def losses(model: Trainable, part: Arrays, most: int = 256) -> Array:
    """The recipe's loss of every single sample, in use (not in training)."""
    measure = Measure(model)
    size = min(part.size, most)
    return np.array([measure.over(_one(part, i), 1).get("loss", np.nan) for i in range(size)])


def _one(part: Arrays, i: int) -> Arrays:
    return replace(
        part, fields={name: values[i : i + 1] for name, values in part.fields.items()}, splits=None, streams=0
    )


def is_image(port: Any) -> bool:
    """Whether the axes are those of a picture: [B, H, W], with C of 1 or 3 or without."""
    rest = port.order[1:]
    if not {"H", "W"} <= set(rest) or not port.node.type.is_float:
        return False
    more = [port.node.type.sizes[label].number for label in rest if label not in ("H", "W")]
    return not more or (len(more) == 1 and more[0] in (1, 3))


def image_of(port: Any, sample: Array) -> Array:
    """A sample as [H, W, C], from 0 to 1."""
    order = list(port.order[1:])
    move = [order.index("H"), order.index("W"), *(i for i, label in enumerate(order) if label not in ("H", "W"))]
    picture = np.nan_to_num(sample.transpose(move).astype(np.float64))
    picture = picture.reshape(*picture.shape[:2], -1)
    low, high = float(picture.min()), float(picture.max())
    return (picture - low) / (high - low) if high > low else np.zeros_like(picture)


def told(model: Trainable, part: Arrays, results: Mapping[str, Array], i: int) -> list[str]:
    """What there is to say of a sample: its texts and classes, and what the model makes of it."""
    lines = []
    for field in model.recipe.data.fields:
        text = value_text(part.fields[field.name][i], part.names.get(field.name, ()))
        if text:
            lines.append(f"{field.name}: {text}")
    for guess in guesses(model):
        now = chosen_classes(guess, results[guess.result.name])[i]
        text = value_text(now, class_names(guess, part, results))
        if text:
            lines.append(f"predicted {guess.field.name}: {text}")
    return lines


def value_text(value: Array, names: Sequence[str]) -> str:
    """A class, a number, or a short sequence of either as text; empty for what is too large to read."""
    flat = np.asarray(value).ravel()
    if flat.size > LONGEST or np.asarray(value).ndim > 1:
        return ""
    if names and flat.dtype.kind == "i":
        words = [names[int(k)] if 0 <= int(k) < len(names) else str(int(k)) for k in flat]
        return ("" if all(len(word) == 1 for word in words if word) else " ").join(words)
    numbers = [f"{v:.4g}" if flat.dtype.kind == "f" else str(v) for v in flat[:8]]
    return ", ".join([*numbers, *(["…"] if flat.size > 8 else [])])


# ---------------------------------------------------------------- attention
def attention(model: Trainable, part: Arrays) -> list[AttentionMap]:
    """The weights of every softmax over positions whose result then weighs a sum, for the first sample."""
    fields = {name: values[:1] for name, values in part.fields.items()}
    return [one for found in attention_weights(model, fields)[:MAPS] for one in _maps(found, model, part)]


def _maps(found: Weights, model: Trainable, part: Arrays) -> Iterator[AttentionMap]:
    """One map a head: rows are the axis of tokens, or the longest one; columns the axis that is weighed."""
    labels, values = list(found.type.labels), found.values
    if model.recipe.batch_axis in labels:
        values = np.take(values, 0, labels.index(model.recipe.batch_axis))
        labels.remove(model.recipe.batch_axis)
    lengths = dict(zip(labels, values.shape, strict=True))
    others = sorted((n for n in labels if n != found.axis), key=lambda n: (-lengths[n], n != "T", n))
    rows = next((n for n in others if _tokens(model, part, found.type, n)), others[0] if others else None)
    move = [labels.index(n) for n in (*(n for n in others if n != rows), *([rows] if rows else []), found.axis)]
    stacked = np.transpose(values, move).reshape(-1, lengths[rows] if rows else 1, lengths[found.axis])
    columns = _tokens(model, part, found.type, found.axis) or _numbers(stacked.shape[2])
    names = (_tokens(model, part, found.type, rows) if rows else None) or _numbers(stacked.shape[1])
    for head, matrix in enumerate(stacked[:HEADS]):
        many = f", head {head + 1}" if len(stacked) > 1 else ""
        shown = matrix[:LONGEST, :LONGEST]
        yield AttentionMap(f"{found.title}{many}", names[:LONGEST], columns[:LONGEST], found.axis, shown)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(1, count + 1)))


def _tokens(model: Trainable, part: Arrays, type_: Any, label: str) -> tuple[str, ...] | None:
    """The tokens of the first sample along an axis: those of the field with an axis of the same size and with names."""
    for port in model.recipe.predict.of_role("data"):
        names = part.names.get(port.name, ())
        if names and len(port.order) == 2 and port.node.type.sizes[port.order[1]] == type_.sizes[label]:
            return tuple(names[int(k)] if 0 <= int(k) < len(names) else str(k) for k in part.fields[port.name][0])
    return None
