"""`check` items: claims about models, decided here where they are about counts and shapes.

check LeNet.params == 61_706
check shape[LeNet] == [B, 10]           sizes of the first result; symbols stand for themselves
check gradient[attention]               run by the command: against finite differences
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zhdsl.ir.node import Builder
from zhdsl.ir.sizes import Size
from zhdsl.lang import ast
from zhdsl.lang.arithmetic import compared
from zhdsl.lang.elaborator import Diagnostics
from zhdsl.lang.entry import Names, build_model, elaborator
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.files import File
from zhdsl.lang.model import Claim, Model
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import decided
from zhdsl.lang.values import Template, is_number, is_static, shown, sized

ModelOf = Callable[[Template], Model]
FACTS: dict[str, Callable[[Model], Any]] = {
    "params": lambda m: sum(w.type.count().number or 0 for w in m.params.values()),
    "states": lambda m: sum(w.type.count().number or 0 for w in m.states.values()),
    "tensors": lambda m: len(m.params),
}


def build_claim(item: ast.Check, file: File, model_of: ModelOf, diagnostics: Diagnostics) -> Claim:
    """The claim, decided if it can be. Raises `Problem` where it makes no sense."""
    x = item.claim
    if isinstance(x, ast.Index) and isinstance(x.base, ast.Name) and x.base.id == "gradient":
        return Claim("gradient", item.span, detail=x.span.text, model=_function(x, file, diagnostics))
    with Builder() as b:
        value = _value(x, file, model_of, elaborator("infer", b, diagnostics, Names()))
    if not isinstance(value, bool):
        raise Problem("Z0802", "a claim is true or false", x.span, help="e.g. `check Net.params == 138`")
    detail = "" if value else _sides(x, file, model_of, diagnostics)
    return Claim("static", item.span, value, detail)


def _function(x: ast.Index, file: File, diagnostics: Diagnostics) -> Model:
    with Builder() as b:
        e = elaborator("infer", b, diagnostics, Names())
        target = (
            evaluate(e, Scope(file, kind="file"), x.args[0])
            if x.args and isinstance(x.args[0], ast.Name | ast.Index)
            else None
        )
    if not isinstance(target, Template) or len(x.args) != 1:
        raise Problem("Z0802", "`gradient[f]` takes one function, block or model", x.span)
    samples = {s.name: 2 for s in target.definition.statics if s.kind in ("", "int")}
    return build_model(target, diagnostics, samples)


def _value(x: ast.Expr, file: File, model_of: ModelOf, e: Any) -> Any:
    """Numbers, facts about models, and comparisons between them."""
    if isinstance(x, ast.Binary) and x.op in ("and", "or"):
        a, b = (_value(side, file, model_of, e) for side in (x.left, x.right))
        return (a and b) if x.op == "and" else (a or b)
    if isinstance(x, ast.Binary) and x.op in COMPARE:
        a, b = (_value(side, file, model_of, e) for side in (x.left, x.right))
        for value, side in ((a, x.left), (b, x.right)):
            if not is_number(value) and (x.op not in ("==", "!=") or not is_static(value)):
                raise Problem("Z0802", f"`{x.op}` compares numbers in a claim, this is {shown(value)}", side.span)
        return decided(lambda: COMPARE[x.op](a, b), x.span, x.span.text)
    if isinstance(x, ast.Attribute) and (model := _model(x.base, file, model_of, e)) is not None:
        if x.name not in FACTS:
            close = nearest(x.name, FACTS)
            raise Problem(
                "Z0208",
                f"a model has no `.{x.name}`",
                x.span,
                help=f"did you mean `{close}`?" if close else f"it has {', '.join(FACTS)}",
            )
        return FACTS[x.name](model)
    if isinstance(x, ast.Index) and isinstance(x.base, ast.Name) and x.base.id == "shape":
        return _shape(x, file, model_of, e)
    if isinstance(x, ast.List):
        return tuple(_size(i, file, e) for i in x.items)
    return evaluate(e, Scope(file, kind="file"), x)


def _shape(x: ast.Index, file: File, model_of: ModelOf, e: Any) -> tuple[Any, ...]:
    arg = x.args[0] if len(x.args) == 1 else None
    model = _model(arg, file, model_of, e) if isinstance(arg, ast.Name) else None
    if model is None:
        raise Problem("Z0802", "`shape[M]` takes a model", x.span)
    port = model.outputs[0]
    return tuple(sized(port.node.type.sizes[label]) for label in port.order)


def _size(x: ast.Arg, file: File, e: Any) -> Any:
    """A size in a claim's list; an unknown name is the symbol of that name."""
    if isinstance(x, ast.Name) and file.find(e, x.id) is None:
        return Size.of(x.id)
    if isinstance(x, ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
        raise Problem("Z0802", "a list of sizes is wanted", x.span)
    return evaluate(e, Scope(file, kind="file"), x)


def _model(x: Any, file: File, model_of: ModelOf, e: Any) -> Model | None:
    if not isinstance(x, ast.Name):
        return None
    found = file.find(e, x.id)
    if isinstance(found, Template):
        return model_of(found)
    return None


def _compare(sign: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def run(a: Any, b: Any) -> bool:
        if is_number(a) and is_number(b):
            return sign(compared(a, b))
        return sign(0 if type(a) is type(b) and a == b else 1)

    return run


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _compare(lambda s: s == 0),
    "!=": _compare(lambda s: s != 0),
    "<": _compare(lambda s: s < 0),
    "<=": _compare(lambda s: s <= 0),
    ">": _compare(lambda s: s > 0),
    ">=": _compare(lambda s: s >= 0),
}


def _sides(x: ast.Expr, file: File, model_of: ModelOf, diagnostics: Diagnostics) -> str:
    """`M.params is 270,896, not 272,474`: both sides of a claim that does not hold."""
    if not (isinstance(x, ast.Binary) and x.op in COMPARE):
        return f"{' '.join(x.span.text.split())} does not hold"
    with Builder() as b:
        e = elaborator("infer", b, diagnostics, Names())
        left, right = (_told(_value(side, file, model_of, e)) for side in (x.left, x.right))
    if x.op == "==":
        return f"{x.left.span.text} is {left}, not {right}"
    return f"{x.span.text} does not hold: {left} and {right}"


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_told, value)) + "]"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
