"""Every error of zhdsl, sorted by whose fault it is.

    ZhError
    ├── SpecError       the user's text: code, place, cause, help (one or more diagnostics)
    ├── CompilerError   ours: names the stage that broke its own promise
    ├── BackendError    the machine: no compiler, no driver, out of memory
    └── TrainingError   the run: data, non-finite values, checkpoints

Nothing else leaves the public interface on account of bad input. A `Notice` is no error: a warning in one line that
something works, but not as well as it could.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zhdsl.source import Span


@dataclass(frozen=True)
class Diagnostic:
    """One error of the user's text.

    Attributes:
        code: stable code, `Z0312`; `zh explain CODE` tells more.
        message: what is wrong, one line.
        span: where; `None` only when there is no text (an empty file, a missing one).
        notes: further places with a short text each, drawn under the first.
        help: what to write instead, one line, or empty.
    """

    code: str
    message: str
    span: Span | None
    notes: tuple[tuple[Span | None, str], ...] = ()
    help: str = ""

    def __str__(self) -> str:
        from zhdsl.lang.picture import draw

        return draw(self)


class ZhError(Exception):
    """Root of every error that zhdsl raises on purpose."""


class SpecError(ZhError):
    """The spec is wrong. Holds all independent diagnostics of one run, in order of place."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]):
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.diagnostics))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: what is wrong with the text, and not where Python found it."""
        return str(self).splitlines()


class CompilerError(ZhError):
    """zhdsl broke its own promise; the message names the stage. Please report it."""


class BackendError(ZhError):
    """The machine cannot do it: no driver, no compiler, not enough memory."""


class TrainingError(ZhError):
    """A run cannot go on: data that do not fit, values that are not finite, a checkpoint that is not whole."""


class Notice(RuntimeWarning):
    """The work goes on, but not as it should: kernels that are not kept, a device that another one stands in for."""
