"""Nothing but `SpecError` comes out of the front end, whatever the text, and it comes soon.

Real specs are changed at random, so that most texts parse and reach the checker (`mutations.py`). A seed that fails is
printed by hypothesis with its text; `mutant(Random(seed))` makes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import process_time
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.lang.mutations import mutant, soup
from zhdsl.errors import Diagnostic, SpecError
from zhdsl.ir.verify import verify
from zhdsl.lang import elaborator, limits
from zhdsl.lang.check import check, entry
from zhdsl.lang.codes import CODES
from zhdsl.lang.model import Project
from zhdsl.source import Source

T = TypeVar("T")

SECONDS = 10.0  # far more than any check takes with `WORK` steps, on a machine that does other things too
WORK = 20_000
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is in proportion to the limit of work: with a small one every check is short."""
    monkeypatch.setattr(elaborator, "MAX_WORK", WORK)


def checked(text: str) -> None:
    """Check a text. Anything but a result or a well-formed `SpecError`, in time, fails."""
    note(text)
    begin = process_time()
    project = attempt(lambda: check(Source("text.zh", text)))
    assert process_time() - begin < SECONDS
    if project is not None:
        right(project)


def attempt(work: Callable[[], T]) -> T | None:
    """What it gives, or nothing after a well-formed `SpecError`."""
    try:
        return work()
    except SpecError as error:
        assert 0 < len(error.diagnostics) <= limits.ERRORS
        assert len({(d.code, d.span and d.span.key) for d in error.diagnostics}) == len(error.diagnostics)
        for diagnostic in error.diagnostics:
            well_formed(diagnostic)
        assert str(error)
        return None


def right(project: Project) -> None:
    """All graphs of an accepted text are valid; any name of it can be asked for as an entry point."""
    graphs = [g for m in project.models.values() for g in (m.infer, m.train)]
    graphs += [g for m in project.models.values() for w in (*m.params.values(), *m.states.values()) for g in [w.init]]
    for r in project.recipes.values():
        graphs += [
            r.forward,
            r.evaluate,
            r.predict,
            *filter(None, (r.fit, r.rate)),
            *r.update.values(),
            *r.clip.values(),
        ]
    for graph in graphs:
        verify(graph)
    for name in (*project.file.items, *project.file.consts, "nothing"):
        attempt(lambda name=name: entry(project, name))


def well_formed(d: Diagnostic) -> None:
    """A known code, a message, places that are in their texts."""
    assert d.code in CODES
    assert d.message
    for span in [d.span, *(place for place, _ in d.notes)]:
        if span is not None:
            assert 0 <= span.start <= span.end <= len(span.source.text)


@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_changed_texts(seed: int) -> None:
    checked(mutant(Random(seed), 700))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_changed_specs(seed: int) -> None:
    checked(mutant(Random(seed)))


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_words_and_signs_in_any_order(seed: int) -> None:
    checked(soup(Random(seed)))


@pytest.mark.fuzz
@settings(max_examples=20_000, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_many_changed_texts(seed: int) -> None:
    random = Random(seed)
    checked(mutant(random, random.choice((700, 1500, 3000, 10**9))))
