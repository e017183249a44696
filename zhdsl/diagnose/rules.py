"""What is wrong with a network, by what was measured: thresholds with their reasons, findings with their remedies.

In: measurements. Out: findings, the likely cause before what may follow from it.

Thresholds are orders of magnitude, not tuned constants: a healthy network keeps the norm of the gradient within one or
two of them from end to end (Glorot & Bengio 2010, section 4.2: layers whose gradients differ cannot share one rate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zhdsl.diagnose.descent import Descent
from zhdsl.diagnose.measure import InputStat, LayerStat, Measured
from zhdsl.diagnose.recurrence import Recurrence
from zhdsl.source import Span

FACTOR = 1e3  # between the gradients of the first and the last layers, or of the first and the last step
GROWTH = 1e2  # of the activations: sums of n skips grow by sqrt(n), normalised layers not at all
GATE = 0.5  # what a gated state keeps of the gradient at one step, at least, to be left to learning
SATURATED = 0.75  # part of the units of a layer
DEAD = 0.6  # part of the units of a layer: identical inputs would still leave half of them alive
LARGE, SMALL = 5.0, 0.05  # rms of an input
OFFSET = 3.0  # mean of an input over its deviation
SHARE = 0.995  # of one feature in the variance of all
THROWN = 3.0  # times the first loss
SETTLED = 1.5  # times the first loss: what a rate that is not too large stays below
PART = 0.25  # of the whole effect: what a line must have to be named
STEEP = 0.3  # rms of the slope of an activation below which it is to blame

ORTHOGONAL = "param U: [N', N] = orthogonal keeps the length of the state"
GLOROT = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
HE = "He et al. 2015, Delving deep into rectifiers"
RESIDUAL = "He et al. 2015, Deep residual learning; Yang et al. 2019, A mean field theory of batch normalization"
PASCANU = "Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks"
EFFICIENT = "LeCun, Bottou, Orr, Müller 1998, Efficient BackProp"
GERS = "Gers, Schmidhuber, Cummins 2000, Learning to forget; Jozefowicz et al. 2015"
LU = "Lu et al. 2019, Dying ReLU and initialization"


@dataclass(frozen=True)
class Finding:
    """Something that hinders training.

    Attributes:
        kind: one of `KINDS`.
        places: the guilty lines, the guiltiest first.
        measured: what was seen, with its numbers.
        threshold: from where on it is told, and why from there.
        source: who found it.
        remedy: what to write instead.
    """

    kind: str
    places: tuple[Span, ...]
    measured: str
    threshold: str
    source: str
    remedy: str


KINDS = (
    "input not normalised",
    "saturated units",
    "dead units",
    "vanishing gradient",
    "exploding gradient",
    "learning rate too large",
)
INPUT, SATURATION, DEATH, VANISHING, EXPLODING, RATE = KINDS


# ---------------------------------------------------------------- input
def bad_inputs(measured: Measured) -> dict[int, InputStat]:
    """The inputs, by number, that are far from mean 0 and deviation 1."""
    return {i: stat for i, stat in enumerate(measured.inputs) if _why(stat)}


def _why(x: InputStat) -> str:
    """What is wrong with an input; empty if nothing is."""
    if not math.isfinite(x.rms):
        return "its values are not finite"
    if x.features > 1 and x.share > SHARE:
        return f"one of its {x.features} features has {x.share:.1%} of the variance"
    if x.rms > LARGE or 0 < x.rms < SMALL:
        return f"its rms is {x.rms:.3g}"
    return f"its mean is {x.offset:.3g} times its deviation" if x.offset > OFFSET else ""


def input_finding(bad: Mapping[int, InputStat], place: Span, field: str) -> Finding:
    """The finding on the worst of the inputs."""
    worst = max(bad.values(), key=lambda x: abs(math.log(max(x.rms, 1e-300))))
    return Finding(
        INPUT,
        (place,),
        f"what the first layer reads: {_why(worst)} (a standardised input has rms 1 and mean 0)",
        f"rms outside {SMALL:g} … {LARGE:g}, mean above {OFFSET:g} deviations, or {SHARE:.1%} of the variance in one "
        "feature: the curvature along the weights goes with the square of what they multiply",
        f"{EFFICIENT}, section 4.3",
        f"prepare.{field} = {field} -> standardize, or standardize[F] for each index of an axis F",
    )


# ---------------------------------------------------------------- units
def saturation(measured: Measured) -> Iterator[Finding]:
    """Layers of sigmoids or tanhs whose units have hardly any slope left; the first one only: others follow."""
    for bend in sorted(measured.bends, key=lambda b: b.depth):
        if bend.saturated > SATURATED and bend.layer is not None and not bend.loop:
            gain = _gain_at(measured, bend.layer)
            of_weights = f"; the first weights of the layer before it scale the rms by {gain:.3g}" if gain else ""
            yield Finding(
                SATURATION,
                (bend.layer,),
                f"{bend.saturated:.0%} of the {bend.kind} units have less than a tenth of their slope{of_weights}",
                f"{SATURATED:.0%}: what passes a saturated unit backwards is lost, and so the layer hardly moves",
                f"{GLOROT}, section 3",
                "weights that keep the variance, Dense[n, weight = glorot], a bias near 0, or LayerNorm before "
                f"{bend.kind}",
            )
            return


def death(measured: Measured) -> Iterator[Finding]:
    """The first layer of relus most of which are 0 for every sample."""
    for bend in sorted(measured.bends, key=lambda b: b.depth):
        if bend.dead > DEAD and bend.layer is not None:
            yield Finding(
                DEATH,
                (bend.layer,),
                f"{bend.dead:.0%} of the relu units are 0 for all {measured.samples} samples: they get no gradient",
                f"{DEAD:.0%}: even where all samples look alike, half of the units of a healthy layer stay alive",
                LU,
                "bias = zeros, weight = he, leaky_relu for relu, or BatchNorm before it",
            )
            return


def _gain_at(measured: Measured, place: Span) -> float | None:
    gains = [x.gain for x in measured.layers if x.place == place and x.gain is not None]
    return max(gains, default=None)


# ---------------------------------------------------------------- depth
def by_depth(measured: Measured) -> dict[int, LayerStat]:
    """At each depth the layer through which most of the gradient goes."""
    found: dict[int, LayerStat] = {}
    for layer in measured.layers:
        if layer.gradient is not None:
            best = found.get(layer.depth)
            if best is None or (best.gradient or 0.0) < layer.gradient:
                found[layer.depth] = layer
    return dict(sorted(found.items()))


def ends(layers: Sequence[LayerStat]) -> tuple[float, float, float]:
    """The gradient at the first and at the last tenth of the layers (geometric means), and its factor per layer."""
    k = max(1, len(layers) // 10)
    first, last = _mean(layers[:k]), _mean(layers[-k:])
    return first, last, (first / max(last, 1e-290)) ** (1 / (len(layers) - k))


def _mean(layers: Sequence[LayerStat]) -> float:
    return math.exp(sum(math.log(max(x.gradient or 0.0, 1e-300)) for x in layers) / len(layers))


def depth(measured: Measured) -> Iterator[Finding]:
    """Gradients that die out or grow from the last layer to the first."""
    layers = list(by_depth(measured).values())
    if len(layers) < 3:
        return
    first, last, each = ends(layers)
    ratio, growth = each ** (len(layers) - 1), layers[-1].rms / (layers[0].rms or 1.0)
    if 1 / FACTOR <= ratio <= FACTOR and growth <= GROWTH:
        return
    kind = VANISHING if ratio < 1 / FACTOR else EXPLODING
    cause = _cause(measured, layers, kind)
    yield Finding(
        kind,
        cause.places,
        f"the norm of the gradient is {first:.2g} at the first of {len(layers)} layers and {last:.2g} at the last: "
        f"{each:.3g} for each layer, {ratio:.2g} in all"
        + (f"; the rms of the activations grows by {growth:.2g}" if growth > GROWTH else "")
        + f"; {cause.measured}",
        f"a factor of {1 / FACTOR:g} or {FACTOR:g}: no single rate suits layers whose gradients differ so much"
        + (f"; {GROWTH:g} for activations" if growth > GROWTH else ""),
        cause.source,
        cause.remedy,
    )


@dataclass(frozen=True)
class _Cause:
    places: tuple[Span, ...]
    measured: str
    source: str
    remedy: str


def _cause(measured: Measured, layers: Sequence[LayerStat], kind: str) -> _Cause:
    """What makes the gradient die out or grow: an activation, first weights, or depth alone."""
    blamed = _blamed(layers, kind)
    flat = [b for b in measured.bends if b.kind in ("sigmoid", "tanh") and not b.loop and b.slope < STEEP and b.place]
    if kind == VANISHING and len(flat) >= (len(layers) - 1) / 3:
        slope = sum(b.slope for b in flat) / len(flat)
        return _Cause(
            _lines((b.place, -math.log(max(b.slope, 1e-300))) for b in flat),
            f"the slope of the {flat[0].kind} is {slope:.2g}",
            f"{GLOROT}; Hochreiter 1991",
            "relu with weight = he, or skips: h = h + (h -> Dense[n] -> tanh)",
        )
    gains = [x.gain for x in layers if x.gain is not None and x.place in blamed]
    gain = math.exp(sum(math.log(max(g, 1e-300)) for g in gains) / len(gains)) if gains else 1.0
    typical = _slope(measured)
    if gains and (gain * typical < 0.8 if kind == VANISHING else gain * typical > 1.25):
        return _Cause(
            _declared(layers, blamed),
            f"the first weights scale the rms by {gain:.3g} and the activation by {typical:.3g}, "
            f"{gain * typical:.3g} together, where 1 keeps it",
            f"{HE}, eq. 10; {GLOROT}, eq. 12",
            "weight = he before relu, weight = glorot before tanh",
        )
    return _Cause(
        blamed,
        f"the first weights scale the rms by {gain:.3g}, as they should: it is depth itself",
        RESIDUAL,
        "a skip past every block: return relu(main + x); for pictures see block Basic of specs/depth/resnet.zh",
    )


def _declared(layers: Sequence[LayerStat], places: tuple[Span, ...]) -> tuple[Span, ...]:
    """The lines that say how the parameters of some layers begin: their declarations, where those are the user's."""
    return tuple(dict.fromkeys(x.declared or x.place for p in places for x in layers if x.place == p and x.place))


