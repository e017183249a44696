"""`zh graph`: a picture of a model, of its derivative, or of the kernels that run, in the format of a file's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli.emit import Subject, put, subject_of
from zhdsl.cli.show import known_sizes, sizes_given
from zhdsl.cli.specs import open_spec, setting_option

if TYPE_CHECKING:
    from zhdsl.ir.graph import Graph
    from zhdsl.viz import Scene

FORMATS = ("text", "svg", "html", "dot", "json", "graphml")


@click.command()
@click.argument("spec", metavar="SPEC")
@click.option("--model", metavar="NAME", help="Of which model, function or block of the spec.")
@click.option("--recipe", metavar="NAME", help="Of which recipe.")
@click.option("--backward", is_flag=True, help="The loss and its derivative, side by side.")
@click.option("--step", is_flag=True, help="The whole training step: with the update of the parameters.")
@click.option("--passes", is_flag=True, help="After the compiler's passes.")
@click.option("--fused", is_flag=True, help="The kernels that run, boxes round the operations of one.")
@click.option("--text", "as_text", is_flag=True, help="Draw on the terminal.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Instead of the ending of the output's name.")
@click.option("--open", "most", type=click.IntRange(min=1), metavar="N", help="Unfold blocks up to N boxes.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="The size of the batch, for the numbers.")
@click.option("--size", "sizes", multiple=True, metavar="B=32,T=16", callback=sizes_given, help="Sizes of other axes.")
@click.option("-o", "--output", metavar="FILE", help="Write to a file: .svg, .html, .dot, .json, .graphml or .txt.")
@setting_option
def graph(
    spec: str,
    model: str | None,
    recipe: str | None,
    backward: bool,
    step: bool,
    passes: bool,
    fused: bool,
    as_text: bool,
    format_: str | None,
    most: int | None,
    batch: int | None,
    sizes: dict[str, int],
    output: str | None,
    settings: dict[str, Any],
) -> None:
    """Draw a model, its derivative or its kernels.

    Blocks and repetitions are folded into boxes until the picture fits. Edges
    carry the shape and the bytes of their value, skip connections are drawn
    round what they skip. Without an output it is drawn on the terminal.
    """
    if model and recipe:
        raise click.UsageError("--model and --recipe exclude each other")
    if backward and step:
        raise click.UsageError("--backward and --step exclude each other: the step contains the derivative")
    chosen = format_of(output, "text" if as_text else format_)
    project = open_spec(spec, settings)
    subject = subject_of(project, model, recipe)
    known = known_sizes(subject.model, sizes, batch)
    scene = scene_of(subject, "step" if step else "grad" if backward else "graph", passes, fused, known)
    texts = {project.source.name: project.source.text}
    put(page(scene, most, texts) if chosen == "html" else drawn(scene, chosen, most), spec, output)


def format_of(output: str | None, given: str | None) -> str:
    """The format that is asked for, or that of the file's name. Raises `click.ClickException`."""
    ending = (output or "").rpartition(".")[2].lower()
    found = given or {"txt": "text"}.get(ending, ending) or "text"
    if found not in FORMATS:
        raise click.ClickException(f"{output}: the name ends in none of .{', .'.join(FORMATS)}: give --format")
    return found


def stage_graph(subject: Subject, stage: str) -> Graph:
    """The model's graph, the loss with its derivative, or the step. Raises `click.ClickException`."""
    from zhdsl.runtime.step import gradient_graph, step_graph

    if stage == "graph":
        return subject.model.infer
    if stage == "grad":
        return gradient_graph(subject.recipe or subject.model)
    if subject.recipe is None:
        raise click.ClickException(f"{subject.model.name} has no recipe, so no step: leave out --step")
    return step_graph(subject.recipe)


def scene_of(subject: Subject, stage: str, passes: bool, fused: bool, sizes: Mapping[str, int]) -> Scene:
    """What is to be drawn, of the compiler's own graph or program."""
    from zhdsl.runtime.pipeline import optimized
    from zhdsl.viz import scene_of_graph, scene_of_program

    found = stage_graph(subject, stage)
    found = optimized(found) if passes or fused else found
    about = f"{found.name}, {ABOUT[stage]}{', after all passes' if passes or fused else ''}"
    if not fused:
        return scene_of_graph(found, sizes, about=about)
    from zhdsl.schedule import schedule

    return scene_of_program(schedule(found), sizes, about=f"{about}, as kernels")


ABOUT = {
    "graph": "the model in use",
    "grad": "the loss and its derivative",
    "step": "one step of training",
}


def page(scene: Scene, most: int | None, texts: Mapping[str, str]) -> str:
    """A page with the scene and the lines of the text that it comes from."""
    from zhdsl.cli.report_data import source_lines
    from zhdsl.viz.html import page as made

    return made(scene.name, [("graph", scene)], {"lines": source_lines([scene], texts)}, most=most)


def drawn(scene: Scene, format_: str, most: int | None) -> str:
    """The scene in a format."""
    from zhdsl import viz
    from zhdsl.viz.fold import opened

    open_ = opened(scene, most) if most is not None else None
    formats: dict[str, Callable[[], str]] = {
        "text": lambda: viz.text(scene, open_),
        "svg": lambda: viz.svg(scene, open_),
        "dot": lambda: viz.dot(scene),
        "json": lambda: viz.json_text(scene),
        "graphml": lambda: viz.graphml(scene),
    }
    return formats[format_]()
