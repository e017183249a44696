"""Statements: bodies are run once per instantiation; `repeat` and `if` at compile time, `when` by mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zhdsl.ir.node import Frame
from zhdsl.lang import ast
from zhdsl.lang.axes import ascribe
from zhdsl.lang.elaborator import Elaborator, poison
from zhdsl.lang.expressions import evaluate, truth, whole
from zhdsl.lang.problem import Poisoned, Problem, conversion, counted, telling
from zhdsl.lang.scans import run_emit, run_scan
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import as_tensor, typed
from zhdsl.lang.values import POISON, Instance, Many, Template, Tensor, is_number
from zhdsl.lang.weights import declare_param, declare_state, require_free, update_state

MAX_REPEAT = 10_000
REPETITION = 50  # steps of work that one repetition counts as, whatever is in it: nested ones multiply


def run_body(e: Elaborator, s: Scope, body: Sequence[ast.Stmt]) -> Any:
    """The value that a body returns, or `None`. Raises `Poisoned` where that value could not be made."""
    run_statements(e, s, body)
    if s.returned is POISON:
        raise Poisoned
    return s.returned


def run_statements(e: Elaborator, s: Scope, body: Sequence[ast.Stmt]) -> None:
    """Run them in order. A statement that fails is reported and poisons its names; the others still run."""
    if s.file.is_library:  # a problem in the library is the caller's: it is reported at the call
        for statement in body:
            _run(e, s, statement)
        return
    failed = [statement for statement in body if not _ran(e, s, statement)]
    if failed and not s.done:
        raise Poisoned


def _run(e: Elaborator, s: Scope, statement: ast.Stmt) -> None:
    e.spend(statement.span)
    with telling(statement.span):
        TABLE[type(statement)](e, s, statement)


def _ran(e: Elaborator, s: Scope, statement: ast.Stmt) -> bool:
    """Run one statement; if it fails, report it and poison the names it would have bound."""
    if s.done:
        raise Problem("Z0618", "nothing is reached after `return`", statement.span)
    ran = False
    with e.diagnostics.collecting(), e.telling_caller():
        _run(e, s, statement)
        ran = True
    if not ran:
        _poison_all(s, statement)
    return ran


def _poison_all(s: Scope, statement: ast.Stmt) -> None:
    """Names that a failed statement would have given a value."""
    if isinstance(statement, ast.Assign):
        poison(s, statement.targets)
    elif isinstance(statement, ast.Param | ast.State):
        poison(s, statement.names)
    elif isinstance(statement, ast.Return):
        s.returned, s.done = POISON, True
    elif isinstance(statement, ast.Repeat | ast.If | ast.When):
        for inner in (
            *getattr(statement, "body", ()),
            *getattr(statement, "then", ()),
            *(getattr(statement, "other", ()) or ()),
        ):
            _poison_all(s, inner)


def right_side(e: Elaborator, s: Scope, value: ast.Expr | ast.Scan) -> Any:
    """The right side of `=` or `return`."""
    if isinstance(value, ast.Scan):
        with e.at(value.span):
            return run_scan(e, s, value, run_body)
    return evaluate(e, s, value)


def _assign(e: Elaborator, s: Scope, x: ast.Assign) -> None:
    value = right_side(e, s, x.value)
    if len(x.targets) == 1:
        bind_name(e, s, x.targets[0], value, x)
        return
    values = value.values if isinstance(value, Many) else value if isinstance(value, tuple) else (value,)
    if len(values) != len(x.targets):
        raise Problem("Z0414", f"{counted(len(x.targets), 'name')} for {counted(len(values), 'value')}", x.span)
    for target, part in zip(x.targets, values, strict=True):
        bind_name(e, s, target, part, x)


def bind_name(e: Elaborator, s: Scope, target: ast.Name, value: Any, x: ast.Assign) -> None:
    """Give a name its value: an ascribed tensor in its order, a block's template as one instance."""
    name = target.id
    require_free(s, target)
    if x.type is not None:
        t = as_tensor(value, x.type.dtype or s.float, x.value.span)
        if not typed(t.type, x.type.dtype):
            dtype = x.type.dtype or "float"
            raise Problem(
                "Z0501",
                f"{name} is declared {dtype}, the value is {t.type.dtype}",
                x.value.span,
                (x.type.span, "declared here"),
                help=conversion(dtype, x.value.span),
            )
        value = ascribe(e, s, t, x.type, x.value.span, name)
    if isinstance(value, Template) and value.definition.kind == "block":
        value = Instance(value, e.instance_path(s, name, target.span))
    if isinstance(value, Tensor):
        e.builder.note(value.node, frozenset(), name)
    s.vars[name] = value


