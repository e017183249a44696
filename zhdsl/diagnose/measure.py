"""What goes through the layers of a network at a batch: sizes of activations, of gradients, units that do nothing.

    rms        root of the mean square over all elements
    spread     the same of what differs between the samples: all that the network can tell them apart by
    gradient   Euclidean norm of the derivative of the loss by the layer's result

In: an instrumented graph and a batch. Out: numbers by site. They are computed in float64: what vanishes here does not
vanish because of the number format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.diagnose.instrument import SCALE, SHIFT, Instrumented
from zhdsl.diagnose.sites import LIBRARY, Bend, Input, Layer
from zhdsl.ir.graph import Port
from zhdsl.runtime import pipeline
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.source import Span

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]
DEVICE = "numpy"  # these graphs run a few times only: it would take longer to compile them
FLAT = 0.1  # of its greatest slope: what a saturated unit has left


@dataclass(frozen=True)
class LayerStat:
    """A layer at a batch.

    Attributes:
        gain: by how much its first weights scale the rms of what they multiply: sqrt(fan_in · mean(W²)); `None` for
            tables and loops.
        declared: where the user's text declares its parameter, if not the library does.
        gradient: `None` where the loss does not depend on it.
    """

    path: str
    kind: str
    depth: int
    place: Span | None
    rms: float
    spread: float
    gradient: float | None
    gain: float | None
    declared: Span | None = None


@dataclass(frozen=True)
class BendStat:
    """An activation at a batch.

    Attributes:
        layer: the place of the layer before it.
        saturated: the part of the values at which the slope is below a tenth of the greatest.
        dead: the part of the units that are 0 for every sample (and step).
        slope: root of the mean square of the slope: what it does to the gradient.
    """

    kind: str
    depth: int
    place: Span | None
    layer: Span | None
    saturated: float
    dead: float
    slope: float
    loop: bool = False


@dataclass(frozen=True)
class InputStat:
    """What a first layer reads.

    Attributes:
        offset: rms of the means of the features over rms of their deviations.
        share: of the largest feature in the sum of all variances.
        features: how many there are that vary.
        shift, scale: what would standardise it.
    """

    rms: float
    offset: float
    share: float
    features: int
    shift: float
    scale: float


@dataclass(frozen=True)
class Measured:
    """All sites at a batch. `samples`: how many there were."""

    loss: float
    layers: tuple[LayerStat, ...]
    bends: tuple[BendStat, ...]
    inputs: tuple[InputStat, ...]
    samples: int


class Meter:
    """An instrumented graph, compiled, with the first weights of a session."""

    def __init__(self, session: Session, made: Instrumented):
        self.session, self.made = session, made
        self.executable = pipeline.compile_graph(made.graph, DEVICE, session.dtype)

    def at(self, batch: Mapping[str, Array], moves: Mapping[int, InputStat] | None = None) -> Measured:
        """Measures at a batch.

        Args:
            batch: arrays by field.
            moves: inputs by number that are to be standardised.
        """
        graph = self.made.graph
        ports = [p for p in graph.of_role("data") if p.name in batch]
        sizes = sizes_of(ports, [batch[p.name].shape for p in ports])
        given: dict[Key, Array] = {("data", p.name): batch[p.name] for p in ports}
        given |= {("data", p.name): moved(p, sizes, moves or {}, self.session.dtype) for p in self.made.probes}
        given |= self.session.counters(graph, sizes) | self.session.fresh(graph, sizes)
        with np.errstate(all="ignore"):
            return self._read(self.executable.run(given), next(iter(batch.values())).shape[0])

    def _read(self, found: Mapping[Key, Array], samples: int) -> Measured:
        sites, batch_axis = self.made.sites, self.session.recipe.batch_axis
        layers = [self._layer(found, i, layer, batch_axis) for i, layer in enumerate(sites.layers)]
        bends = [
            _bend(bend, found["result", f"bend{i}"], self._axes("bend", i))
            for i, bend in enumerate(sites.bends)
            if ("result", f"bend{i}") in found
        ]
        inputs = [
            _input(given, found["result", f"input{i}"], self._axes("input", i)) for i, given in enumerate(sites.inputs)
        ]
        return Measured(float(found["loss", "loss"]), tuple(layers), tuple(bends), tuple(inputs), samples)

    def _axes(self, kind: str, number: int) -> tuple[str, ...]:
        return self.made.graph.output(f"{kind}{number}").order

    def _layer(self, found: Mapping[Key, Array], number: int, layer: Layer, batch_axis: str) -> LayerStat:
        value, gradient = found["result", f"value{number}"], found.get(("grad", f"grad{number}"))
        return LayerStat(
            layer.path,
            layer.kind,
            layer.depth,
            layer.place,
            rms(value),
            rms(value - _over(value, self._axes("value", number), batch_axis)),
            None if gradient is None else float(np.linalg.norm(gradient)),
            self._gain(layer),
            declared(self.session, layer.path),
        )

    def _gain(self, layer: Layer) -> float | None:
        if layer.weight is None:
            return None
        sizes = layer.weight.type.sizes
        fan_in = float(np.prod([sizes[label].evaluate({}) for label in getattr(layer.node.op, "labels", ())]))
        return float(np.sqrt(fan_in)) * rms(self.session.arrays["param", layer.path])


def declared(session: Session, path: str) -> Span | None:
    """Where a parameter is declared; `None` for those of the library's layers."""
    span = session.recipe.model.params[path].span
    return None if span.source.name.startswith(LIBRARY) else span


def moved(port: Port, sizes: Mapping[str, int], moves: Mapping[int, InputStat], dtype: str) -> Array:
    """The array for a port put into a graph: what standardises an input of `moves`, else what changes nothing."""
    name = port.name.rstrip("0123456789")
    value = 1.0 if name == SCALE else 0.0
    if name in (SHIFT, SCALE) and (stat := moves.get(int(port.name[len(name) :]))):
        value = stat.scale if name == SCALE else stat.shift
    return np.full(port.node.type.shape(sizes, port.order), value, dtype)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _over(values: Array, axes: tuple[str, ...], label: str) -> Array:
    """The mean along one axis, which stays with size 1; zeros without that axis."""
    return values.mean(axis=axes.index(label), keepdims=True) if label in axes else np.zeros_like(values)


SLOPES = {
    "relu": lambda y: (y > 0).astype(np.float64),
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}
STEEPEST = {"relu": 1.0, "sigmoid": 0.25, "tanh": 1.0}


def _bend(bend: Bend, value: Array, axes: tuple[str, ...]) -> BendStat:
    slope = SLOPES[bend.kind](value)
    others = tuple(i for i, label in enumerate(axes) if label not in bend.units)
    relu = bend.kind == "relu"
    return BendStat(
        bend.kind,
        bend.depth,
        bend.place,
        bend.layer,
        0.0 if relu else float(np.mean(slope < FLAT * STEEPEST[bend.kind])),
        float(np.mean(~(value > 0).any(axis=others))) if relu else 0.0,
        rms(slope),
        bend.loop is not None,
    )


def _input(given: Input, value: Array, axes: tuple[str, ...]) -> InputStat:
    across = tuple(i for i, label in enumerate(axes) if label not in given.features)
    mean, var = value.mean(axis=across), value.var(axis=across)
    total, spread = float(np.sqrt(var.mean())), float(np.std(value))
    return InputStat(
        rms(value),
        rms(mean) / total if total else 0.0,
        float(var.max() / var.sum()) if var.sum() else 1.0,
        int((var > 0).sum()),
        float(value.mean()),
        1.0 / (spread or 1.0),
    )
