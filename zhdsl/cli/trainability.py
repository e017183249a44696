"""What `zh doctor spec.zh` prints: the layers of a network as they were measured, then what hinders its training.

In: a diagnosis. Out: text for people, or JSON.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from zhdsl import __version__

if TYPE_CHECKING:
    from zhdsl.diagnose.diagnosis import Diagnosis
    from zhdsl.diagnose.measure import BendStat, LayerStat
    from zhdsl.diagnose.rules import Finding
    from zhdsl.source import Span
    from zhdsl.train.trainable import Trainable

SHOWN = 24  # layers; of more, the first and last ones
BAR = 12  # columns of the bar for the gradient
HEADS = ("", "line", "parameter", "gain", "rms", "spread", "gradient", "")


def opened(name: str, recipe: str | None, settings: Mapping[str, Any]) -> tuple[Trainable, bool]:
    """The model that a path means, and whether its weights are trained ones.

    Raises:
        click.ClickException: there is no such file, or no such recipe.
        ZhError: the spec or the weights are wrong.
    """
    if os.path.isdir(name) or name.endswith(".safetensors"):
        from zhdsl.cli.runs import trained

        return trained(name, "numpy")[1], True
    from zhdsl.cli.train import opened as first_weights

    return first_weights(name, recipe, dict(settings), "numpy", "float64", None), False


def text(diagnosis: Diagnosis, model: Trainable, trained: bool) -> Iterator[str]:
    """The lines of a report."""
    yield from _head(diagnosis, model, trained)
    if diagnosis.measured is not None:
        yield from _table(diagnosis.measured.layers, diagnosis.measured.bends)
    yield from _loops(diagnosis)
    yield from _tried(diagnosis)
    for finding in diagnosis.findings:
        yield ""
        yield from _told(finding)
    if not diagnosis.findings and diagnosis.measured is not None:
        yield ""
        yield "nothing was found that hinders training"


def _head(diagnosis: Diagnosis, model: Trainable, trained: bool) -> Iterator[str]:
    measured = diagnosis.measured
    about = f"{diagnosis.name}: {model.param_count:,} parameters"
    if measured is not None:
        weights = "the trained weights" if trained else f"the first weights (seed {model.seed})"
        about += f", {measured.samples} samples at {weights}, loss {measured.loss:.4g}"
    yield about
    yield from (f"note: {note}" for note in diagnosis.notes)


# ---------------------------------------------------------------- layers
def _table(layers: Sequence[LayerStat], bends: Sequence[BendStat]) -> Iterator[str]:
    """Layers with what was measured there; of very many, those in the middle are left out."""
    rows = [HEADS, *(_row(layer, bends, _range(layers)) for layer in layers)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    hidden = range(SHOWN // 2 + 1, len(rows) - SHOWN // 2) if len(rows) > SHOWN + 1 else range(0)
    yield ""
    for i, row in enumerate(rows):
        if i in hidden:
            if i == hidden.start:
                yield f"  … {len(hidden)} more …"
            continue
        cells = (
            cell.ljust(w) if k in (1, 2, 7) else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, wide, strict=True))
        )
        yield "  ".join(cells).rstrip()
    yield "gain: sqrt(fan-in · mean W²); rms and spread: of the result, over all, between samples; gradient: its norm"


def _row(layer: LayerStat, bends: Sequence[BendStat], span: tuple[float, float]) -> tuple[str, ...]:
    return (
        str(layer.depth),
        f"{_file(layer.place)}:{layer.place.line}" if layer.place else "",
        layer.path,
        "" if layer.gain is None else f"{layer.gain:.3g}",
        f"{layer.rms:.3g}",
        f"{layer.spread:.3g}",
        "" if layer.gradient is None else f"{layer.gradient:.2e}",
        _bar(layer.gradient, span) + _units(layer, bends),
    )


def _range(layers: Sequence[LayerStat]) -> tuple[float, float]:
    """The exponents of ten between which all gradients are; three at least."""
    logs = [math.log10(x.gradient) for x in layers if x.gradient]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    return min(low, high - 3), high


def _bar(gradient: float | None, span: tuple[float, float]) -> str:
    if not gradient:
        return " " * BAR
    part = (math.log10(gradient) - span[0]) / (span[1] - span[0])
    return ("█" * max(1, round(part * BAR))).ljust(BAR)


def _units(layer: LayerStat, bends: Sequence[BendStat]) -> str:
    """`  61% saturated`, where that is worth a word."""
    after = [b for b in bends if b.depth == layer.depth and b.layer == layer.place]
    saturated, dead = max((b.saturated for b in after), default=0.0), max((b.dead for b in after), default=0.0)
    parts = [f"{part:.0%} {word}" for part, word in ((saturated, "saturated"), (dead, "dead")) if part >= 0.05]
    return "  " + ", ".join(parts) if parts else ""


# ---------------------------------------------------------------- loops and steps
def _loops(diagnosis: Diagnosis) -> Iterator[str]:
    for loop in diagnosis.recurrences:
        place = f"{_file(loop.place)}:{loop.place.line}" if loop.place else "a loop"
        yield f"{place}: {loop.kept:.2g} of the gradient is left after {loop.steps} steps, {loop.each:.3g} at each"


def _tried(diagnosis: Diagnosis) -> Iterator[str]:
    for tried in diagnosis.descents[:1]:
        yield f"{len(tried.losses)} steps at the recipe's rate: loss {tried.first:.4g}, then {tried.last:.4g}"


# ---------------------------------------------------------------- findings
def _told(finding: Finding) -> Iterator[str]:
    """Kind, lines, and why."""
    first = finding.places[0]
    yield f"{finding.kind}: {first}"
    for place in finding.places[:3]:
        yield f"  {place.line:>4} | {place.source.line(place.line).strip()}"
    if len(finding.places) > 3:
        yield f"         and {len(finding.places) - 3} more lines"
    for name in ("measured", "threshold", "source", "remedy"):
        yield from _paragraph(name, getattr(finding, name))


def _paragraph(name: str, text: str) -> Iterator[str]:
    yield from wrap(text, 108, initial_indent=f"  {name:<9}  ", subsequent_indent=" " * 13, break_long_words=False)


def _file(place: Span | None) -> str:
    return Path(place.source.name).name if place else ""


# ---------------------------------------------------------------- for programs
def as_json(diagnosis: Diagnosis, model: Trainable) -> str:
    """The same for programs: `{"zhdsl", "ok", "recipe", "layers", "loops", "descents", "findings", "notes", …}`."""
    import json

    measured = diagnosis.measured
    whole = {
        "zhdsl": __version__,
        "ok": not diagnosis.findings,
        "recipe": diagnosis.name,
        "parameters": model.param_count,
        "loss": _finite(measured.loss) if measured else None,
        "samples": measured.samples if measured else 0,
        "layers": [_layer(layer) for layer in measured.layers] if measured else [],
        "loops": [{**_place(r.place), "steps": r.steps, "kept": _finite(r.kept)} for r in diagnosis.recurrences],
        "descents": [{"factor": d.factor, "losses": list(map(_finite, d.losses))} for d in diagnosis.descents],
        "findings": [_finding(finding) for finding in diagnosis.findings],
        "notes": list(diagnosis.notes),
    }
    return json.dumps(whole, indent=2, allow_nan=False, ensure_ascii=False)


def _layer(layer: LayerStat) -> dict[str, Any]:
    numbers = {name: _finite(getattr(layer, name)) for name in ("rms", "spread", "gradient", "gain")}
    return {"path": layer.path, "kind": layer.kind, "depth": layer.depth, **_place(layer.place), **numbers}


def _finding(finding: Finding) -> dict[str, Any]:
    words = {name: getattr(finding, name) for name in ("kind", "measured", "threshold", "source", "remedy")}
    return {**words, "places": [_place(place) for place in finding.places]}


def _place(place: Span | None) -> dict[str, Any]:
    return {"file": place.source.name if place else None, "line": place.line if place else None}


def _finite(value: float | None) -> float | None:
    """A number as JSON has it."""
    return value if value is not None and math.isfinite(value) else None
