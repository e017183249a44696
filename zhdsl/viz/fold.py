"""Which groups of a scene are open: as many as are understood at a glance, from the outside in."""

from __future__ import annotations

from zhdsl.viz.scene import ROOT, Scene

MOST = 25  # boxes


def opened(scene: Scene, most: int | None = None) -> frozenset[int]:
    """The groups to open so that at most `most` boxes are seen; by default `MOST` for every phase.

    Groups of one name at one depth are opened together or not at all, outer ones first; those that hold operations
    alone only where all of them fit. Phases are always open. A scene whose outermost level has more boxes than that is
    shown with nothing open.
    """
    found = set(scene.phases)
    most = MOST * max(len(found), 1) if most is None else most
    seen = len(visible(scene, frozenset(found)))
    nested = [[g for g in groups if scene.groups_of[g]] for groups in _alike(scene)]
    if len(visible(scene, everything(scene))) <= most:
        return everything(scene)
    for groups in nested:
        fitting = [g for g in groups if g not in found and scene.groups[g].parent in {ROOT, *found}]
        more = sum(_inside(scene, g) - 1 for g in fitting)
        if fitting and seen + more <= most:
            found |= set(fitting)
            seen += more
    return frozenset(found)


def _alike(scene: Scene) -> list[list[int]]:
    """Groups of one kind and name at one depth, outer ones first."""
    found: dict[tuple[int, str, str], list[int]] = {}
    for number, group in enumerate(scene.groups):
        if group.kind != "phase":
            name = group.label.rpartition("· ")[2] if group.kind != "round" else ""
            found.setdefault((len(scene.around(number)), group.kind, name), []).append(number)
    return [groups for _, groups in sorted(found.items(), key=lambda pair: pair[0][0])]


def _inside(scene: Scene, group: int) -> int:
    return len(_drawn(scene, group)) + len(scene.groups_of[group])


def _drawn(scene: Scene, group: int) -> list[int]:
    """Constants are written where they are used."""
    return [i for i in scene.items_of[group] if scene.items[i].value is None]


def visible(scene: Scene, open_: frozenset[int]) -> list[tuple[str, int]]:
    """The boxes that are seen: items and closed groups."""
    found: list[tuple[str, int]] = []
    todo = [ROOT]
    for group in todo:
        found += [("item", i) for i in _drawn(scene, group)]
        found += [("group", g) for g in scene.groups_of[group] if g not in open_]
        todo += [g for g in scene.groups_of[group] if g in open_]
    return found


def everything(scene: Scene) -> frozenset[int]:
    """All groups."""
    return frozenset(range(len(scene.groups)))


def seen_as(scene: Scene, item: int, open_: frozenset[int]) -> tuple[str, int]:
    """The box in which an item is seen: itself, or the outermost closed group around it."""
    closed = [g for g in scene.around(scene.items[item].group) if g not in open_]
    return ("group", closed[-1]) if closed else ("item", item)
