"""What checking yields: `Project`, with its `Model`s, `Recipe`s and `Claim`s. All graphs are typed and closed.

The batch axis of a recipe is the first axis of its dataset's fields; its label is `Recipe.batch_axis` (usually `B`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.source import Source, Span


@dataclass(frozen=True)
class Weight:
    """A parameter or a state.

    Attributes:
        path: stable name, `stage1.2.conv2.W`.
        type: dtype and axes; sizes are numbers (a stream state also has the batch axis).
        order: the axes as written, the order of its array.
        init: graph with the counter `seed` as only input and one result `init`; random streams depend on the path.
        span: where it is declared.
        stream: whether it is stream state (its type mentions the batch axis): zeroed at each pass over a split.
    """

    path: str
    type: Type
    order: tuple[str, ...]
    init: Graph
    span: Span
    stream: bool = False


@dataclass(frozen=True)
class Guard:
    """A condition on sizes that is decided when the sizes are known: `left relation right`."""

    left: Size
    relation: str  # "==", "<=", "<", "whole" (left is a whole number, right unused)
    right: Size
    span: Span
    text: str

    def holds(self, sizes: Mapping[str, int]) -> bool:
        if self.relation == "whole":
            try:
                self.left.evaluate(sizes)
            except ValueError:
                return False
            return True
        a, b = self.left.evaluate(sizes), self.right.evaluate(sizes)
        return {"==": a == b, "<=": a <= b, "<": a < b}[self.relation]


@dataclass(frozen=True)
class Model:
    """A checked model (or a function taken as an entry point), in both modes.

    Attributes:
        infer, train: graphs with data inputs in the order of the signature, parameters (role `param`), states (`state`)
            and counters (`seed`, `step`); results as named in the signature (unnamed: `result`, `result2`, …), and new
            states as outputs of role `state` (train only).
        params, states: by path, in the order of the text; the union of both modes.
        doc: comment lines directly above the definition.
    """

    name: str
    kind: str  # "model", "fn" or "block"
    infer: Graph
    train: Graph
    params: Mapping[str, Weight]
    states: Mapping[str, Weight]
    guards: tuple[Guard, ...]
    span: Span

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.infer.of_role("data")

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self.infer.results("result")


@dataclass(frozen=True)
class DatasetUse:
    """Which data, with which statics, and the declared types of the fields (in the recipe's labels).

    `fields` are ports on input nodes named as the fields, in the order of the declaration.
    """

    name: str
    statics: Mapping[str, Any]
    fields: tuple[Port, ...]
    span: Span


@dataclass(frozen=True)
class Recipe:
    """A checked `train` item.

    Attributes:
        forward: train mode. Inputs: fields (role data, raw as in the dataset), params, states, counters `seed`, `step`,
            `epoch`, and `sample` (i32[B], numbers of the samples; only where augmentation draws). Outputs: `loss` (role
            loss, scalar), new states (role state). `prepare` and `augment` are inside; fitted statistics of `prepare`
            are states named `prepare.<field>.<i>`.
        evaluate: infer mode, no augmentation. Outputs: `loss` (role loss) and metrics (role metric), in which the batch
            axis stands for the whole pass (runtime accumulates the reductions over it); new states of streams.
        predict: infer mode, only the fields that are inputs of the model; results of the model on prepared inputs.
        fit: from the fields over the whole training split to the fitted statistics (outputs of role state), or None.
        update: per trained parameter path, the optimiser: data inputs `w`, `g` (of the parameter's type), and where
            used `rate` (scalar), counters `step`, `epoch`; states `optimizer.<path>.<name>`; result `w`.
        slots: the optimiser's states, by path `optimizer.<path>.<name>`.
        clip: per parameter path: data inputs `g`, `norm` (scalar) -> result `g`; empty: no clipping.
        rate: counters `step` and/or `epoch` -> result `rate` (multiplies the optimiser's lr), or None for 1.
        frozen: paths that are not trained.
        batch: number of samples, or "all", or ("tokens", n).
        epochs, steps: exactly one is given.
        valid: a fraction of the training data, another dataset, or None.
        stop: early stopping: {"metric": name or "loss", "mode": "max"|"min", "patience": int, "delta": float}, or None.
        expect: claims after training: list of (metric, relation, number, span).
        precision: "float32", "float64", ….
    """

    name: str
    model: Model
    data: DatasetUse
    valid: DatasetUse | float | None
    batch_axis: str
    forward: Graph
    evaluate: Graph
    predict: Graph
    fit: Graph | None
    update: Mapping[str, Graph]
    slots: Mapping[str, Weight]
    clip: Mapping[str, Graph]
    rate: Graph | None
    frozen: frozenset[str]
    batch: int | str | tuple[str, int]
    epochs: int | None
    steps: int | None
    seed: int
    stop: Mapping[str, Any] | None
    expect: tuple[tuple[str, str, float, Span], ...]
    precision: str | None
    guards: tuple[Guard, ...]
    span: Span


@dataclass(frozen=True)
class Claim:
    """A `check` item, or what a definition with its own derivative claims.

    `kind`: `static` (already decided: `holds`), `gradient` and `adjoint` (to be run: `model` is the function).
    """

    kind: str
    span: Span
    holds: bool | None = None
    detail: str = ""
    model: Model | None = None


@dataclass(frozen=True)
class Project:
    """All that one file (with what it uses) defines."""

    source: Source
    models: Mapping[str, Model]
    recipes: Mapping[str, Recipe]
    claims: tuple[Claim, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    file: Any = field(default=None, repr=False)  # lang.files.File: the names of the spec
