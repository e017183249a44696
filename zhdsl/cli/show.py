"""`zh show`: the layers of a model with what they cost, a recipe, or the source of a definition of the library."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli.specs import chosen_model, chosen_recipe, counted, open_spec, setting_option
from zhdsl.cli.terminal import printable

if TYPE_CHECKING:
    from zhdsl.cli.layers import Layer
    from zhdsl.ir.sizes import Size
    from zhdsl.lang.model import Model, Project

HEADS = ("layer", "block", "output", "parameters", "bytes", "FLOPs")
NUMBERS = (3, 4, 5)  # columns
DIGITS = 18  # of a size


def sizes_given(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    """`B=32,T=16`: values of symbols."""
    found = {}
    for part in (part for text in given for part in text.split(",")):
        name, _, number = (word.strip() for word in part.partition("="))
        if not (name and number.isascii() and number.isdigit() and len(number) <= DIGITS and int(number)):
            raise click.BadParameter(f"'{part}' is not NAME=N with a whole number N from 1 on")
        found[name] = int(number)
    return found


@click.command()
@click.argument("what", metavar="SPEC|NAME")
@click.option("--model", metavar="NAME", help="Only this model, function or block of the spec.")
@click.option("--recipe", is_flag=True, help="Show the recipes instead of the models.")
@click.option("--graph", is_flag=True, help="Draw the models as well.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="The size of the batch, for the numbers.")
@click.option("--size", "sizes", multiple=True, metavar="B=32,T=16", callback=sizes_given, help="Sizes of other axes.")
@setting_option
def show(
    what: str,
    model: str | None,
    recipe: bool,
    graph: bool,
    batch: int | None,
    sizes: dict[str, int],
    settings: dict[str, Any],
) -> None:
    """Show a model's layers and sizes, or a definition's source.

    SPEC is a .zh file: each of its models is shown as a table of layers with
    their parameters, the bytes these take in float32, and the floating-point
    operations of one run. NAME is a definition of the library, such as Dense.
    """
    if not is_path(what):
        click.echo("\n".join(library_text(what)))
        return
    project = open_spec(what, settings)
    if recipe:
        click.echo(printable("\n\n".join("\n".join(lines) for lines in recipes(project, model))))
        return
    shown = [chosen_model(project, model)] if model else list(project.models.values())
    if not shown:
        raise click.ClickException(f"{what} has no model: choose a function or block with --model")
    click.echo(printable("\n\n".join("\n".join(model_table(m, project, sizes, batch)) for m in shown)))
    if graph:
        click.echo(printable("\n" + "\n".join(picture(m, sizes, batch) for m in shown)), nl=False)


def is_path(what: str) -> bool:
    """Whether a file is meant, and not a name of the library."""
    return what.endswith((".zh", ".safetensors")) or os.sep in what or os.path.exists(what)


def recipes(project: Project, name: str | None) -> Iterator[Iterator[str]]:
    """The text of each recipe: that of a name, those of a model, or all."""
    from zhdsl.cli.model_text import recipe_lines

    own = [r for r in project.recipes.values() if name in (None, r.name, r.model.name)]
    for recipe in own or [chosen_recipe(project, name)]:
        yield recipe_lines(recipe)


# ---------------------------------------------------------------- a model
def model_table(model: Model, project: Project, given: Mapping[str, int], batch: int | None) -> Iterator[str]:
    """Signature, one row per layer, the total, and what else is to be known."""
    from zhdsl.cli.layers import layers
    from zhdsl.cli.model_text import signature, table

    sizes = known_sizes(model, given, batch)
    rows = layers(model, project.file)
    total = sum((r.flops for r in rows), start=_zero())
    cells = [_cells(row, sizes) for row in rows]
    sums = (f"{sum(r.params for r in rows):,}", f"{sum(r.bytes for r in rows):,}", _size(total, sizes))
    yield signature(model)
    yield ""
    plain = all(cell[-1].replace(",", "").isdigit() for cell in cells)
    yield from table([HEADS, *cells, ("total", "", "", *sums)], right=NUMBERS if plain else NUMBERS[:-1])
    if states := [w for w in model.states.values() if not w.stream]:
        yield f"\nstate: {counted(sum(w.type.count().evaluate({}) for w in states), 'number')}"
    if guards := [g.text for g in model.guards]:
        yield f"\nneeds: {', '.join(dict.fromkeys(guards))}"


def picture(model: Model, given: Mapping[str, int], batch: int | None) -> str:
    """The model drawn in characters."""
    from zhdsl.viz import scene_of_graph, text

    return text(scene_of_graph(model.infer, known_sizes(model, given, batch)))


def known_sizes(model: Model, given: Mapping[str, int], batch: int | None) -> dict[str, int]:
    """The values of symbols, checked against the model.

    Raises:
        click.ClickException: a symbol that the model does not have, or sizes that it does not allow.
    """
    sizes, symbols = dict(given), sorted(model.infer.symbols)
    if batch is not None:
        sizes[_batch_symbol(model)] = batch
    for name in sizes:
        if name not in symbols:
            raise click.ClickException(f"{model.name} has no size {name}: it has {', '.join(symbols) or 'none'}")
    for guard in model.guards:
        if guard.left.symbols | guard.right.symbols <= sizes.keys() and not guard.holds(sizes):
            raise click.ClickException(f"{guard.span}: {guard.text} does not hold for these sizes")
    return sizes


def _batch_symbol(model: Model) -> str:
    """The size of the first axis of the first input that has axes."""
    for port in model.inputs:
        if port.order:
            symbols = port.node.type.sizes[port.order[0]].symbols
            return min(symbols) if len(symbols) == 1 else port.order[0]
    raise click.ClickException(f"{model.name} has no input with axes, so it has no batch")


def _zero() -> Size:
    from zhdsl.ir.sizes import Size

    return Size.of(0)


def _cells(row: Layer, sizes: Mapping[str, int]) -> tuple[str, ...]:
    output = "" if row.output is None else str(row.output.substitute(sizes))
    numbers = (f"{row.params:,}", f"{row.bytes:,}") if row.params else ("", "")
    return (row.path, row.block, output, *numbers, _size(row.flops, sizes))


def _size(size: Size, sizes: Mapping[str, int]) -> str:
    value = size.substitute(sizes)
    return str(value) if value.number is None else f"{value.number:,}"


# ---------------------------------------------------------------- the library
def library_text(name: str) -> Iterator[str]:
    """A definition as it is written, with the comment above it; for a primitive, what it does.

    Raises:
        click.ClickException: there is none of this name.
    """
    import zhdsl.lang.check  # noqa: F401  (fills the table of primitives)
    from zhdsl.lang.expressions import BUILTINS
    from zhdsl.lang.files import library_index, library_item

    if name in library_index():
        span = library_item(name).definition.span
        yield from source_lines(span.source.text, span.start, span.end)
    elif name in BUILTINS:
        yield from primitive(name)
    else:
        from zhdsl.lang.nearest import nearest

        like = nearest(name, [*library_index(), *BUILTINS])
        fix = f"did you mean {like}?" if like else "a file's name ends in .zh"
        raise click.ClickException(f"the library has no {name}: {fix}")


def source_lines(text: str, start: int, end: int) -> list[str]:
    """The lines of a definition, and the comments directly above it."""
    lines = text.splitlines()
    first, last = text.count("\n", 0, start), text.count("\n", 0, end)
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return lines[first : last + 1]


def primitive(name: str) -> Iterator[str]:
    """What there is to say about a function that is not written in the language."""
    import inspect

    from zhdsl.ir.op import REGISTRY

    yield f"# {name} is a primitive of the language"
    if name in REGISTRY:
        yield from (f"# {line}".rstrip() for line in (inspect.getdoc(REGISTRY[name]) or "").splitlines())
