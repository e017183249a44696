"""What values show in a notebook: for each kind of it text, HTML, and SVG where there is a picture.

In: a model, a graph, a finished run. Out: content by media type, as IPython asks for it. Every text that comes from a
spec or from data is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from zhdsl.notebook.chart import chart

if TYPE_CHECKING:
    from zhdsl.ir.graph import Graph
    from zhdsl.runtime.session import Session
    from zhdsl.train.result import Result

TEXT, HTML, SVG = "text/plain", "text/html", "image/svg+xml"
SHOWN = 40  # rows of a table; of more, the others are counted
Bundle = dict[str, str]


def of_model(model: Session) -> Bundle:
    """Inputs, results, and the parameters with their shapes."""
    summary = model.summary()
    head = repr(model).strip("<>")
    rows = [(r.path, r.type, f"{r.count:,}", "" if r.trained else "state") for r in summary.rows]
    table = _table(("parameter", "type", "numbers", ""), rows)
    total = f"{summary.params:,} parameters, {summary.bytes:,} bytes, {summary.flops:,} FLOPs for one sample"
    drawn = picture(model.spec.model.infer)
    page = f"<div><code>{escape(head)}</code>{_framed(drawn)}{table}<p>{escape(total)}</p></div>"
    return _bundle(f"{head}\n{summary}", page, drawn)


def of_graph(graph: Graph) -> Bundle:
    """Inputs, outputs, and how many nodes there are of each op."""
    counts = Counter(node.op.name for node in graph.nodes)
    ports = [("in", f"{p.role} {p.name}", _type(p)) for p in graph.inputs if p.node in graph.users]
    ports += [("out", f"{p.role} {p.name}", _type(p)) for p in graph.outputs]
    ops = ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    head = f"graph {graph.name}: {len(graph.nodes):,} nodes"
    drawn = picture(graph)
    table = _table(("", "name", "type"), ports)
    page = f"<div><code>{escape(head)}</code>{_framed(drawn)}{table}<p>{escape(ops)}</p></div>"
    lines = [head, *(f"  {way:<3} {name}: {type_}" for way, name, type_ in _some(ports)), f"  {ops}"]
    return _bundle("\n".join(lines), page, drawn)


def of_result(result: Result) -> Bundle:
    """What came of a run, and its history as a picture."""
    drawn = chart(result.history)
    rows = [
        (name, f"{value:.6g}" if isinstance(value, int | float) else str(value))
        for name, value in result.metrics.items()
    ]
    done = f"{result.epochs:,} epochs, {result.steps:,} steps"
    claims = "".join(f"<li>{escape(str(e))}</li>" for e in result.expectations)
    page = (
        f"<div><code>{escape(done)}</code>{_framed(drawn)}{_table((f'on the {result.part} part', ''), rows)}"
        f"{f'<ul>{claims}</ul>' if claims else ''}</div>"
    )
    return _bundle(str(result), page, drawn)


def picture(graph: Graph) -> str:
    """The graph drawn; empty where this version has no room for pictures."""
    try:
        from zhdsl import viz  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return ""
    return str(viz.svg(viz.scene_of_graph(graph)))


# ---------------------------------------------------------------- HTML
def _bundle(text: str, page: str, drawn: str) -> Bundle:
    return {TEXT: text, HTML: page} | ({SVG: drawn} if drawn else {})


def _framed(drawn: str) -> str:
    return f'<div style="overflow-x: auto">{drawn}</div>' if drawn else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join(_row("td", row) for row in rows[:SHOWN])
    more = _row("td", (f"… {len(rows) - SHOWN:,} more",)) if len(rows) > SHOWN else ""
    return f"<table><thead>{_row('th', head)}</thead><tbody>{body}{more}</tbody></table>"


def _row(cell: str, values: Iterable[str]) -> str:
    return (
        f"<tr>{''.join(f'<{cell} style={chr(34)}text-align: left{chr(34)}>{escape(v)}</{cell}>' for v in values)}</tr>"
    )


def _some(rows: Sequence[Any]) -> Sequence[Any]:
    return rows[:SHOWN]


def _type(port: Any) -> str:
    from zhdsl.runtime.arguments import type_text

    return type_text(port).partition(": ")[2]
