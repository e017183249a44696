"""Writes every value the short way: identities of arithmetic, sums, moves and choices, as one would on paper.

    %1 = mul(%x, 1.0)                                %x
    %2 = expand[B](%g);  %3 = mul(%2, %w[B, N])      mul(%g, %w)
    %4 = mul(%x, %w);    %5 = sum[F](%4)             contract[F](%x, %w)
    %6 = pad(%a) + pad(%b), side by side             concat(%a, %b)

The rules and what they may do are in `passes/rules`; constants that meet are folded on the way.
"""

from __future__ import annotations

from zhdsl.ir.graph import Graph
from zhdsl.passes.fold_constants import RULES as FOLDING
from zhdsl.passes.rewriting import joined, rewrite
from zhdsl.passes.rules import arithmetic, broadcast, choice, functions, movement, pads, reduction, sigmoid, softmax

RULES = joined(
    FOLDING,
    arithmetic.RULES,
    choice.RULES,
    functions.RULES,
    movement.RULES,
    broadcast.RULES,
    reduction.RULES,
    pads.RULES,
    softmax.RULES,
    sigmoid.RULES,
)


def simplify_algebra(graph: Graph) -> Graph:
    """The graph with every rule applied until none has an answer."""
    return rewrite(graph, RULES)
