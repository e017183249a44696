"""`zh emit`: what a compiler stage made of a spec, as text.

ast       the syntax tree                     model    signature, weights, guards, recipe
graph     the graph of the model, or of a recipe's loss
grad      the same with its derivative        passes   the step (or the model) after all passes
program   that as kernels over buffers
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zhdsl.cli.specs import chosen_model, chosen_recipe, open_spec, setting_option, spec_file
from zhdsl.cli.terminal import printable

if TYPE_CHECKING:
    from zhdsl.ir.graph import Graph
    from zhdsl.lang.model import Model, Project, Recipe

MODES = ("train", "infer")


class Subject(NamedTuple):
    """What is looked at: a model, with the recipe that is meant, and whether that was asked for by name."""

    model: Model
    recipe: Recipe | None
    mode: str | None
    named_recipe: bool
    places: bool


# ---------------------------------------------------------------- the stages
def model_text(subject: Subject) -> str:
    """Signature, weights, guards and the recipe."""
    from zhdsl.cli.model_text import model_lines, recipe_lines

    parts = [model_lines(subject.model), *([recipe_lines(subject.recipe)] if subject.recipe else [])]
    return "\n\n".join("\n".join(part) for part in parts)


def graph_text(subject: Subject) -> str:
    """The model's graph; that of the loss and metrics where a recipe was named."""
    model, recipe, mode = subject.model, subject.recipe, subject.mode or "infer"
    if recipe is not None and subject.named_recipe:
        return _printed(recipe.evaluate if subject.mode == "infer" else recipe.forward, subject)
    return _printed(getattr(model, mode), subject)


def grad_text(subject: Subject) -> str:
    """Loss and gradients as one graph; of a model without a recipe, its results and their gradients."""
    from zhdsl.runtime.step import gradient_graph

    if subject.mode == "infer":
        raise click.ClickException("there is a derivative in training only: leave out --mode infer")
    return _printed(gradient_graph(subject.recipe or subject.model), subject)


def passes_text(subject: Subject) -> str:
    """The step (or the model) after all passes."""
    return _printed(_optimized(subject), subject)


def program_text(subject: Subject) -> str:
    """The step (or the model) as kernels."""
    from zhdsl.schedule import schedule

    return str(schedule(_optimized(subject)))


def _optimized(subject: Subject) -> Graph:
    from zhdsl.runtime.pipeline import optimized
    from zhdsl.runtime.step import step_graph

    if subject.recipe is None or subject.mode == "infer":
        return optimized(getattr(subject.model, subject.mode or "infer"))
    return optimized(step_graph(subject.recipe))


def _printed(graph: Graph, subject: Subject) -> str:
    from zhdsl.ir.text import print_graph

    return print_graph(graph, subject.places)


STAGES: dict[str, Callable[[Subject], str]] = {
    "model": model_text,
    "graph": graph_text,
    "grad": grad_text,
    "passes": passes_text,
    "program": program_text,
}


# ---------------------------------------------------------------- the command
@click.command()
@click.argument("spec", metavar="SPEC")
@click.option("--stage", type=click.Choice(("ast", *STAGES)), required=True, help="Which stage.")
@click.option("--model", metavar="NAME", help="Of which model, function or block of the spec.")
@click.option("--recipe", metavar="NAME", help="Of which recipe.")
@click.option("--mode", type=click.Choice(MODES), help="Of the program for training, or of that for use.")
@click.option("--places", is_flag=True, help="End the lines of graphs with the places they come from.")
@click.option("-o", "--output", metavar="FILE", help="Write to a file.")
@setting_option
def emit(
    spec: str,
    stage: str,
    model: str | None,
    recipe: str | None,
    mode: str | None,
    places: bool,
    output: str | None,
    settings: dict[str, Any],
) -> None:
    """Print what a compiler stage made of a model.

    The stages: ast (the syntax tree), model (signature, weights, recipe), graph,
    grad (loss and gradients), passes (after all passes), program (kernels and
    buffers). With a recipe, passes and program are those of the training step;
    with --mode infer those of the model.
    """
    if model and recipe:
        raise click.UsageError("--model and --recipe exclude each other")
    if stage == "ast":
        text = ast_text(spec)
    else:
        project = open_spec(spec, settings)
        text = STAGES[stage](subject_of(project, model, recipe, mode, places))
    put(text.rstrip("\n") + "\n", spec, output)


def ast_text(spec: str) -> str:
    """The tree of a text, which need not be right beyond its form."""
    from zhdsl.cli.tree import tree_lines
    from zhdsl.lang.parser import parse, read

    return "\n".join(tree_lines(parse(read(spec_file(spec)))))


def subject_of(
    project: Project, model: str | None, recipe: str | None, mode: str | None = None, places: bool = False
) -> Subject:
    """The model and recipe that names mean, or the only ones.

    Raises:
        click.ClickException: there are several to choose from, or none.
    """
    if recipe is not None:
        chosen = chosen_recipe(project, recipe)
        return Subject(chosen.model, chosen, mode, True, places)
    names = [model] if model else list({r.model.name for r in project.recipes.values()} or project.models)
    if len(names) != 1:
        found = f"several models: choose one with --model: {', '.join(names)}" if names else "no model"
        raise click.ClickException(f"{project.source.name} has {found}")
    target = chosen_model(project, names[0])
    own = [r for r in project.recipes.values() if r.model.name == target.name]
    return Subject(target, own[0] if len(own) == 1 else None, mode, False, places)


def put(text: str, spec: str, output: str | None) -> None:
    """Prints a text, or writes it to a file that is not the spec itself."""
    if output is None:
        click.echo(printable(text), nl=False)
        return
    if os.path.exists(output) and os.path.samefile(output, spec):
        raise click.ClickException(f"{output} is the spec itself; name another file")
    from zhdsl.runtime.files import SHARED, write_whole

    write_whole(output, text, mode=SHARED)
    click.echo(f"wrote {printable(output)}")
