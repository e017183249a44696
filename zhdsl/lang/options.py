"""Settings of a recipe: batch, epochs, seed, early stopping, freezing, precision, expectations."""

from __future__ import annotations

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from zhdsl.ir.node import Builder
from zhdsl.lang import ast
from zhdsl.lang.elaborator import Elaborator, Failures
from zhdsl.lang.entry import Names, elaborator
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.fields import bind_fields, dataset_of
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import DatasetRef, kind_of
from zhdsl.source import Span

if TYPE_CHECKING:
    from zhdsl.lang.recipes import Work

PRECISIONS = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
MAX_COUNT = 10**9


def _value(work: Work, x: ast.Expr) -> Any:
    """A setting's value; `all`, `f32` and the like are words here."""
    if isinstance(x, ast.Name) and (x.id == "all" or x.id in PRECISIONS):
        return x.id
    with Builder() as b:
        return evaluate(_elaborator(work, b), Scope(work.file, kind="recipe"), x)


def _elaborator(work: Work, b: Builder) -> Elaborator:
    return elaborator("infer", b, work.diagnostics, Names())


def _count(work: Work, key: str, default: int | None, least: int = 1) -> int | None:
    x = work.entry(key)
    if x is None:
        return default
    value = _value(work, x)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
        raise Problem("Z0709", f"`{key}` is a whole number from {least} to {MAX_COUNT:,}", x.span)
    return value


def _batch(work: Work) -> int | str | tuple[str, int]:
    x = work.entry("batch")
    if isinstance(x, ast.Index) and isinstance(x.base, ast.Name) and x.base.id == "tokens" and len(x.args) == 1:
        count = (
            _value(work, x.args[0])
            if not isinstance(x.args[0], ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized)
            else None
        )
        if isinstance(count, int) and not isinstance(count, bool) and count > 0:
            return "tokens", count
        raise Problem("Z0709", "`tokens[n]` takes a whole number", x.span)
    if isinstance(x, ast.Name) and x.id == "all":
        return "all"
    value = _count(work, "batch", 32)
    assert value is not None
    return value


def _epochs(work: Work) -> int | None:
    return None if work.entry("steps") is not None else _count(work, "epochs", 10, 0)


def _steps(work: Work) -> int | None:
    return _count(work, "steps", None, 0)


def _seed(work: Work) -> int:
    value = _count(work, "seed", 0, 0)
    assert value is not None
    return value


def _valid(work: Work) -> Any:
    """A fraction of the training data, or a dataset with the same fields."""
    x = work.entry("valid")
    if x is None:
        return None
    value = _value(work, x)
    if isinstance(value, DatasetRef):
        with Builder() as b:
            e = _elaborator(work, b)
            data, _ = bind_fields(e, work.file, dataset_of(e, work.file, x), work.template)
        ours = {(f.name, f.node.type) for f in work.data.fields}
        if not ours <= {(f.name, f.node.type) for f in data.fields}:
            raise Problem("Z0706", f"{data.name} has other fields than {work.data.name}", x.span)
        return data
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    raise Problem("Z0709", "`valid` is a fraction below 1 or a dataset", x.span)


def _stop(work: Work) -> dict[str, Any] | None:
    """`early_stop = (patience = 10, metric = acc)`, or just the patience."""
    x = work.entry("early_stop")
    if x is None:
        return None
    found: dict[str, Any] = {"metric": "loss", "patience": 10, "delta": 0.0}
    if not isinstance(x, ast.Tuple):
        found["patience"] = _patience(_value(work, x), x.span)
    else:
        failed = Failures(work.diagnostics)
        for item in x.items:
            with failed.collecting():
                _stop_entry(work, found, item)
        failed.stop()
    found.setdefault("mode", "min" if found["metric"] == "loss" else "max")
    return found


