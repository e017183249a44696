"""The state of checking one entry point in one mode: the graph's builder, the weights found, guards, limits.

Elaboration runs the text with types instead of numbers: blocks are templates, instantiated at each use with their
sizes known or symbolic; `repeat` and `if` are run, `scan` is not. Every value made is a node of the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from zhdsl.errors import Diagnostic
from zhdsl.ir.node import Builder, Frame, Node, Origin, Origins, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang import ast, limits
from zhdsl.lang.model import Guard, Weight
from zhdsl.lang.problem import Enough, Poisoned, Problem, is_library, telling
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import POISON, Tensor
from zhdsl.source import Span

MAX_CALLS = 100  # definitions inside definitions
MAX_NODES = 100_000
MAX_INSTANCES = 20_000
MAX_WORK = 400_000  # steps of one run: expressions and statements elaborated, about 20 µs each
CALL = 5  # steps of a call, beside those of its body
OF_CALLS = ("Z03", "Z05", "Z0602", "Z0603", "Z0606")  # what depends on the arguments of the call


@dataclass(eq=False)
class Diagnostics:
    """What one run has found wrong so far, one message per place and code; and how much work it has done."""

    found: dict[tuple[str, Any], Diagnostic] = field(default_factory=dict)
    unknown: dict[tuple[str, str, str], Span] = field(default_factory=dict)  # file, definition, name: where it is said
    work: int = 0

    def add(self, problem: Problem) -> None:
        """Note a problem. Raises `Enough` when there are as many as one run shows."""
        d = problem.diagnostic
        self.found.setdefault((d.code, d.span.key if d.span else None), d)
        if len(self.found) >= limits.ERRORS:
            raise Enough

    def is_new(self, source: str, definition: str, name: str, span: Span) -> bool:
        """Whether an unknown name is to be reported here: once in a definition is enough."""
        return self.unknown.setdefault((source, definition, name), span) == span

    def ending(self, problem: Problem) -> Enough:
        """What to raise where a limit of the whole run is met: it ends here, with this said once."""
        self.found.setdefault((problem.diagnostic.code, None), problem.diagnostic)
        return Enough()

    @contextmanager
    def collecting(self, on_problem: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Problems inside are reported and end the block."""
        try:
            yield
        except Problem as problem:
            self.add(problem)
            on_problem()
        except Poisoned:
            on_problem()

    def sorted(self) -> tuple[Diagnostic, ...]:
        def key(d: Diagnostic) -> tuple[str, int, int, str]:
            return (*(d.span.key if d.span else ("", 0, 0)), d.code)

        return tuple(sorted(self.found.values(), key=key))


