"""`zh check`: specs and the claims they make, one line for each file and a picture for each thing that is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zhdsl import __version__
from zhdsl.cli.fmt import STDIN, expand, standard_input
from zhdsl.cli.specs import counted, open_spec, setting_option
from zhdsl.cli.terminal import complain, printable
from zhdsl.errors import Diagnostic, SpecError

if TYPE_CHECKING:
    from zhdsl.lang.model import Claim, Project
    from zhdsl.source import Span

NUMERIC = ("gradient", "adjoint")  # kinds of claims that are compared with finite differences


class Tried(NamedTuple):
    """A claim, decided."""

    claim: Claim
    problem: Diagnostic | None
    error: float | None = None  # the largest relative error of a gradient


class Outcome(NamedTuple):
    """What one file is like; `project` is `None` for one with errors."""

    path: str
    project: Project | None
    claims: tuple[Tried, ...]
    problems: tuple[Diagnostic, ...]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@setting_option
@click.option("--json", "json_", is_flag=True, help="Print what was found as JSON.")
def check(paths: tuple[str, ...], settings: dict[str, Any], json_: bool) -> int:
    """Check specs and the claims they make.

    A folder stands for all .zh files in it, at any depth; '-' is standard input.
    Claims about gradients are compared with finite differences, in float64 and
    for small sizes. The exit code is 1 if anything is wrong, else 0.
    """
    outcomes = []
    for path in expand(paths):
        outcomes.append(examined(path, settings))
        if not json_:
            tell(outcomes[-1])
    if json_:
        click.echo(as_json(outcomes))
    elif len(outcomes) > 1:
        click.echo(total(outcomes))
    return int(any(o.problems for o in outcomes))


def examined(path: str, settings: Mapping[str, Any]) -> Outcome:
    """One file, checked, with its claims tried."""
    try:
        project = standard_input_project(settings) if path == STDIN else open_spec(path, settings)
    except SpecError as error:
        return Outcome(path, None, (), error.diagnostics)
    claims = tuple(map(tried, project.claims))
    return Outcome(path, project, claims, tuple(t.problem for t in claims if t.problem))


def standard_input_project(settings: Mapping[str, Any]) -> Project:
    """The spec on standard input, which has no folder and so imports nothing. Raises `SpecError`."""
    from zhdsl.lang.check import check

    return check(standard_input(), None, settings)


def tried(claim: Claim) -> Tried:
    """A claim that was decided while checking, or is decided now by numbers."""
    if claim.kind in NUMERIC:
        from zhdsl.cli.gradient_claims import compare

        problem, error = compare(claim)
        return Tried(claim, problem, error)
    if claim.holds:
        return Tried(claim, None)
    return Tried(claim, Diagnostic("Z0801", claim.detail or "the claim does not hold", claim.span))


# ---------------------------------------------------------------- for people
def tell(outcome: Outcome) -> None:
    """One line on the file, and what is wrong in it."""
    name = "standard input" if outcome.path == STDIN else outcome.path
    click.echo(printable(f"{name}: {', '.join(summary(outcome))}"))
    sys.stdout.flush()
    if outcome.problems:
        complain("\n\n".join(map(str, outcome.problems)) + "\n")


def summary(outcome: Outcome) -> Iterator[str]:
    """`ok`, `1 model`, `1 recipe`, `2 claims`."""
    if outcome.problems:
        yield counted(len(outcome.problems), "error")
    else:
        yield "ok"
    if outcome.project is None:
        return
    project = outcome.project
    parts = {"model": len(project.models), "recipe": len(project.recipes), "claim": len(project.claims)}
    others = len(project.file.items) + len(project.file.consts)
    shown = {noun: n for noun, n in parts.items() if n} or {"definition": others}
    yield from (counted(n, noun) for noun, n in shown.items())
    errors = [t.error for t in outcome.claims if t.error is not None and t.problem is None]
    if errors:
        yield f"gradients within {max(errors):.0e}"


def total(outcomes: list[Outcome]) -> str:
    """The last line of a run over several files."""
    bad = sum(1 for o in outcomes if o.problems)
    return f"{counted(len(outcomes), 'file')}: " + (f"{bad} with errors" if bad else "all ok")


# ---------------------------------------------------------------- for programs
def as_json(outcomes: list[Outcome]) -> str:
    """`{"zhdsl", "ok", "files": [{"path", "ok", "models", "recipes", "claims", "diagnostics"}, …]}`."""
    import json

    files = [_file(o) for o in outcomes]
    whole = {"zhdsl": __version__, "ok": all(f["ok"] for f in files), "files": files}
    return json.dumps(whole, indent=2, allow_nan=False)


def _file(outcome: Outcome) -> dict[str, Any]:
    project = outcome.project
    return {
        "path": os.fspath(outcome.path),
        "ok": not outcome.problems,
        "models": list(project.models) if project else [],
        "recipes": list(project.recipes) if project else [],
        "claims": list(map(_claim, outcome.claims)),
        "diagnostics": list(map(_diagnostic, outcome.problems)),
    }


def _claim(tried: Tried) -> dict[str, Any]:
    claim = tried.claim
    text = claim.detail if claim.kind in NUMERIC else claim.span.text
    found = {"text": text, "kind": claim.kind, "holds": tried.problem is None, **_place(claim.span)}
    return found if tried.error is None else {**found, "error": tried.error}


def _diagnostic(problem: Diagnostic) -> dict[str, Any]:
    return {
        "code": problem.code,
        "message": problem.message,
        **_place(problem.span),
        "help": problem.help,
        "notes": [{"text": text, **_place(span)} for span, text in problem.notes],
    }


def _place(span: Span | None) -> dict[str, Any]:
    """Lines and columns from 1; the end is the first character after the place."""
    if span is None:
        return {"file": None, "line": None, "column": None, "end_line": None, "end_column": None}
    (line, column), (end_line, end_column) = span.source.place(span.start), span.source.place(span.end)
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}
