"""Expressions of a printed program in index notation.

    sum[C](d_y * W)[N as M]      Σ_c δy_bc W_mc          a renamed axis is another letter
    q[C=label], h[T=49]          q_(b, label_b), h_b49   an index stands where the axis was
    a @ W                        Σ_f a_bf W_fn
    h (a carry, before it is set)    h_(b, t-1)

In: an expression, and a scope: the axes of names, and which index stands for which axis. Out: a piece of text in a
dialect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from zhdsl.lang import ast
from zhdsl.lang.blackboard.axes import MAKING, Labels, function_of, labels_of, named, parts_of, scattered, taps_of
from zhdsl.lang.blackboard.dialects import Dialect

ADD, MUL, POW, ATOM = range(1, 5)
FRESH = "klmpqrsuvwz"  # letters for sums whose own letter is taken


@dataclass(frozen=True)
class Piece:
    """What is written, how firmly it holds together, and whether it ends in a sum, which takes all that follows."""

    text: str
    level: int = ATOM
    open: bool = False


At: TypeAlias = Mapping[str, str]


@dataclass
class Scope:
    """What is known of names.

    Attributes:
        labels: their axes, in the order of the program; values of a loop have its axis too.
        shown: their axes in the order in which indices are written.
        sizes: by name and label, what the size is called.
        titles: base and what stands above it, for names that are parameters or derivatives.
        aliases: what names stand for: another name, at another step of a loop (-1 for a carry that is not set yet).
    """

    dialect: Dialect
    labels: dict[str, Labels] = field(default_factory=dict)
    shown: dict[str, Labels] = field(default_factory=dict)
    sizes: dict[str, dict[str, str]] = field(default_factory=dict)
    titles: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    aliases: dict[str, tuple[str, str, int]] = field(default_factory=dict)

    @property
    def seen(self) -> dict[str, Labels]:
        """The axes of names as they are called here."""
        return {**self.labels, **{id: self.labels[to] for id, (to, _, _) in self.aliases.items() if to in self.labels}}

    def inner(self) -> Scope:
        """A copy for the body of a loop."""
        return replace(self, labels=dict(self.labels), sizes=dict(self.sizes), aliases=dict(self.aliases))

    def written(self, expr: ast.Expr) -> str:
        return self.piece(expr, {}).text

    # ------------------------------------------------------------ pieces
    def piece(self, expr: ast.Arg, at: At) -> Piece:
        """An expression at these indices."""
        match expr:
            case ast.Name(id):
                return Piece(self.name(id, at))
            case ast.Number(text):
                return Piece(self.dialect.number(_short(text)))
            case ast.Constant(value):
                return Piece(self.dialect.inf if value == "inf" else value)
            case ast.Unary("-", x):
                return Piece(f"-{self.held(x, at, MUL)}", ADD)
            case ast.Unary(_, x):
                return Piece(self.dialect.call("not", (), [self.piece(x, at).text]))
            case ast.Binary():
                return self.binary(expr, at)
            case ast.Call():
                return self.call(expr, at)
            case ast.Index(ast.Name(id) as head, args) if id in MAKING and id not in self.labels:
                return self.call(ast.Call(expr, (), span=head.span), at)
            case ast.Index(base, args):
                return self.piece(base, self.moved(base, args, at))
            case ast.Tuple(items):
                return Piece(self.dialect.group(", ".join(self.piece(item, at).text for item in items)))
            case _:
                return Piece("…")

    def held(self, expr: ast.Arg, at: At, level: int, last: bool = True) -> str:
        """The expression, in brackets if it would fall apart; a sum that is not last does."""
        piece = self.piece(expr, at)
        return self.dialect.group(piece.text) if piece.level < level or (piece.open and not last) else piece.text

    def name(self, id: str, at: At) -> str:
        """A name with its indices."""
        id, label, shift = self.aliases.get(id, (id, "", 0))
        indices = [_shifted(self.index(x, at), shift if x == label else 0) for x in self.shown.get(id, ())]
        return self.titled(id, indices)

    def titled(self, id: str, indices: Sequence[str]) -> str:
        base, above, is_derivative = self.titles.get(id) or (*_numbered(id), False)
        if id not in self.labels:
            return self.dialect.word(id)
        return (self.dialect.delta if is_derivative else "") + self.dialect.name(base, above, indices)

    def index(self, label: str, at: At) -> str:
        return at.get(label) or self.dialect.index(label)

    # ------------------------------------------------------------ operators
    def binary(self, expr: ast.Binary, at: At) -> Piece:
        op, a, b, d = expr.op, expr.left, expr.right, self.dialect
        if op == "@":
            return self._contraction(a, b, at)
        if op == "^" or (op == "*" and a == b):
            base = self.held(a, at, ATOM, last=False)
            base = d.group(base) if "^" in base and not base.startswith((r"\left", "(")) else base
            return Piece(d.power(base, self.piece(b, at).text if op == "^" else "2"), POW)
        if op == "*":
            return Piece(d.product(self.held(a, at, MUL, False), self.held(b, at, MUL)), MUL, self.piece(b, at).open)
        if op == "/":
            stacked = d.fraction("", "") != " / "
            if stacked:
                return Piece(d.fraction(self.piece(a, at).text, self.piece(b, at).text))
            return Piece(d.fraction(self.held(a, at, MUL, False), self.held(b, at, POW, False)), MUL)
        if op in "+-":
            sign = f" {op} "
            right = self.held(b, at, MUL if op == "-" else ADD)
            return Piece(f"{self.held(a, at, ADD)}{sign}{right}", ADD)
        return Piece(f"{self.held(a, at, ADD)}{d.relation(op)}{self.held(b, at, ADD)}", 0)

    def _contraction(self, a: ast.Expr, b: ast.Expr, at: At) -> Piece:
        """a @ b: the last axis of a with the first of b."""
        mine, theirs = labels_of(a, self.seen)[-1], labels_of(b, self.seen)[0]
        others = {*labels_of(a, self.seen)[:-1], *labels_of(b, self.seen)[1:]}
        letter = self.free(mine, others, at)
        left, right = self.held(a, {**at, mine: letter}, MUL, False), self.held(b, {**at, theirs: letter}, MUL)
        return Piece(self.dialect.sum([letter], self.dialect.product(left, right)), MUL, True)

    def free(self, label: str, others: Iterable[str], at: At) -> str:
        """A letter for a bound index that no free one has."""
        taken = {word for x in others for word in re.findall(r"[A-Za-z']+", self.index(x, at))}
        own = self.dialect.index(label)
        return own if own not in taken else next(x for x in FRESH if x not in taken)

    # ------------------------------------------------------------ indexing
    def moved(self, base: ast.Expr, args: Sequence[ast.Arg], at: At) -> dict[str, str]:
        """The indices for the axes of `base` in `base[args]`."""
        new, has = dict(at), labels_of(base, self.seen)
        for arg in args:
            if isinstance(arg, ast.Relabel):
                new.pop(arg.new, None)
        for arg in args:
            if isinstance(arg, ast.Relabel):
                new[arg.old] = self.index(arg.new, at)
            elif isinstance(arg, ast.Name):
                label = next((x for x in has if x.lower() == arg.id.rstrip("0123456789_").lower()), "")
                new[label] = self.dialect.index(label)
            elif isinstance(arg, ast.Keyword):
                new[arg.name] = self._position(arg, at)
        return new

    def _position(self, arg: ast.Keyword, at: At) -> str:
        if not isinstance(arg.value, ast.Range):
            return self.piece(arg.value, at).text
        low = arg.value.low
        here = self.index(arg.name, at)
        return here if low is None else f"{here}+{self.piece(low, at).text}"

    # ------------------------------------------------------------ calls
    def call(self, expr: ast.Call, at: At) -> Piece:
        name, statics = function_of(expr)
        rule = CALLS.get(name)
        if name in ("max", "min") and len(expr.args) > 1:
            rule = None
        return rule(self, expr, statics, at) if rule else self.plain_call(expr, name, at)

    def plain_call(self, expr: ast.Call, name: str, at: At) -> Piece:
        """A function of single elements."""
        return Piece(self.dialect.call(name, (), [self.piece(arg, at).text for arg in expr.args]))

    def along(self, expr: ast.Call, labels: Sequence[str], at: At, note: Sequence[str] = ()) -> Piece:
        """A function of whole axes whose result has these axes: where one of them is looked at, `f_c(x_bc)|_(c=3)`."""
        name, _ = function_of(expr)
        within = {label: index for label, index in at.items() if label not in labels}
        letters = [self.dialect.index(label) for label in labels]
        body = self.dialect.call(name, note or letters, [self.piece(arg, within).text for arg in expr.args])
        pairs = zip(labels, letters, strict=True)
        places = [f"{letter}={at[label]}" for label, letter in pairs if at.get(label, letter) != letter]
        return Piece(self.dialect.at(body, places)) if places else Piece(body)

    def size(self, label: str, expr: ast.Arg) -> str:
        """What the size of an axis of an expression is called."""
        for name in _names(expr):
            found = self.sizes.get(self.aliases.get(name, (name,))[0], {}).get(label)
            if found:
                return found
        return label


# ---------------------------------------------------------------- one rule for each kind of function
Rule = Callable[[Scope, ast.Call, tuple[ast.Arg, ...], At], Piece]


def _sum(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    (x,) = expr.args
    of = labels_of(x, s.seen)
    labels = named(statics) or of
    within, letters = dict(at), []
    for label in labels:
        within.pop(label, None)
    for label in labels:
        others = [other for other in of if other != label]
        within[label] = s.free(label, others, within)
        letters.append(within[label])
    is_mean = function_of(expr)[0] == "mean"
    sizes = [size for label in labels if (size := s.size(label, x)) != "1"]
    count = s.dialect.dot.join(sizes) if is_mean else ""
    return Piece(s.dialect.sum(letters, s.held(x, within, MUL), count), MUL, True)


def _root(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    return Piece(s.dialect.root(s.piece(expr.args[0], at).text))


def _axiswise(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    labels = named(statics) or labels_of(expr.args[0], s.seen)
    return s.along(expr, labels, at)


def _reduced(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    """max over an axis: its index is bound."""
    labels = named(statics) or labels_of(expr.args[0], s.seen)
    return s.along(expr, labels, {label: index for label, index in at.items() if label not in labels})


def _where(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    test, then, other = expr.args
    truth = s.dialect.truth(s.piece(test, at).text)
    if isinstance(other, ast.Number) and other.value == 0:
        one = isinstance(then, ast.Number) and then.value == 1
        return (
            Piece(truth) if one else Piece(s.dialect.product(truth, s.held(then, at, MUL)), MUL, s.piece(then, at).open)
        )
    return Piece(s.dialect.call("where", (), [s.piece(arg, at).text for arg in expr.args]))


def _float(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    (x,) = expr.args
    relation = isinstance(x, ast.Binary) and x.op in ("==", "!=", "<", ">", "<=", ">=", "and", "or")
    return Piece(s.dialect.truth(s.piece(x, at).text)) if relation else s.piece(x, at)


def _iota(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    return Piece(s.index(named(statics)[0], at))


def _one_hot(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    (label,) = named(statics)
    equal = f"{s.piece(expr.args[0], at).text}{s.dialect.relation('==')}{s.index(label, at)}"
    return Piece(s.dialect.truth(equal))


def _scatter(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    """What goes to the place v is all that belongs there: Σ_bt g_btd [id_bt = v]."""
    g, *places = expr.args
    summed = scattered(expr, s.seen)
    within = {label: index for label, index in at.items() if label not in summed}
    kept = {*labels_of(expr, s.seen)}
    for label in summed:
        within[label] = s.free(label, kept - {label}, within)
    pairs = zip(places, named(statics), strict=True)
    equal = [f"{s.piece(p, within).text}{s.dialect.relation('==')}{s.index(label, at)}" for p, label in pairs]
    body = s.held(g, within, MUL, last=False)
    for test in equal:
        body = s.dialect.product(body, s.dialect.truth(test))
    letters = [within[label] for label in summed]
    return Piece(s.dialect.sum(letters, body), MUL, True) if letters else Piece(body, MUL)


def _number(text: str) -> Rule:
    return lambda s, expr, statics, at: Piece(text)


def _drawn(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    return Piece(s.dialect.call("uniform", [s.index(label, at) for label in named(statics)], []))


def _expand(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    return s.piece(expr.args[0], at)


def _pad(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    """What is padded from one element on is that element at its place: [t = 49] x."""
    (x,) = expr.args
    parts = [arg for arg in statics if isinstance(arg, ast.Keyword) and isinstance(arg.value, ast.Tuple)]
    made = isinstance(x, ast.Call) and function_of(x)[0] == "expand" and named(function_of(x)[1])
    if len(parts) == 1 == len(statics) and made == (parts[0].name,) and isinstance(parts[0].value, ast.Tuple):
        place = s.piece(parts[0].value.items[0], at).text
        truth = s.dialect.truth(f"{s.index(parts[0].name, at)}{s.dialect.relation('==')}{place}")
        return Piece(s.dialect.product(truth, s.held(x, at, MUL)), MUL, s.piece(x, at).open)
    return s.along(expr, named(statics), at)


def _merged(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    """merge_(f=hw)(x_bhw)"""
    index = s.dialect.index
    notes = [f"{index(whole)}=({','.join(map(index, parts))})" for whole, parts in parts_of(statics)]
    split = function_of(expr)[0] == "split"
    made = [label for whole, parts in parts_of(statics) for label in (parts if split else (whole,))]
    return s.along(expr, made, at, notes)


def _window(s: Scope, expr: ast.Call, statics: tuple[ast.Arg, ...], at: At) -> Piece:
    """x at h + h' - 1, where nothing but zeros is around it; else the word."""
    options = {arg.name: arg.value for arg in statics if isinstance(arg, ast.Keyword)}
    low = _padding(options)
    if low is None or "value" in options or "dilation" in options or "count" in options:
        return s.along(expr, list(taps_of(statics).values()), at)
    stride = options.get("stride")
    times = s.dialect.number(stride.text) + s.dialect.times if isinstance(stride, ast.Number) else ""
    within = dict(at)
    for label, tap in taps_of(statics).items():
        start = f"{times}{s.index(label, at)}+{s.index(tap, at)}"
        within[label] = start + (f"-{low}" if low else "")
    return s.piece(expr.args[0], within)


