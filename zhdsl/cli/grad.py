"""`zh grad`: the derivative of a model as a program of the language."""

from __future__ import annotations

from typing import Any

import click

from zhdsl.cli.emit import put
from zhdsl.cli.specs import open_spec, setting_option, spec_file

MODES = ("train", "infer")


@click.command()
@click.argument("spec", metavar="SPEC")
@click.option("--model", metavar="NAME", help="The recipe, model or function that is differentiated.")
@click.option("--order", type=click.IntRange(1, 4), default=1, show_default=True, help="How often.")
@click.option("--wrt", metavar="PATTERN", help="Only these parameters or inputs, e.g. 'dense*.W,x'.")
@click.option(
    "--mode", type=click.Choice(["train", "infer"]), default="train", show_default=True, help="Which program."
)
@click.option(
    "--exact", is_flag=True, help="Print the operations as they are run: the same bits, not the shortest text."
)
@click.option("--text", "notation", flag_value="text", help="Print formulas in index notation, layer by layer.")
@click.option("--latex", "notation", flag_value="latex", help="The same in LaTeX.")
@click.option("-o", "--output", metavar="FILE", help="Write to this file instead.")
@setting_option
def grad(
    spec: str,
    model: str | None,
    order: int,
    wrt: str | None,
    mode: str,
    exact: bool,
    notation: str | None,
    output: str | None,
    settings: dict[str, Any],
) -> None:
    """Print the derivative of a model as a .zh program.

    The joint program of values and gradients, as one function with the
    parameters as arguments: the loss of the recipe or, without one, the
    results weighted by further arguments. It can be read, checked and run.

    With --text or --latex it is written as on the blackboard: for each line of
    the spec its formulas, and the derivatives by what goes into them.
    """
    from zhdsl.runtime.derivative import grad_page, grad_program

    if notation and exact:
        raise click.UsageError("--exact prints a program: give it without --text and --latex")
    project = open_spec(spec_file(spec), settings)
    if notation:
        put(grad_page(project, model, order, wrt, mode, notation), spec, output)
        return
    put(grad_program(project, model, order, wrt, mode, exact), spec, output)
