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
from zhdsl.train.limits import Options, batch_size
from zhdsl.train.measure import Measure
from zhdsl.train.parts import parts_of, whole
from zhdsl.train.report import Reporter
from zhdsl.train.result import Result
from zhdsl.train.trainer import fit

CHUNK = 256  # samples that are predicted at a time


class Trainable(Session):
    """A model in Python; see `Session` for the rest of it."""

    def fit(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        resume: bool = False,
        data: Mapping[str, Any] | None = None,
        reporters: Sequence[Reporter] | None = None,
        **options: Any,
    ) -> Result:
        """Trains by the recipe; afterwards the model has the best weights.

        Args:
            folder: where the run is written, so that it can go on; `None` writes nothing.
            resume: go on with the run in `folder`.
            data: arrays by field, instead of the recipe's data set.
            reporters: who is told of progress; `None` shows it on standard output, `[]` nowhere.
            options: `epochs` or `steps` instead of the recipe's, and the others of `zhdsl.train.limits.Options`.
        """
        place = Path(folder) if folder is not None else None
        return fit(self, place, resume, Options(**options), data, reporters)

    def evaluate(self, part: str = "test", *, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Loss and metrics, exact over a pass.

        Args:
            part: `test`, `valid`, `train` or `all` of the recipe's data. Without a test part `test` is the validation
                part, and without one of those the training part.
            data: arrays by field, measured as a whole instead.
        """
        if data is not None or part == "all":
            chosen = whole(self.recipe, self.spec.folder, self.dtype, data)
        else:
            parts = parts_of(self.recipe, self.spec.folder, self.seed, self.dtype)
            found = {"test": parts.final[1], "valid": parts.watched[1], "train": parts.train}
            if part not in found:
                raise unknown("part", part, [*found, "all"])
            chosen = found[part]
        return Measure(self).over(chosen, batch_size(self.recipe, chosen))

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
        if count <= CHUNK or any(p.order[:1] != (axis,) for p in (*ports, *graph.results("result"))):
            return self._predicted(graph, given)
        pieces = [
            self._predicted(graph, {name: array[start : start + CHUNK] for (_, name), array in arrays.items()})
            for start in range(0, count, CHUNK)
        ]
        if isinstance(pieces[0], dict):
            return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        return np.concatenate(pieces)

    def _predicted(self, graph: Any, given: Mapping[str, Any]) -> Any:
        outputs, _ = self._run("predict", graph, (), given)
        results = {name: array for (role, name), array in outputs.items() if role == "result"}
        return next(iter(results.values())) if len(results) == 1 else results


def load(
    source: str | os.PathLike[str],
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "auto",
    dtype: str | None = None,
    seed: int | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Trainable:
    """See `zhdsl.load`."""
    spec, found = opened(source, model, set, folder)
    if found is None:
        return Trainable(spec, device, dtype, seed)
    made = Trainable(spec, device, dtype or found.record.dtype, found.record.seed if seed is None else seed)
    made.restore(found, str(source))
    return made
