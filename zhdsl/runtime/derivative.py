"""The derivative of a model as a program that can be read: values and gradients in one graph, and its text.

    recipe  →  formulas found  →  gradients  →  short forms  →  formulas written out, axes renamed  →  text

It computes what the training step computes, in another order where that reads better: `softmax` and its like are
differentiated as one formula, constants stay where they arise, axes have the names under which they are used. Two
things are taken for granted that the training step is not told: no axis is empty, and the labels of a cross entropy
are in range (there the gradient of one that is not is 0).
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph
from zhdsl.lang import decompile
from zhdsl.lang.decompile.labels import absorb_relabels
from zhdsl.lang.model import Model, Project, Recipe
from zhdsl.passes import run_passes
from zhdsl.runtime.readable import contracted, shorten, tidy, touch_up
from zhdsl.runtime.spec import chosen
from zhdsl.runtime.step import gradient_graph

MODES = ("train", "infer")


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
        wrt: a pattern as of a shell for parameters and float inputs (`dense*.W`); all parameters if left out.
        mode: `train` or `infer`.

    Returns:
        A graph with the inputs of the loss (or of the model, and a cotangent `d<result>` for each float result that is
        no lone scalar), its results, and the gradients (role grad). Axes are renamed, their order stays.

    Raises:
        TrainingError: the name is not clear, nothing fits the pattern, or nothing can be differentiated.
    """
    source = _in_mode(*chosen(project, name), mode)
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
    graph = _as_run(project, name, order, wrt, mode) if exact else derivative(project, name, order, wrt, mode)
    return decompile.text(graph, graph.name.replace(".", "_"))


def _as_run(project: Project, name: str | None, order: int, wrt: str | None, mode: str) -> Graph:
    """The graph of values and gradients after the passes, as a backend gets it."""
    model, recipe = chosen(project, name)
    source: Recipe | Model = recipe or model
    if mode == "infer":
        source = (
            replace(recipe, forward=_without_metrics(recipe.evaluate)) if recipe else replace(model, train=model.infer)
        )
    return run_passes(gradient_graph(source, _matching(source, wrt), order))


def _in_mode(model: Model, recipe: Recipe | None, mode: str) -> Recipe | Model:
    """What is differentiated, with its formulas found."""
    if recipe is not None:
        graph = recipe.forward if mode == "train" else _without_metrics(recipe.evaluate)
        return replace(recipe, forward=_rolled(graph))
    return replace(model, train=_rolled(model.train if mode == "train" else model.infer))


def _without_metrics(graph: Graph) -> Graph:
    return replace(graph, outputs=graph.results("loss"))


def _rolled(graph: Graph) -> Graph:
    return tidy(decompile.roll(graph, decompile.DIFFERENTIABLE))


def _matching(source: Recipe | Model, pattern: str | None) -> list[str] | None:
    """The names that fit, in the order of the graph's inputs."""
    if pattern is None:
        return None
    graph = source.forward if isinstance(source, Recipe) else source.train
    known = [p.name for p in graph.inputs if p.role in ("param", "data") and p.node.type.is_float]
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        raise TrainingError(f"{source.name}: nothing fits {pattern}\nhelp: there is {', '.join(known) or 'nothing'}")
    return found