@dataclass(eq=False)
class Failures:
    """Several things checked one after the other, each to its own end; was one of them wrong?"""

    diagnostics: Diagnostics
    any: bool = False

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Problems inside are reported and end the block."""

        def note() -> None:
            self.any = True

        with self.diagnostics.collecting(note):
            yield

    def stop(self) -> None:
        """Raises `Poisoned` if one of them was wrong."""
        if self.any:
            raise Poisoned


@dataclass(eq=False)
class Elaborator:
    """What all definitions of one entry point share while it is elaborated.

    Attributes:
        mode: "train" or "infer".
        counters: the operands of random draws: the seed, then what distinguishes draws (step; epoch and sample).
        sites: names given to block mentions, by (path around, place): the same in both modes.
        weights: what has been declared in any mode, by path.
    """

    mode: str
    builder: Builder
    diagnostics: Diagnostics
    counters: tuple[Node, ...]
    sites: dict[tuple[str, Any], str] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)  # the last number of a name under a path
    params: dict[str, Weight] = field(default_factory=dict)
    states: dict[str, Weight] = field(default_factory=dict)
    current: dict[str, Tensor] = field(default_factory=dict)  # states as updated so far
    guards: dict[tuple[str, str], Guard] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)  # calls from user text, innermost last
    depth: int = 0
    draws: dict[str, int] = field(default_factory=dict)
    samplings: list[Span] = field(default_factory=list)
    frames: tuple[Frame, ...] = ()  # the calls and rounds around what is being elaborated
    _entered: dict[tuple[tuple[Frame, ...], str], int] = field(default_factory=dict)
    _places: dict[tuple[int, int, int], tuple[Origins, Any]] = field(default_factory=dict)

    @contextmanager
    def at(self, span: Span) -> Iterator[None]:
        """Nodes made inside come from this place, and from the user's call if it is in the library."""
        before, self.builder.here = self.builder.here, self.places(span)
        try:
            yield
        finally:
            self.builder.here = before

    def places(self, span: Span) -> Origins:
        """The origins of what an expression makes."""
        user, frames = self.spans[-1] if self.spans and is_library(span) else None, self.frames
        key = (id(span), id(user), id(frames))
        found = self._places.get(key)
        if found is None:
            origins = frozenset(Origin(place, frames=frames) for place in (span, user) if place is not None)
            found = self._places[key] = (origins, (span, user, frames))  # kept: their ids stay theirs
        return found[0]

    @contextmanager
    def inside(self, frame: Frame, span: Span) -> Iterator[None]:
        """What is made inside remembers this call or round; calls of one name around one place are numbered."""
        before, here = self.frames, self.builder.here
        if frame.kind != "repeat":
            n = self._entered[before, frame.name] = self._entered.get((before, frame.name), 0) + 1
            frame = frame._replace(name=f"{frame.name} ({n})") if n > 1 else frame
        self.frames = (*before, frame)
        self.builder.here = self.places(span)
        try:
            yield
        finally:
            self.frames, self.builder.here = before, here

    def spend(self, span: Span, steps: int = 1) -> None:
        """Counts work. Raises `Enough` where it is more than the limit: a short text can ask for very much."""
        self.diagnostics.work += steps
        if self.diagnostics.work > MAX_WORK:
            message = f"checking takes more than {MAX_WORK:,} steps"
            help_ = "fewer repetitions, or fewer blocks in blocks: what is repeated at run time is a `scan`"
            raise self.diagnostics.ending(Problem("Z0907", message, self.users(span), help=help_))

    def users(self, span: Span) -> Span:
        """The place itself, or the user's call where it is in the library."""
        return self.spans[-1] if self.spans and is_library(span) else span

    @contextmanager
    def calling(self, span: Span, name: str) -> Iterator[None]:
        """Counts the depth of calls and remembers the user's place."""
        if self.depth >= MAX_CALLS:
            what = f"{name}: definitions call each other more than {MAX_CALLS} deep"
            help_ = "one that calls itself needs an end: `if n == 0 { … } else { … }`"
            raise Problem("Z0412", what, span, help=help_)
        if len(self.builder.origins) > MAX_NODES:
            message = f"the model has more than {MAX_NODES:,} operations"
            raise self.diagnostics.ending(Problem("Z0615", message, self.users(span)))
        self.spend(span, CALL)
        self.depth += 1
        mine = not is_library(span)
        if mine:
            self.spans.append(span)
        try:
            with telling(span):
                yield
        except Problem as problem:
            raise problem.called_from(span, name) from None
        finally:
            self.depth -= 1
            if mine:
                self.spans.pop()

    @contextmanager
    def telling_caller(self) -> Iterator[None]:
        """A problem with axes, sizes or dtypes in a body of the user's is shown with the call that led to it."""
        try:
            yield
        except Problem as problem:
            if len(self.spans) > 1 and problem.diagnostic.code.startswith(OF_CALLS):
                raise problem.noted(self.spans[-1], "in this call") from None
            raise

    def guard(self, left: Size, relation: str, right: Size, span: Span, text: str) -> None:
        """A condition to be tested when the sizes are known."""
        self.guards.setdefault((str(left - right), relation), Guard(left, relation, right, span, text))

    def stream(self, path: str) -> int:
        """A number for one mention of a random draw, from the path around it and how many came before there."""
        n = self.draws[path] = self.draws.get(path, 0) + 1
        return int.from_bytes(hashlib.blake2b(f"{path}#{n}".encode(), digest_size=4).digest(), "big") >> 1

    def instance_path(self, scope: Scope, wanted: str, site: Span) -> str:
        """A stable path for an instance: `wanted` under the path around it, numbered from the second on."""
        around = scope.path
        key = (around, (site.key, wanted))
        if key not in self.sites:
            taken = self.names.setdefault(around, set())
            n = self.numbers.get((around, wanted), 1)
            while (name := wanted if n == 1 else f"{wanted}{n}") in taken:
                n += 1
            taken.add(name)
            self.sites[key], self.numbers[around, wanted] = name, n
            if len(self.sites) > MAX_INSTANCES:
                message = f"the model has more than {MAX_INSTANCES:,} blocks and repetitions"
                raise self.diagnostics.ending(Problem("Z0615", message, self.users(site)))
        return joined(around, self.sites[key])


def joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def constant(value: float | int | bool | Size, dtype: str) -> Tensor:
    return Tensor(apply("const", value=value, dtype=dtype), ())


def counter(name: str) -> Node:
    """A counter as an input of the graph: i32, no axes."""
    return apply("input", port=name, type=Type("i32"))


def poison(scope: Scope, targets: tuple[ast.Name, ...]) -> None:
    for target in targets:
        scope.vars[target.id] = POISON