def _slope(measured: Measured) -> float:
    """The typical slope of the activations: sqrt(1/2) for relu."""
    slopes = [b.slope for b in measured.bends if not b.loop]
    return math.exp(sum(math.log(max(s, 1e-300)) for s in slopes) / len(slopes)) if slopes else 1.0


def _blamed(layers: Sequence[LayerStat], kind: str) -> tuple[Span, ...]:
    """The lines of the layers through which the gradient changes most."""
    sign = -1.0 if kind == VANISHING else 1.0
    logs = [math.log(max(x.gradient or 0.0, 1e-300)) for x in layers]
    changes = [(after.place, sign * (logs[i] - logs[i + 1])) for i, after in enumerate(layers[1:])]
    return _lines(changes)


def _lines(weighted: Iterator[tuple[Span | None, float]] | Sequence[tuple[Span | None, float]]) -> tuple[Span, ...]:
    """Places by the sum of their weights, those that make a good part of it."""
    sums: dict[Span, float] = {}
    for place, weight in weighted:
        if place is not None:
            sums[place] = sums.get(place, 0.0) + weight
    most = max(sums.values(), default=0.0)
    ordered = sorted(sums, key=lambda place: (-sums[place], place.key))
    return tuple(place for place in ordered if sums[place] >= PART * most and sums[place] > 0) or tuple(ordered[:1])


