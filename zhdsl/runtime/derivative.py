"""The derivative of a model as a program that can be read: values and gradients in one graph, and its text.

    recipe  →  formulas found  →  gradients  →  short forms  →  formulas written out, axes renamed  →  text

It computes what the training step computes, in another order where that reads better: `softmax` and its like are
differentiated as one formula, constants stay where they arise, axes have the names under which they are used. Two
things may be taken for granted that the training step is not told (the text then begins by saying so): no axis is
empty, and every label of a cross entropy is one of the classes (there the gradient of one that is not is 0).
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph
from zhdsl.lang import blackboard, decompile
from zhdsl.lang.decompile.labels import absorb_relabels
from zhdsl.lang.model import Model, Project, Recipe
from zhdsl.passes import run_passes
from zhdsl.runtime.readable import assumptions, contracted, shorten, tidy, touch_up
from zhdsl.runtime.spec import chosen
from zhdsl.runtime.step import gradient_graph


def derivative(
    project: Project, name: str | None = None, order: int = 1, wrt: str | None = None, mode: str = "train"
) -> Graph:
    """The joint program of values and gradients.

    Args:
        project: a checked text.
        name: a recipe (its loss is differentiated), a model, or a function of the text; the only one if left out. A
            model with one recipe stands for that.
        order: 1 for gradients. Order k + 1 differentiates the gradients of order k, each weighted by a further input
            `v<k+1>.<name>`: the results are the products of the Hessian with these directions for order 2. A lone
            scalar needs no weight.
        wrt: patterns as of a shell for parameters and float inputs (`dense*.W`, `x,W`); all parameters if left out.
        mode: `train` or `infer`.

    Returns:
        A graph with the inputs of the loss (or of the model, and a cotangent `d<result>` for each float result that is
        no lone scalar), its results, and the gradients (role grad). Axes are renamed, their order stays.

    Raises:
        TrainingError: the name is not clear, nothing fits the pattern, or nothing can be differentiated.
    """
    return _derived(_rolled(_in_mode(*chosen(project, name), mode)), order, wrt)


def _derived(source: Recipe | Model, order: int, wrt: str | None) -> Graph:
    """The derivative of what has its formulas found."""
    source = _with_graph(source, tidy(_graph(source)))
    graph = gradient_graph(source, _matching(source, wrt), order)
    return contracted(absorb_relabels(touch_up(decompile.unroll(shorten(graph)))))


def grad_program(
    project: Project,
    name: str | None = None,
    order: int = 1,
    wrt: str | None = None,
    mode: str = "train",
    exact: bool = False,
) -> str:
    """The derivative as the text of a `fn`.

    Args:
        project, name, order, wrt, mode: as of `derivative`, with its errors.
        exact: print the operations as they are run, in their order: the same bits as `value_and_grad`, not the shortest
            text. Otherwise the same numbers up to rounding.
    """
    source = _in_mode(*chosen(project, name), mode)
    title = f"{source.name}_grad"
    if exact:  # as a backend gets it
        return decompile.text(run_passes(gradient_graph(source, _matching(source, wrt), order)), title)
    rolled = _rolled(source)
    taken = assumptions(_graph(rolled))
    notes = [f"Taken for granted: {', '.join(taken)}."] if taken else []
    return decompile.text(_derived(rolled, order, wrt), title, notes)


def grad_page(
    project: Project,
    name: str | None = None,
    order: int = 1,
    wrt: str | None = None,
    mode: str = "train",
    notation: str = "text",
) -> str:
    """The derivative as on the blackboard, layer by layer in index notation.

    Args:
        project, name, order, wrt, mode: as of `derivative`, with its errors.
        notation: `text` or `latex`.
    """
    rolled = _rolled(_in_mode(*chosen(project, name), mode))
    taken = assumptions(_graph(rolled))
    notes = [f"Taken for granted: {', '.join(taken)}."] if taken else []
    write = {"text": blackboard.text, "latex": blackboard.latex}[notation]
    return write(_derived(rolled, order, wrt), notes)


# ---------------------------------------------------------------- what is differentiated
def _in_mode(model: Model, recipe: Recipe | None, mode: str) -> Recipe | Model:
    """A recipe or a model whose graph is that of the mode."""
    if recipe is not None:
        evaluate = replace(recipe.evaluate, outputs=recipe.evaluate.results("loss"))
        return recipe if mode == "train" else replace(recipe, forward=evaluate)
    return model if mode == "train" else replace(model, train=model.infer)


def _graph(source: Recipe | Model) -> Graph:
    return source.forward if isinstance(source, Recipe) else source.train


def _with_graph(source: Recipe | Model, graph: Graph) -> Recipe | Model:
    return replace(source, forward=graph) if isinstance(source, Recipe) else replace(source, train=graph)


def _rolled(source: Recipe | Model) -> Recipe | Model:
    """The same with formulas in the place of what they are made of."""
    return _with_graph(source, decompile.roll(_graph(source), decompile.DIFFERENTIABLE))


def _matching(source: Recipe | Model, pattern: str | None) -> list[str] | None:
    """The names that fit, in the order of the graph's inputs."""
    if pattern is None:
        return None
    known = [p.name for p in _graph(source).inputs if p.role in ("param", "data") and p.node.type.is_float]
    wanted = [part.strip() for part in pattern.split(",")]
    found = [name for name in known if any(fnmatchcase(name, part) for part in wanted)]
    if unfit := [part for part in wanted if not any(fnmatchcase(name, part) for name in known)]:
        pattern, found = unfit[0], []
    if not found:
        raise TrainingError(f"{source.name}: nothing fits {pattern}\nhelp: there is {', '.join(known) or 'nothing'}")
    return found
