"""Specs of this repository, made small and free of chance, beside their twins.

text  →  sizes replaced, dropout 0, no augmentation  →  results, loss, gradients and running statistics, both modes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers.twin import Array, Errors, F, Module, Tensor, Twin, compare, compare_loss, session
from zhdsl.ir.graph import Port
from zhdsl.runtime.session import Session

EMPTY: Mapping[str, Any] = {}
SPECS = Path(__file__).parent.parent.parent / "specs"
Loss = Callable[..., Tensor]
PREPARE = re.compile(r"(?m)^ *prepare\.(\w+) *= (\w+) -> standardize(?:\[(\w+)\])?$")


@dataclass(frozen=True)
class Row:
    """A model of a spec and its twin.

    Attributes:
        file: below `specs/`.
        name: of the model or recipe.
        twin: makes the module.
        loss: from the twin's results and the fields of the data, by name; `None` where there is no recipe.
        edits: patterns and what stands for them here; each must be found.
        consts: other values of the text's constants.
        below: what the whole numbers of inputs and fields are smaller than, by name; for the others: drawn from 0 to 1.
        sizes: of the symbols, by name.
    """

    file: str
    name: str
    twin: Callable[[], Any]
    loss: Loss | None
    edits: Mapping[str, str]
    consts: Mapping[str, int]
    below: Mapping[str, int]
    sizes: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"


def row(
    file: str,
    name: str,
    twin: Callable[[], Any],
    loss: Loss | None = None,
    *,
    edits: Mapping[str, str] = EMPTY,
    consts: Mapping[str, int] = EMPTY,
    below: Mapping[str, int] = EMPTY,
    **sizes: int,
) -> Row:
    """A `Row`, with sizes as `B=3`."""
    return Row(file, name, twin, loss, edits, consts, {"label": 10, **below}, sizes)


def small(row: Row) -> Session:
    """The spec's session, without chance and with its sizes replaced."""
    text = (SPECS / row.file).read_text(encoding="utf-8")
    for pattern, new in row.edits.items():
        text, count = re.subn(pattern, new, text)
        assert count, f"{row.file} has no {pattern}"
    text = re.sub(r"dropout\[[^\]]*\]", "dropout[0]", text)
    text = re.sub(r"\bP = 0\.\d+", "P = 0", text)
    text = re.sub(r"(?m)^( *augment\b.*|check .*)\n", "", text)
    return session(text, row.name, row.consts)


def drawn(row: Row, port: Port, rng: Any) -> Array:
    """Numbers for an input or field: normal, or as the row says in `below`."""
    shape = port.node.type.shape(dict(row.sizes), port.order)
    if port.node.type.dtype == "i32":
        return np.asarray(rng.integers(0, row.below[port.name], shape), np.int32)
    return np.asarray(rng.uniform(size=shape) if port.name in row.below else rng.normal(size=shape), np.float64)


def standardized(m: Session) -> dict[str, tuple[int, ...]]:
    """The axes over which `prepare` takes mean and deviation, by field; it may do nothing else."""
    found = {}
    for name, source, channel in PREPARE.findall(m.spec.texts[m.spec.root]):
        assert name == source
        order = next(p.order for p in m.recipe.data.fields if p.name == name)
        found[name] = tuple(i for i, label in enumerate(order) if label != channel)
    return found


class LossTwin(Module):
    """The loss of a twin on the fields of the data."""

    def __init__(self, model: Any, inputs: list[str], loss: Loss, standard: Mapping[str, tuple[int, ...]]):
        super().__init__()
        self.model, self.inputs, self.loss, self.standard = model, inputs, loss, standard

    def forward(self, **fields: Tensor) -> Tensor:
        for name, axes in self.standard.items():
            x = fields[name]
            fields[name] = (x - x.mean(axes, keepdim=True)) / x.std(axes, keepdim=True, correction=0)
        return self.loss(self.model(*(fields[name] for name in self.inputs)), **fields)


def compared(row: Row) -> Errors:
    """Errors of everything, by mode and name."""
    m, rng, twin = small(row), np.random.default_rng(18), row.twin()
    inputs = m.spec.model.inputs
    given = [drawn(row, port, rng) for port in inputs]
    found = _named("infer", compare(m, twin, given))
    if row.loss is None:
        return found | _named("train", compare(m, twin, given, train=True))
    fields = dict(zip((p.name for p in inputs), given, strict=True))
    fields |= {p.name: drawn(row, p, rng) for p in m.recipe.data.fields if p.name not in fields}
    whole: Twin = LossTwin(twin, [p.name for p in inputs], row.loss, standardized(m))
    found |= _named("valid", compare_loss(m, whole, fields, train=False))
    return found | _named("train", compare_loss(m, whole, fields))


def _named(mode: str, errors: Errors) -> Errors:
    return {f"{mode}: {name}": error for name, error in errors.items()}


# ---------------------------------------------------------------- losses
def classes(name: str = "label", axis: int = 1, smooth: float = 0.0, skip: int = -100) -> Loss:
    """Cross entropy: labels in the field `name`, classes on `axis` of the results, the label `skip` left out."""

    def loss(logits: Tensor, **fields: Tensor) -> Tensor:
        label = fields[name].long()
        return F.cross_entropy(logits.movedim(axis, 1), label, label_smoothing=smooth, ignore_index=skip)

    return loss
