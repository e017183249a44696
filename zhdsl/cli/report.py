"""`zh report`: one page about a model, and about its run if there is one. It needs no server and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zhdsl.cli import report_data as data
from zhdsl.cli.emit import put

if TYPE_CHECKING:
    from zhdsl.data import Arrays
    from zhdsl.ir.graph import Graph
    from zhdsl.ir.node import Node
    from zhdsl.train.trainable import Trainable
    from zhdsl.viz.scene import Scene

Picture = tuple[str, "Scene", "Sequence[Node]", "Graph | None"]


@click.command()
@click.argument("what", metavar="RUN|SPEC")
@click.option("--model", metavar="NAME", help="Of which model or recipe of a spec.")
@click.option("--batch", type=click.IntRange(min=1), default=1, metavar="N", help="The batch, for the numbers.")
@click.option(
    "-o", "--output", default="report.html", show_default=True, metavar="FILE", help="Where to write the page."
)
def report(what: str, model: str | None, batch: int, output: str) -> None:
    """Write a page about a run, or about a spec.

    The graph with its formulas and kernels, the memory of a step, and of a run its
    curves, its layers, and what the model makes of its data. The page is one file
    that needs no network.
    """
    opened, folder = opened_model(what, model)
    text = page_of(opened, folder, batch)
    put(text, what if Path(what).is_file() else str(folder), output)


def opened_model(what: str, name: str | None) -> tuple[Trainable, Path | None]:
    """The model of a run (with its best weights), or of a spec. Raises `click.ClickException` or `ZhError`."""
    from zhdsl.cli.runs import KEPT, data_folder
    from zhdsl.train.trainable import load

    path = Path(what)
    if not path.is_dir():
        return load(path, name), path.parent if (path.parent / "run.json").is_file() else None
    weights = next((path / kept for kept in KEPT if (path / kept).is_file()), None)
    if weights is not None:
        return load(weights, folder=data_folder(weights)), path
    if not (path / "spec.zh").is_file():
        raise click.ClickException(f"{what} is not the folder of a run: it holds neither {', '.join(KEPT)} nor spec.zh")
    about = data.read_json(path / "run.json")
    return load(path / "spec.zh", about.get("recipe") or about.get("model") or name), path


def page_of(model: Trainable, folder: Path | None, batch: int = 1, live: bool = False) -> str:
    """The page of a model and its run."""
    from zhdsl.viz.html import page

    pictures = list(pictures_of(model, batch))
    scenes = [(title, scene) for title, scene, _, _ in pictures]
    return page(model.name, scenes, report_of(model, folder, pictures, live), live)


def pictures_of(model: Trainable, batch: int) -> Iterator[Picture]:
    """The model, its derivative, and the kernels of the step, as far as the model has them."""
    from zhdsl.schedule import schedule
    from zhdsl.viz import scene_of_graph, scene_of_program
    from zhdsl.viz.of_graph import nodes_of

    graph = model.spec.model.infer
    sizes = dict.fromkeys(batch_symbols(model), batch)
    yield "model", scene_of_graph(graph, sizes, about="the model in use"), nodes_of(graph), graph
    grad = data.attempted(lambda: model.stage("grad"))
    if grad is not None:
        yield "derivative", scene_of_graph(grad, sizes, about="the loss and its derivative"), nodes_of(grad), grad
    if model.spec.recipe is None or (grad is not None and len(grad.nodes) > LARGE):
        return
    program = schedule(model.stage("passes"))
    yield "kernels", scene_of_program(program, sizes, about="the training step as kernels"), (), None


LARGE = 4000  # nodes of a derivative: beyond, the page leaves out the kernels of the step


def batch_symbols(model: Trainable) -> frozenset[str]:
    """The symbols of the first axis of the first input that has one."""
    ports = [p for p in model.spec.model.inputs if p.order]
    return ports[0].node.type.sizes[ports[0].order[0]].symbols if ports else frozenset()


# ---------------------------------------------------------------- what the page says
def report_of(model: Trainable, folder: Path | None, pictures: Sequence[Picture], live: bool = False) -> dict[str, Any]:
    """The data of the page's sections; see `page.js` for how they are shown."""
    records = data.layer_records(folder)
    found: dict[str, Any] = {
        "facts": facts(model, folder),
        "sections": dict.fromkeys(data.SECTIONS if folder or live else ("memory",), 1),
        "lines": data.source_lines((scene for _, scene, _, _ in pictures), model.spec.texts),
        "memory": data.attempted(lambda: memory(model)),
        "curves": data.curves(folder if not live else None),
        "layers": data.layers(folder if not live else None),
        "run": data.about_run(folder),
        "measures": {"grad": {}, "dead": {}, "time": {}},
    }
    for title, scene, nodes, graph in pictures:
        if graph is not None:
            found["measures"]["grad"][title] = data.by_parameter(scene, records)
            found["measures"]["dead"][title] = data.by_relu(nodes, graph, records)
    part = None if live or folder is None else data.attempted(lambda: part_of(model))
    found |= kernels(model, pictures[0], part, found["measures"])
    return found | (data.attempted(lambda: on_data(model, *part)) or {} if part else {})


