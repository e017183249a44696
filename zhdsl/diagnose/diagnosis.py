"""`diagnose`: measures, follows, tries, and judges.

What may be the cause of other things is looked for first. Where the input is not normalised, all else is judged as
if it were; depth is judged where nothing is wrong with time, and the learning rate where nothing else was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

from zhdsl.diagnose.batches import FEWEST, MOST, WORK, Array, Batches, batches_of
from zhdsl.diagnose.descent import FACTORS, Descent, Slope
from zhdsl.diagnose.instrument import instrumented, movable
from zhdsl.diagnose.measure import InputStat, Measured, Meter
from zhdsl.diagnose.recurrence import Recurrence, recurrence
from zhdsl.diagnose.rules import OF_UNITS, Finding, bad_inputs, depth, input_finding, rate, through_time, thrown
from zhdsl.diagnose.sites import Sites, sites_of
from zhdsl.errors import TrainingError
from zhdsl.lang.ast import Train
from zhdsl.lang.model import Recipe
from zhdsl.lang.parser import parse
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.non_finite import first_non_finite
from zhdsl.runtime.session import Session
from zhdsl.source import Source, Span

TOO_LARGE = 30 * WORK  # for two samples: more is not measured in seconds
STEPS, BATCHES = 20, 4  # of the descent
TRIED = 1e10  # floating-point operations that a descent may take
LEAST = 16  # samples of its batches
UNMOVED = 0.02  # relative change of what comes behind the first layer, below which a moved input made no difference


@dataclass(frozen=True)
class Diagnosis:
    """What was measured and what is wrong.

    Attributes:
        name: of the recipe.
        measured: the layers at a batch; `None` where the network is too large.
        descents: at the recipe's rate, and at parts of it where that was too large.
        notes: what could not be looked at, and why.
    """

    name: str
    measured: Measured | None
    recurrences: tuple[Recurrence, ...]
    descents: tuple[Descent, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def diagnose(session: Session, descend: bool = True) -> Diagnosis:
    """Examines the recipe of a session at its present weights; changes nothing but the statistics of `prepare`.

    Args:
        session: in float64, if what vanishes shall not vanish because of the number format.
        descend: whether a few steps are taken to try the learning rate; of use at first weights only.

    Raises:
        TrainingError: there is no recipe, its graph has no layer, or its loss is not finite; the message then names the
            op and the line.
    """
    return _Examination(session, descend).diagnosis()


class _Examination:
    """One network on its way to a diagnosis."""

    def __init__(self, session: Session, descend: bool):
        self.descend = descend
        self.session, self.recipe = session, session.recipe
        self.batches: Batches = batches_of(session)
        forward = self.recipe.forward  # what only new states need is of no interest
        self.graph = replace(forward, outputs=(forward.output("loss", "loss"),))
        self.sites: Sites = sites_of(self.graph, self.recipe.batch_axis)
        self.moves: Mapping[int, InputStat] = {}
        self.notes: list[str] = []
        if self.batches.missing:
            self.notes.append(f"measured on noise, for the data are not there: {self.batches.missing}")

    def diagnosis(self) -> Diagnosis:
        graph, name = self.graph, self.recipe.name
        if not self.sites.layers:
            raise TrainingError(f"{name}: there is no layer to look at\nhelp: its loss has to depend on a `param`")
        each = self.batches.work(graph)
        if FEWEST * each > TOO_LARGE:
            note = (
                f"a sample takes {each / 1e9:.3g} GFLOP, too much to be measured in seconds: make it smaller with --set"
            )
            return Diagnosis(name, None, (), (), (), (*self.notes, note))
        measured, inputs = self._measured()
        recurrences = self._recurrences()
        of_units = chain.from_iterable(rule(measured) for rule in OF_UNITS)
        of_time = list(chain.from_iterable(map(through_time, recurrences)))
        findings = [*inputs, *of_units, *of_time, *(() if of_time else depth(measured))]
        descents = () if findings else self._descents(each)
        findings += rate(descents, place_of_key(self.recipe, self.session, "optimizer"))
        return Diagnosis(name, measured, recurrences, descents, tuple(findings), tuple(self.notes))

    # ------------------------------------------------------------ layers
    def _measured(self) -> tuple[Measured, list[Finding]]:
        """The sites at a batch, its inputs standardised if they had to be; and what is wrong with the inputs."""
        count = self.batches.affordable(self.graph, min(MOST, max(self.batches.full(), MOST // 2)))
        batch, meter = self.batches.take(count, 1)[0], Meter(self.session, instrumented(self.sites))
        measured = meter.at(batch)
        if not math.isfinite(measured.loss):
            raise TrainingError(
                f"{self.recipe.name}: the loss is {measured.loss} at the first batch\n  {self._cause(batch)}"
            )
        bad = bad_inputs(measured) if self.batches.parts else {}
        if not bad:
            return measured, []
        standard = meter.at(batch, bad)
        self.moves = bad
        if _same(measured, standard):
            return standard, []
        field, place = self._source_of(min(bad))
        return standard, [input_finding(bad, place, field)]

    def _cause(self, batch: Mapping[str, Array]) -> str:
        """Which op made the first value that is not finite, and where."""
        session, ports = self.session, self.graph.of_role("data")
        sizes = sizes_of(ports, [batch[p.name].shape for p in ports])
        given = {("data", p.name): batch[p.name] for p in ports}
        given |= session.counters(self.graph, sizes) | session.fresh(self.graph, sizes)
        return first_non_finite(self.graph, given, session.dtype, self.graph.output("loss", "loss").node)

    def _source_of(self, number: int) -> tuple[str, Span]:
        """The field that an input comes from, and the line that prepares it or names the data."""
        fields = {p.node: p.name for p in self.graph.of_role("data")}
        stack, field = [self.sites.inputs[number].node], next(iter(fields.values()))
        while stack:
            node = stack.pop()
            if node in fields:
                field = fields[node]
                break
            stack += node.operands
        return field, place_of_key(self.recipe, self.session, "prepare", field)

    # ------------------------------------------------------------ loops
    def _recurrences(self) -> tuple[Recurrence, ...]:
        if not self.sites.loops:
            return ()
        graph, _ = movable(self.graph, self.sites.inputs)
        loops = sites_of(graph, self.recipe.batch_axis).loops
        batch = self.batches.take(self.batches.affordable(graph, MOST // 4), 1)[0]
        found = [recurrence(self.session, graph, loop, batch, self.moves) for loop in loops]
        return tuple(r for r in found if r is not None)

    # ------------------------------------------------------------ rate
    def _descents(self, each: float) -> tuple[Descent, ...]:
        if not self.batches.parts or not self.descend:
            return ()
        size = min(self.batches.full(), max(LEAST, self.batches.affordable(self.graph, MOST, TRIED / STEPS / 3)))
        if size * each * 3 * STEPS > 2 * TRIED:
            self.notes.append(
                f"the learning rate was not tried: {STEPS} steps take {3 * each * size * STEPS / 1e9:.3g} GFLOP"
            )
            return ()
        slope, batches = Slope(self.session, self.sites.inputs), self.batches.take(size, BATCHES)
        batches = [b for b in batches if len(next(iter(b.values()))) == len(next(iter(batches[0].values())))]
        found = [slope.down(batches, STEPS, 1.0, self.moves)]
        for factor in FACTORS if thrown(found[0]) else ():
            found.append(slope.down(batches, STEPS, factor, self.moves))
        return tuple(found)


def _same(a: Measured, b: Measured) -> bool:
    """Whether moving the input made no difference: a normalisation comes right behind the first layer."""
    pairs = [(a.loss, b.loss)]
    pairs += [(x.spread, y.spread) for x, y in zip(a.layers, b.layers, strict=True) if x.depth > 1]
    return all(abs(x - y) <= UNMOVED * max(abs(x), abs(y)) for x, y in pairs)


def place_of_key(recipe: Recipe, session: Session, key: str, field: str = "") -> Span:
    """Where a recipe says `key = …`, or `key.field = …`; where it names its data, if it does not say that."""
    source = recipe.span.source
    items = parse(Source(source.name, source.text)).items
    trains = [i for i in items if isinstance(i, Train) and (i.alias or i.model).id == recipe.name]
    entries = {".".join(e.key): e.span for t in trains for e in t.entries}
    wanted = f"{key}.{field}" if field else key
    found = entries.get(wanted) or entries.get("data")
    return Span(source, found.start, found.end) if found else recipe.span
