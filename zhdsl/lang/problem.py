"""How the checker says that something is wrong: `Problem` carries one diagnostic out of an expression.

`Poisoned` is raised by whatever touches a value whose own problem has been reported: it ends the statement without a
second message, so that all errors of one run are independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from zhdsl.errors import Diagnostic
from zhdsl.ir.sizes import Undecided
from zhdsl.ir.types import TypeProblem
from zhdsl.source import Source, Span

Note = tuple[Span | None, str]


class LibraryText(Source):
    """A text of the library, not of the user."""


def is_library(span: Span) -> bool:
    """Whether a place is in the text of the library."""
    return isinstance(span.source, LibraryText)


class Problem(Exception):
    """One thing wrong in the user's text, on its way to the list of diagnostics."""

    def __init__(self, code: str, message: str, span: Span | None, *notes: Note, help: str = ""):
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, tuple(notes), help)

    def called_from(self, span: Span, name: str) -> Problem:
        """The same problem seen from a call: a place in the library moves to the notes, the user's takes its place."""
        found = self.diagnostic
        if found.span is None or is_library(span) or not is_library(found.span):
            return self
        note = (found.span, f"in {name}, of the library")
        self.diagnostic = replace(found, span=span, notes=(*found.notes, note))
        return self

    def noted(self, span: Span, text: str) -> Problem:
        """The same problem with one more place beside it."""
        if span not in [place for place, _ in self.diagnostic.notes]:
            self.diagnostic = replace(self.diagnostic, notes=(*self.diagnostic.notes, (span, text)))
        return self


class Poisoned(Exception):
    """A value that could not be made was used; it has been reported already."""


class Enough(Exception):
    """The run ends here: it has as many diagnostics as are shown, or has worked as long as it may."""


@contextmanager
def telling(span: Span) -> Iterator[None]:
    """What the graph or the sizes refuse, told as the user's problem at this place."""
    try:
        yield
    except (TypeProblem, Undecided) as why:
        raise refused(why, span) from None


def refused(why: TypeProblem | Undecided, span: Span) -> Problem:
    """The problem of an operation that cannot take its operands, or of a question about sizes without an answer."""
    if isinstance(why, Undecided):
        return Problem("Z0325", f"cannot be decided before the sizes are known: {why}", span)
    return Problem("Z0329", f"this operation cannot be made: {why}", span)


def conversion(dtype: str, span: Span) -> str:
    """The help line where a value has another dtype than is wanted."""
    x = named(span)
    if dtype == "bool":
        return f"compare it: `{x} != 0`"
    if dtype == "i32":
        return f"declare it `i32[…]`, or convert it: `i32({x})` rounds towards 0"
    return f"convert it: `{'f32' if dtype == 'float' else dtype}({x})`"


def counted(n: int, word: str) -> str:
    """`1 tensor`, `2 tensors`."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def named(span: Span, otherwise: str = "x") -> str:
    """What an expression is called in a message: its text if that is short and simple, else `x`."""
    text = span.text
    return text if len(text) <= 20 and text.replace(".", "_").replace("'", "").isidentifier() else otherwise


def listing(names: Iterable[object], conjunction: str = "and") -> str:
    """`a, b and c`."""
    words = [str(n) for n in names]
    return f" {conjunction} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)
