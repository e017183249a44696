"""Products and quotients with a constant: a scalar made of constants alone, `0.5` or `1 / B`."""

from __future__ import annotations

from typing import NamedTuple

from zhdsl.ir.node import Node
from zhdsl.passes.patterns import invariant, is_op


class Scaled(NamedTuple):
    """v * c (`form` "times"), v / c ("over") or c / v ("under"); `first`: the constant stands first in a product."""

    v: Node
    c: Node
    form: str
    first: bool = False

    @staticmethod
    def of(n: Node) -> Scaled | None:
        if not is_op(n, "mul", "div") or not n.type.is_float:
            return None
        a, b = n.operands
        if invariant(a) == invariant(b):
            return None
        if is_op(n, "mul"):
            return Scaled(a, b, "times") if invariant(b) else Scaled(b, a, "times", True)
        return Scaled(a, b, "over") if invariant(b) else Scaled(b, a, "under")

    def at(self, c: Node) -> Node:
        """The same with another constant."""
        if self.form == "times":
            return c * self.v if self.first else self.v * c
        return self.v / c if self.form == "over" else c / self.v

    def around(self, v: Node) -> Node:
        """The same of another value."""
        return self._replace(v=v).at(self.c)