def _repeat(e: Elaborator, s: Scope, x: ast.Repeat) -> None:
    count = whole(e, s, x.count, "the count of `repeat`")
    if not 0 <= count <= MAX_REPEAT:
        raise Problem("Z0614", f"`repeat` {count:,}: the count is 0 to {MAX_REPEAT:,}", x.count.span)
    if x.var:
        require_free(s, x.var)
    name, hidden = (x.var.id, s.vars.get(x.var.id)) if x.var else ("repeat", None)
    before = s.path
    base = e.instance_path(s, name, x.span) if not x.tied else before
    frame = f"{name}:{x.span.line}" if x.tied else base.rpartition(".")[2]
    types = {n: v.type for n, v in s.vars.items() if isinstance(v, Tensor)} if x.tied else {}
    for i in range(count):
        e.spend(x.span, REPETITION)
        s.path = before if x.tied else f"{base}{i}"
        if x.var:
            s.vars[x.var.id] = i
        try:
            with e.inside(Frame(frame, "", "repeat", i), x.span):
                run_statements(e, s, x.body)
        finally:
            s.path = before
        if x.tied:
            _same_types(s, types, x)
    s.vars.pop(name, None) if x.var else None
    if hidden is not None:
        s.vars[name] = hidden


def _same_types(s: Scope, types: dict[str, Any], x: ast.Repeat) -> None:
    for name, type_ in types.items():
        value = s.vars.get(name)
        if isinstance(value, Tensor) and value.type != type_:
            raise Problem(
                "Z0616", f"`repeat … tied`: {name} changes its type, {s.show(type_)} to {s.show(value)}", x.span
            )


def _if(e: Elaborator, s: Scope, x: ast.If) -> None:
    taken = truth(e, s, x.test, "the condition of `if`")
    _branch(e, s, *((x.then, x.other) if taken else (x.other, x.then)))


def _when(e: Elaborator, s: Scope, x: ast.When) -> None:
    _branch(e, s, *((x.then, x.other) if x.mode == e.mode else (x.other, x.then)))


def _branch(e: Elaborator, s: Scope, taken: Sequence[ast.Stmt] | None, other: Sequence[ast.Stmt] | None) -> None:
    """Run one branch; what the other one would have named is remembered for messages."""
    for statement in other or ():
        if isinstance(statement, ast.Assign):
            s.elsewhere.update((target.id, target.span) for target in statement.targets)
    run_statements(e, s, taken or ())


def _return(e: Elaborator, s: Scope, x: ast.Return) -> None:
    if s.done:
        raise Problem("Z0618", "nothing is reached after `return`", x.span)
    if s.kind == "scan":
        raise Problem("Z0608", "a scan's body emits, it does not return", x.span, help="write `emit …`")
    value = right_side(e, s, x.value)
    if is_number(value) and s.kind != "fn":
        value = as_tensor(value, s.float, x.span)
    s.returned, s.done = value, True
    s.returned_at = tuple(item.span for item in x.value.items) if isinstance(x.value, ast.Tuple) else (x.value.span,)


def _emit(e: Elaborator, s: Scope, x: ast.Emit) -> None:
    if s.kind != "scan" or s.frame is None:
        raise Problem("Z0608", "`emit` stands in the body of a scan only", x.span, help="write `return …`")
    run_emit(e, s, s.frame, x)


def _param(e: Elaborator, s: Scope, x: ast.Param) -> None:
    for name in x.names:
        declare_param(e, s, name, x)


def _state(e: Elaborator, s: Scope, x: ast.State) -> None:
    for name in x.names:
        declare_state(e, s, name, x)


def _update(e: Elaborator, s: Scope, x: ast.Update) -> None:
    update_state(e, s, x, evaluate(e, s, x.value))


TABLE: dict[type, Callable[[Elaborator, Scope, Any], None]] = {
    ast.Assign: _assign,
    ast.Param: _param,
    ast.State: _state,
    ast.Update: _update,
    ast.Repeat: _repeat,
    ast.If: _if,
    ast.When: _when,
    ast.Emit: _emit,
    ast.Return: _return,
}
