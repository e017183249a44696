"""The axes of expressions of a printed program, in order.

In: an expression and the axes of names. Out: labels. Only what the printer of derivatives writes is known here; for
other calls the union of the arguments' axes is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from zhdsl.lang import ast

Labels = tuple[str, ...]
Known = Mapping[str, Labels]

REDUCING = ("sum", "max", "min", "mean", "argmax", "argmin", "logsumexp", "prod")
MAKING = ("zeros", "ones", "uniform", "iota", "values")


def union(parts: Iterable[Labels]) -> Labels:
    """The order of the operand that has the others' labels, else of the left one, then what is new."""
    found: Labels = ()
    for part in parts:
        longer = part if set(found) < set(part) else found
        other = found if longer is part else part
        found = (*longer, *(label for label in other if label not in longer))
    return found


def labels_of(expr: ast.Arg, known: Known) -> Labels:
    """The labels of an expression."""
    match expr:
        case ast.Name(id):
            return known.get(id, ())
        case ast.Unary(operand=x):
            return labels_of(x, known)
        case ast.Binary("@", left, right):
            a, b = labels_of(left, known), labels_of(right, known)
            return union([a[:-1], tuple(label for label in b[1:] if label not in a[:-1])])
        case ast.Binary(left=left, right=right):
            return union([labels_of(left, known), labels_of(right, known)])
        case ast.Call():
            return _called(expr, known)
        case ast.Index(ast.Name(id), args) if id in MAKING and id not in known:
            return named(args)
        case ast.Index(base, args):
            return indexed(labels_of(base, known), args, known)
        case _:
            return ()


def function_of(call: ast.Call) -> tuple[str, tuple[ast.Arg, ...]]:
    """Name and statics of what is called."""
    head = call.function
    statics = head.args if isinstance(head, ast.Index) else ()
    base = head.base if isinstance(head, ast.Index) else head
    return (base.id if isinstance(base, ast.Name) else ""), statics


def named(statics: Iterable[ast.Arg]) -> Labels:
    """The labels among statics: `C`, `C=10`, `...` is none."""
    found = []
    for arg in statics:
        if isinstance(arg, ast.Name):
            found.append(arg.id)
        elif isinstance(arg, ast.Keyword) and arg.name not in OPTIONS:
            found.append(arg.name)
        elif isinstance(arg, ast.Relabel):
            found.append(arg.old)
    return tuple(found)


OPTIONS = ("size", "stride", "dilation", "pad", "value", "count", "stream", "key", "sum", "low", "high")


def _called(call: ast.Call, known: Known) -> Labels:
    name, statics = function_of(call)
    of_args = union(labels_of(arg, known) for arg in call.args)
    if name == "scatter":
        gone = scattered(call, known)
        return (*named(statics), *(label for label in of_args if label not in gone))
    if name in REDUCING and not (name in ("max", "min") and len(call.args) > 1):
        gone = named(statics)
        return tuple(label for label in of_args if label not in gone) if gone else ()
    rule = RULES.get(name)
    return rule(named(statics), statics, of_args) if rule else of_args


def parts_of(statics: Iterable[ast.Arg]) -> list[tuple[str, Labels]]:
    """`F = (H, W)` as ("F", ("H", "W"))."""
    found = []
    for arg in statics:
        if isinstance(arg, ast.Keyword) and isinstance(arg.value, ast.Tuple):
            found.append((arg.name, named(arg.value.items)))
    return found


def _merged(labels: Labels, statics: tuple[ast.Arg, ...], of: Labels) -> Labels:
    for whole, parts in parts_of(statics):
        of = tuple(whole if label == parts[0] else label for label in of if label not in parts[1:])
    return of


def _split(labels: Labels, statics: tuple[ast.Arg, ...], of: Labels) -> Labels:
    for whole, parts in parts_of(statics):
        of = tuple(x for label in of for x in (parts if label == whole else (label,)))
    return of


def scattered(call: ast.Call, known: Known) -> Labels:
    """The labels that a scatter sums over: those of its indices, or what `sum` says."""
    _, statics = function_of(call)
    for arg in statics:
        if isinstance(arg, ast.Keyword) and arg.name == "sum":
            value = arg.value
            return named(value.items) if isinstance(value, ast.Tuple) else named([value])
    return union(labels_of(arg, known) for arg in call.args[1:])


def taps_of(statics: Iterable[ast.Arg]) -> dict[str, str]:
    """For each axis of a window the axis of its taps."""
    found = {}
    for arg in statics:
        if isinstance(arg, ast.Name):
            found[arg.id] = f"{arg.id}'"
        elif isinstance(arg, ast.Relabel):
            found[arg.old] = arg.new
    return found


RULES: dict[str, Callable[[Labels, tuple[ast.Arg, ...], Labels], Labels]] = {
    **dict.fromkeys(MAKING, lambda labels, statics, of: labels),
    "one_hot": lambda labels, statics, of: (*of, *labels),
    "expand": lambda labels, statics, of: (*labels, *of),
    "stack": lambda labels, statics, of: (*labels, *of),
    "merge": _merged,
    "split": _split,
    "window": lambda labels, statics, of: (*of, *taps_of(statics).values()),
    "fold": lambda labels, statics, of: tuple(x for x in of if x not in taps_of(statics).values()),
}


def indexed(of: Labels, args: Iterable[ast.Arg], known: Known) -> Labels:
    """The labels of `x[args]`."""
    renames = {arg.old: arg.new for arg in args if isinstance(arg, ast.Relabel)}
    of = tuple(renames.get(label, label) for label in of)
    new: list[str] = []
    gone: list[str] = []
    for arg in args:
        if isinstance(arg, ast.Name):
            gone += [label for label in of if label.lower() == arg.id.rstrip("0123456789_").lower()]
        elif isinstance(arg, ast.Keyword) and not isinstance(arg.value, ast.Range):
            gone.append(arg.name)
            new += [label for label in labels_of(arg.value, known) if label not in new]
    first = next((i for i, label in enumerate(of) if label in gone), len(of))
    kept = [label for label in of[:first] if label not in gone], [label for label in of[first:] if label not in gone]
    return tuple(dict.fromkeys([*kept[0], *new, *kept[1]]))
