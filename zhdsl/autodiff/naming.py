"""Names of cotangents: `d_h` for that of what the user calls `h`, so that printed derivatives read like the source."""

from __future__ import annotations

from zhdsl.ir.node import NOWHERE, Node, builder


def name_cotangent(g: Node, of: Node) -> None:
    """Name the cotangent `g` after the node it belongs to, if that has a name and `g` none yet."""
    b = builder()
    name = b.names.get(of)
    if name is not None and g.op.family != "source":
        b.note(g, NOWHERE, f"d_{name}")


def name_slots(slots: list[Node], of: list[Node]) -> None:
    """The same for slots of a loop's body."""
    b = builder()
    for slot, node in zip(slots, of, strict=True):
        if node in b.names:
            b.note(slot, NOWHERE, f"d_{b.names[node]}")
