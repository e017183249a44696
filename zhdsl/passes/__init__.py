"""Graph to graph: each file is one pass, a function of the file's name; their order is the tuple here.

    simplify_algebra               identities of arithmetic, sums, moves, choices (`rules/`, a file per family of ops),
                                   and all that fold_constants alone does: what is known before the data
    stabilize_numerics             logarithms, softmaxes and sigmoids that do not overflow
    erase_stops                    what only differentiation looks at
    simplify_loops                 what no step of a loop changes
    hoist_products, sink_sums      products before a loop and sums behind it, over all steps at once
    merge_common_subexpressions    equal things once
    drop_dead_code                 results and inputs of loops that nobody reads
    turn_folds                     adjoints of convolutions as convolutions, where loops are printed
    split_variance                 variances sample by sample, where loops are printed

A pass keeps the value of every output (up to rounding: see `rules/__init__.py`), the inputs and the
places of the user's text; applied to its own result it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from zhdsl.ir.graph import Graph
from zhdsl.passes.drop_dead_code import drop_dead_code
from zhdsl.passes.erase_stops import erase_stops
from zhdsl.passes.fold_constants import fold_constants
from zhdsl.passes.hoist_products import hoist_products
from zhdsl.passes.merge_common_subexpressions import merge_common_subexpressions
from zhdsl.passes.simplify_algebra import simplify_algebra
from zhdsl.passes.simplify_loops import simplify_loops
from zhdsl.passes.sink_sums import sink_sums
from zhdsl.passes.split_variance import split_variance
from zhdsl.passes.stabilize_numerics import stabilize_numerics
from zhdsl.passes.turn_folds import turn_folds

Pass = Callable[[Graph], Graph]

# Before differentiation: nothing that the derivative depends on goes.
BEFORE_DERIVATIVE: tuple[Pass, ...] = (
    simplify_algebra,
    stabilize_numerics,
    simplify_loops,
    merge_common_subexpressions,
    drop_dead_code,
)
# When nothing is differentiated any more.
PASSES: tuple[Pass, ...] = (
    erase_stops,
    simplify_algebra,
    stabilize_numerics,
    simplify_loops,
    hoist_products,
    sink_sums,
    merge_common_subexpressions,
    drop_dead_code,
)
# The same for backends that print loops; then, once, what later rounds would undo.
DIRECT: tuple[Pass, ...] = (*PASSES, turn_folds)
LAST: tuple[Pass, ...] = (split_variance, merge_common_subexpressions)
MOST_ROUNDS = 6  # of all passes: each round finds what the last one laid open, two or three are usual

__all__ = ["BEFORE_DERIVATIVE", "DIRECT", "LAST", "PASSES", "fold_constants", "run_passes"]


def run_passes(graph: Graph, passes: tuple[Pass, ...] = PASSES, verify: bool = False) -> Graph:
    """The graph after all passes, again and again until none changes anything.

    Args:
        graph: any graph.
        passes: which, in this order.
        verify: check the graph before, and after every pass that changed it.

    Raises:
        CompilerError: the verifier found something; the message names the pass.
    """
    check = _verified if verify else _trusted
    graph = check(graph, "before the passes")
    idle = 0  # passes in a row that changed nothing
    for transform in passes * MOST_ROUNDS:
        new = transform(graph)
        idle = idle + 1 if new is graph else 0
        graph = new if new is graph else check(new, transform.__name__)
        if idle == len(passes):
            break
    return graph


def _verified(graph: Graph, stage: str) -> Graph:
    from zhdsl.ir.verify import verify

    verify(graph, stage)
    return graph


def _trusted(graph: Graph, stage: str) -> Graph:
    return graph
