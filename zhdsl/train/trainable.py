"""The model that `zh.load` gives: a session that can also be trained, measured and used on whole data sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zhdsl.runtime.arguments import arrays_of, taken, unknown
from zhdsl.runtime.session import Session
from zhdsl.runtime.spec import opened
from zhdsl.train.measure import Measure
from zhdsl.train.parts import parts_of
from zhdsl.train.report import Reporter
from zhdsl.train.result import Result
from zhdsl.train.trainer import batch_size, fit

CHUNK = 256  # samples that are predicted at a time


class Trainable(Session):
    """A model in Python; see `Session` for the rest of it."""

    def fit(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        resume: bool = False,
        epochs: int | None = None,
        steps: int | None = None,
        data: Mapping[str, Any] | None = None,
        reporters: Sequence[Reporter] | None = None,
        **more: Any,
    ) -> Result:
        """Trains by the recipe; afterwards the model has the best weights. See `zhdsl.train.trainer.fit`."""
        place = Path(folder) if folder is not None else None
        return fit(self, place, resume, epochs, steps, data, reporters, **more)

    def evaluate(self, part: str = "test", *, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Loss and metrics, exact over a pass.

        Args:
            part: test, valid, train, or `all` of the recipe's data; where there is no such part, the nearest to it that
                was not trained on.
            data: arrays by field, measured as a whole instead.
        """
        parts = parts_of(self.recipe, self.spec.folder, self.seed, self.dtype, data)
        found = {"test": parts.final[1], "valid": parts.watched[1], "train": parts.train, "all": parts.train}
        if part not in found:
            raise unknown("part", part, found)
        chosen = [found[part]] if data is None and part != "all" else list(parts.named.values())
        return Measure(self).over(_joined(chosen), batch_size(self.recipe.batch, parts))

    def predict(self, *args: Any, **named: Any) -> Any:
        """The model's results on raw inputs: the recipe's `prepare` is applied first, and many samples go in pieces.

        Returns:
            The array, if there is one result; else a dict of arrays by name.
        """
        graph = self.spec.recipe.predict if self.spec.recipe else self.spec.model.infer
        ports = graph.of_role("data")
        given = taken(ports, args, named)
        arrays, sizes = arrays_of(ports, given, self.dtype)
        axis = self.spec.recipe.batch_axis if self.spec.recipe else ""
        count = sizes.get(axis, 0)
        whole = all(p.order[:1] == (axis,) for p in (*ports, *graph.results("result")))
        pieces = range(0, count, CHUNK) if whole and count > CHUNK else [0]
        found = []
        for start in pieces:
            cut = {
                p.name: arrays["data", p.name][start : start + CHUNK] if len(pieces) > 1 else arrays["data", p.name]
                for p in ports
            }
            outputs, _ = self._run("predict", graph, (), cut)
            found.append({name: array for (role, name), array in outputs.items() if role == "result"})
        joined = {
            name: np.concatenate([f[name] for f in found]) if len(found) > 1 else found[0][name] for name in found[0]
        }
        return next(iter(joined.values())) if len(joined) == 1 else joined


def _joined(parts: Sequence[Any]) -> Any:
    """Parts of one data set as one again."""
    if len(parts) == 1:
        return parts[0]
    fields = {name: np.concatenate([p.fields[name] for p in parts]) for name in parts[0].fields}
    from dataclasses import replace

    return replace(parts[0], fields=fields, splits=None)


def load(
    source: str | os.PathLike[str],
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "auto",
    dtype: str | None = None,
    seed: int | None = None,
) -> Trainable:
    """See `zhdsl.load`."""
    spec, found = opened(source, model, set)
    if found is None:
        return Trainable(spec, device, dtype, seed)
    made = Trainable(spec, device, dtype or found.record.dtype, found.record.seed if seed is None else seed)
    made.restore(found, str(source))
    return made