def facts(model: Trainable, folder: Path | None) -> list[tuple[str, str]]:
    """What is said first."""
    summary = data.attempted(model.summary)
    found = [("parameters", f"{model.param_count:,}")]
    found += [("work of one sample", f"{summary.flops:,} FLOP")] if summary else []
    found += [("spec", model.spec.root), *([("run", folder.name)] if folder else [])]
    done = data.read_json(folder / "result.json").get("metrics") if folder else None
    measured = done.items() if isinstance(done, dict) else ()
    return found + [(name, f"{value:.4g}") for name, value in measured if isinstance(value, float)]


def memory(model: Trainable) -> dict[str, Any] | None:
    """The memory of a training step with the recipe's batch, or of the model for one sample."""
    from zhdsl.schedule import schedule
    from zhdsl.viz.timeline import memory_of

    recipe = model.spec.recipe
    program = schedule(model.stage("passes"))
    known = recipe.batch if recipe is not None and isinstance(recipe.batch, int) else 1
    axis = recipe.batch_axis if recipe is not None else ""
    sizes = {s: known if s == axis or s in batch_symbols(model) else 1 for s in program.symbols}
    found = asdict(memory_of(program, sizes, 8 if model.dtype == "float64" else 4))
    sized = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
    peak = {name: found.pop(name) for name in ("kernel", "place", "buffers")}
    step = found["peak"]
    peak |= {"step": step, "bytes": found["bytes"][step]}
    return found | {"name": f"{program.name} ({sized})", "peak": peak}


def kernels(model: Trainable, picture: Picture, part: Any, measures: dict[str, Any]) -> dict[str, Any]:
    """The kernels of the model in use, for every item of its picture; their seconds where there are data to run on."""
    from zhdsl.runtime.pipeline import optimized
    from zhdsl.schedule import schedule

    title, _, nodes, graph = picture
    assert graph is not None
    timed = None
    if part is not None:
        fields = {p.name: part[1].fields[p.name][:64] for p in model.recipe.predict.of_role("data")}
        timed = data.attempted(lambda: data.kernel_seconds(model, fields))
    program = timed[0] if timed else schedule(optimized(graph))
    texts, of = data.kernels_of(nodes, graph, program)
    if timed:
        measures["time"][title] = data.item_seconds(of, program, timed[1])
    return {"kernels": {"texts": texts, "of": {title: of}}}


# ---------------------------------------------------------------- what the model makes of its data
def part_of(model: Trainable) -> tuple[str, Arrays]:
    """The part that nothing was decided on. Raises `TrainingError` where the data are not there."""
    from zhdsl.train.parts import parts_of

    return parts_of(model.recipe, model.spec.folder, model.seed, model.dtype).final


def on_data(model: Trainable, name: str, part: Arrays) -> dict[str, Any]:
    """Confusions, worst samples, attention, samples."""
    from zhdsl.train import review

    results = review.predicted(model, part)
    found = data.attempted(lambda: review.confusion(model, part, results))
    first = range(min(part.size, data.SAMPLES))
    shown: dict[str, Any] = {
        "worst": data.attempted(lambda: worst(model, part, results)),
        "attention": data.attempted(lambda: [_attention(one) for one in review.attention(model, part)]),
        "samples": data.attempted(lambda: [example(model, part, results, i) for i in first]),
    }
    if found is not None:
        shown["confusion"] = {
            "field": found.field,
            "names": list(found.names),
            "counts": found.counts.tolist(),
            "part": name,
            "samples": min(part.size, review.MOST),
        }
    return shown


def worst(model: Trainable, part: Arrays, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The samples with the largest loss."""
    import numpy as np

    from zhdsl.train import review

    losses = review.losses(model, part)
    order = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[: data.WORST]
    return [example(model, part, results, int(i), [f"loss {losses[i]:.4g}", f"sample {i}"]) for i in order]


def example(
    model: Trainable, part: Arrays, results: Mapping[str, Any], i: int, more: Sequence[str] = ()
) -> dict[str, Any]:
    """One sample: its pictures, its texts, what the model says."""
    from zhdsl.train import review
    from zhdsl.viz.png import overlaid, png_address

    images = []
    for port in model.recipe.data.fields:
        if review.is_image(port):
            picture = review.image_of(port, part.fields[port.name][i])
            images.append(png_address(picture))
            for guess in review.guesses(model):
                classes = review.chosen_classes(guess, results[guess.result.name])[i]
                if guess.axis is not None and classes.shape == picture.shape[:2]:
                    images.append(png_address(overlaid(picture, classes)))
    return {"images": images, "lines": [*more, *review.told(model, part, results, i)], "alt": f"sample {i}"}


def _attention(found: Any) -> dict[str, Any]:
    values = [[round(float(v), 5) for v in row] for row in found.values]
    return {**asdict(found), "rows": list(found.rows), "columns": list(found.columns), "values": values}