def _padding(options: Mapping[str, object]) -> int | None:
    """Zeros before the first element; `None` where that is no known number."""
    pad, size = options.get("pad"), options.get("size")
    if pad is None:
        return 0
    if isinstance(pad, ast.Number) and isinstance(pad.value, int):
        return pad.value
    same = isinstance(pad, ast.String) and pad.value == "same" and "stride" not in options
    odd = isinstance(size, ast.Number) and isinstance(size.value, int) and size.value % 2
    return (int(size.value) - 1) // 2 if same and odd and isinstance(size, ast.Number) else None


CALLS: dict[str, Rule] = {
    "sum": _sum,
    "mean": _sum,
    "sqrt": _root,
    "where": _where,
    "float": _float,
    "f32": _float,
    "iota": _iota,
    "one_hot": _one_hot,
    "scatter": _scatter,
    "zeros": _number("0"),
    "ones": _number("1"),
    "uniform": _drawn,
    "expand": _expand,
    "pad": _pad,
    "merge": _merged,
    "split": _merged,
    "window": _window,
    **dict.fromkeys(("max", "min", "argmax", "argmin", "logsumexp"), _reduced),
    **dict.fromkeys(("softmax", "log_softmax", "flip", "concat", "stack", "fold", "cumsum"), _axiswise),
}


# ---------------------------------------------------------------- words
def _numbered(id: str) -> tuple[str, str]:
    """`y2` is y with (2) above."""
    found = re.fullmatch(r"([A-Za-z])(\d+)", id)
    return (found[1], f"({found[2]})") if found else (id, "")


def _shifted(index: str, shift: int) -> str:
    if not shift:
        return index
    return str(int(index) + shift) if index.isdecimal() else f"{index}{shift:+d}"


def _short(text: str) -> str:
    """`2.0` is 2."""
    return text[:-2] if text.endswith(".0") else text


def _names(expr: ast.Arg) -> Iterable[str]:
    """The names in an expression, in order."""
    match expr:
        case ast.Name(id):
            yield id
        case ast.Unary(operand=x) | ast.Index(base=x):
            yield from _names(x)
        case ast.Binary(left=a, right=b):
            yield from _names(a)
            yield from _names(b)
        case ast.Call(args=args):
            for arg in args:
                yield from _names(arg)
