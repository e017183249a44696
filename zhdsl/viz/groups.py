"""The groups of a scene: the calls and rounds that nodes were made in, as paths of frames, numbered as they are met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from zhdsl.ir.node import NOWHERE, Frame, Origins
from zhdsl.viz.scene import ROOT, Group

PHASES = ("forward", "metric", "backward", "update")  # what a node with several roles belongs to: the first
Path = tuple[Any, ...]  # the groups around a node, outermost first: frames; strings are phases, loops and kernels


def parts_of(frame: Frame) -> tuple[Frame, ...]:
    """A round is in the group of its repeat."""
    return (frame._replace(round=-1), frame) if frame.kind == "repeat" else (frame,)


def common(chains: Iterable[tuple[Frame, ...]]) -> tuple[Frame, ...]:
    """The longest beginning that all have."""
    known = list(chains)
    if not known:
        return ()
    first, last = min(known), max(known)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def phase_of(origins: Origins) -> str:
    """What a node is for: the first of its roles in the order of the step."""
    return next((p for p in PHASES if any(o.role == p for o in origins)), "forward")


def place_text(origins: Origins) -> str:
    """The user's place before that in the library."""
    spans = sorted({o.span for o in origins}, key=lambda s: (s.source.name.startswith("std/"), s.key))
    return ", ".join(dict.fromkeys(str(span) for span in spans[:3]))


def flat(path: Path) -> Iterator[Any]:
    """The parts of a path, with rounds and the one group in them apart again."""
    for part in path:
        if _is_merged(part):
            yield from part
        else:
            yield part


def path_key(path: Path, origins: Origins) -> str:
    """What a value and its gradient have in common: the calls around them, and the first place."""
    frames = "/".join(f"{p.name}.{p.round}" for p in flat(path) if isinstance(p, Frame))
    spans = sorted({o.span.key for o in origins}, key=lambda k: (not k[0].startswith("std/"), k))
    return f"{frames}@{spans[0][0]}:{spans[0][1]}" if spans else frames


def merged(paths: list[Path]) -> list[Path]:
    """A round that holds one group and nothing else is that group: its frame takes the round's number with it."""
    inside: dict[Path, set[Any]] = {}
    for path in paths:
        for depth in range(1, len(path) + 1):
            inside.setdefault(path[:depth], set()).add(path[depth] if depth < len(path) else None)
    alone = {p for p, found in inside.items() if _is_round(p[-1]) and len(found) == 1 and None not in found}

    def shorter(path: Path) -> Path:
        kept: list[Any] = []
        for depth, part in enumerate(path, 1):
            if path[:depth] in alone:
                kept.append(part)
            elif kept and isinstance(kept[-1], Frame) and path[: depth - 1] in alone:
                kept[-1] = (kept[-1], part)
            else:
                kept.append(part)
        return tuple(kept)

    return [shorter(path) for path in paths]


def _is_round(part: Any) -> bool:
    return isinstance(part, Frame) and part.kind == "repeat" and part.round >= 0


class Groups:
    """Groups by path, numbered as they are met.

    `titles` are the groups of the strings in paths; a string without one is a phase, or a loop of the graph.
    """

    def __init__(self, titles: Mapping[str, Group] | None = None) -> None:
        self.titles = titles or {}
        self.numbers: dict[Path, int] = {}
        self.rounds: dict[int, set[int]] = {}

    def number(self, path: Path) -> int:
        if not path:
            return ROOT
        if path not in self.numbers:
            parent = self.number(path[:-1])
            self.numbers[path] = len(self.numbers)
            last: Any = path[-1][0] if _is_merged(path[-1]) else path[-1]
            if _is_round(last):
                self.rounds.setdefault(parent, set()).add(last.round)
        return self.numbers[path]

    def finished(self) -> tuple[Group, ...]:
        return tuple(self._group(path, number) for path, number in self.numbers.items())

    def _group(self, path: Path, number: int) -> Group:
        parent, last = self.numbers.get(path[:-1], ROOT), path[-1]
        key = path_key(path, NOWHERE)
        if _is_merged(last):
            own = self._group((*path[:-1], last[1]), number)
            return replace(own, label=f"{last[0].name} = {last[0].round} · {own.label}", parent=parent, key=key)
        if last in self.titles:
            return replace(self.titles[last], parent=parent)
        if isinstance(last, str):
            kind = "phase" if last in PHASES else "scan"
            return Group(last if kind == "phase" else "scan", kind, parent, key)
        if last.kind != "repeat":
            return Group(last.of, last.kind, parent, key, ".".join(_dotted(path)))
        if last.round < 0:
            return Group(f"{last.name} × {len(self.rounds.get(number, ()))}", "repeat", parent, key)
        return Group(f"{last.name} = {last.round}", "round", parent, key)


def _is_merged(part: Any) -> bool:
    """Whether it stands for a round and the one group in it."""
    return isinstance(part, tuple) and not isinstance(part, Frame)


def _dotted(path: Path) -> Iterator[str]:
    """As paths of parameters are written."""
    for part in flat(path):
        if isinstance(part, Frame) and not (part.kind == "repeat" and part.round < 0):
            yield f"{part.name}{part.round}" if part.kind == "repeat" else part.name