# ---------------------------------------------------------------- time
def through_time(found: Recurrence) -> Iterator[Finding]:
    """A gradient that dies out or grows from the last step to the first."""
    if found.place is None:
        return
    lost = found.kept < 1 / FACTOR and not (found.gated and found.each > GATE)
    if not lost and found.kept <= FACTOR:
        return
    yield Finding(
        VANISHING if lost else EXPLODING,
        (found.declared, found.place) if found.declared and not found.gated else (found.place,),
        f"over {found.steps} steps the gradient by the state is multiplied by {found.kept:.2g}, "
        f"{found.each:.3g} at each" + _matrix(found),
        f"a factor of {1 / FACTOR:g} or {FACTOR:g} from the last step to the first"
        + (f", and less than {GATE:g} at a step through the gate" if found.gated else ""),
        GERS if found.gated else f"{PASCANU}, section 2.1",
        _remedy(found, lost),
    )


def _matrix(found: Recurrence) -> str:
    if found.gated or found.radius is None:
        return "; its gate is almost shut" if found.gated else ""
    return f"; {found.path} has the spectral radius {found.radius:.3g} and the largest singular value {found.norm:.3g}"


def _remedy(found: Recurrence, lost: bool) -> str:
    if found.gated:
        return "LSTM[n, forget = 1]: a gate that is open at first" if lost else "clip = clip_norm[1.0]"
    keep = "" if found.radius is not None and abs(found.radius - 1) < 0.05 else f"{ORTHOGONAL}; "
    return keep + ("LSTM[n, forget = 1] or GRU[n] for long ranges" if lost else "clip = clip_norm[1.0]")


# ---------------------------------------------------------------- rate
def rate(descents: Sequence[Descent], place: Span) -> Iterator[Finding]:
    """A rate at which the loss is thrown up, where a part of it is not."""
    if not descents or not thrown(descents[0]):
        return
    calm = next((d for d in descents[1:] if d.peak <= SETTLED * d.first), None)
    if calm is None:
        return
    whole = descents[0]
    peak = "a value that is not finite" if math.isinf(whole.peak) else f"{whole.peak:.3g}"
    yield Finding(
        RATE,
        (place,),
        f"in {len(whole.losses)} steps the loss goes from {whole.first:.3g} up to {peak}; with {calm.factor:g} of the "
        f"rate it goes to {calm.last:.3g} and stays below {calm.peak:.3g}",
        f"{THROWN:g} times the first loss: a step beyond 2 / λ, the greatest curvature, goes up and not down",
        f"{EFFICIENT}, section 4.6",
        f"lr = {calm.factor:g} of what is there, or a warm-up: schedule = warmup[…]",
    )


def thrown(descent: Descent) -> bool:
    """Whether the loss went far above its first value."""
    return descent.peak > THROWN * descent.first


OF_UNITS: tuple[Callable[[Measured], Iterator[Finding]], ...] = (saturation, death)