def _stop_entry(work: Work, found: dict[str, Any], item: ast.Arg) -> None:
    if not isinstance(item, ast.Keyword) or item.name not in ("metric", "patience", "delta", "mode"):
        what = f"`early_stop` has no {item.name}" if isinstance(item, ast.Keyword) else "each part has a name"
        help_ = "`early_stop = (patience = 10, metric = acc, mode = max, delta = 0)`"
        raise Problem("Z0709", what, item.span, help=help_)
    value = item.value
    if item.name in ("metric", "mode"):
        word = value.id if isinstance(value, ast.Name) else value.value if isinstance(value, ast.String) else ""
        known = [*_metric_names(work), "loss"] if item.name == "metric" else ["min", "max"]
        if word not in known:
            close = nearest(word, known)
            raise Problem(
                "Z0709",
                f"early_stop: {item.name} is one of {', '.join(known)}",
                item.span,
                help=f"did you mean `{close}`?" if close else "",
            )
        found[item.name] = word
    elif isinstance(value, ast.Range | ast.Rest):
        raise Problem("Z0709", f"{item.name} is a number", item.span)
    elif item.name == "patience":
        found["patience"] = _patience(_value(work, value), item.span)
    else:
        delta = _value(work, value)
        if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 <= delta < math.inf:
            raise Problem("Z0709", "the delta is a number, 0 or more", item.span)
        found["delta"] = float(delta)


def _patience(value: Any, span: Span) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Problem("Z0709", "the patience is a whole number of epochs, 1 or more", span)
    return value


def _metric_names(work: Work) -> list[str]:
    from zhdsl.lang.recipes import metric_expressions

    return [name for name, _ in metric_expressions(work)]


def _precision(work: Work) -> str | None:
    x = work.entry("precision")
    if x is None:
        return None
    word = x.id if isinstance(x, ast.Name) else x.value if isinstance(x, ast.String) else ""
    if word in PRECISIONS:
        return PRECISIONS[word]
    raise Problem("Z0709", f"`precision` is one of {', '.join(PRECISIONS)}", x.span)


def _expect(work: Work) -> tuple[tuple[str, str, float, Span], ...]:
    """`expect = acc >= 0.97 and loss < 0.1`: tested after training."""
    x = work.entry("expect")
    return tuple(_expectations(work, x)) if x is not None else ()


def _expectations(work: Work, x: ast.Expr) -> list[tuple[str, str, float, Span]]:
    if isinstance(x, ast.Binary) and x.op == "and":
        return _expectations(work, x.left) + _expectations(work, x.right)
    known = [*_metric_names(work), "loss"]
    if isinstance(x, ast.Binary) and x.op in ("<", "<=", ">", ">=", "==") and isinstance(x.left, ast.Name):
        if x.left.id not in known:
            close = nearest(x.left.id, known)
            raise Problem(
                "Z0715",
                f"{x.left.id} is no metric",
                x.left.span,
                help=f"did you mean `{close}`?" if close else f"metrics are {', '.join(known)}",
            )
        value = _value(work, x.right)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return [(x.left.id, x.op, float(value), x.span)]
    raise Problem("Z0715", "`expect` compares metrics with numbers: `acc >= 0.97`", x.span)


def frozen(work: Work) -> frozenset[str]:
    """Paths of parameters that are not trained. A pattern that fits none is an error."""
    x = work.entry("freeze")
    if x is None:
        return frozenset()
    value = _value(work, x)
    patterns = value if isinstance(value, tuple) else (value,)
    found: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise Problem("Z0709", f"`freeze` takes patterns of paths, this is {kind_of(pattern)}", x.span)
        hit = {p for p in work.model.params if fnmatchcase(p, pattern)}
        if not hit:
            close = nearest(pattern, work.model.params)
            some = [*work.model.params][:4] + ["…"] * (len(work.model.params) > 4)
            help_ = f"did you mean `{close}`?" if close else f"its parameters are {', '.join(some) or 'none'}"
            raise Problem("Z0711", f'no parameter of {work.model.name} fits "{pattern}"', x.span, help=help_)
        found |= hit
    if len(found) == len(work.model.params):
        raise Problem("Z0711", "nothing is left to train", x.span)
    return frozenset(found)


READERS: dict[str, Callable[[Work], Any]] = {
    "batch": _batch,
    "epochs": _epochs,
    "steps": _steps,
    "seed": _seed,
    "valid": _valid,
    "stop": _stop,
    "precision": _precision,
    "expect": _expect,
}
