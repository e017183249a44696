"""The text form of a derivation, read back and evaluated: nothing of the package is used here.

    h[b,t,n] = tanh(Σ{k} h[b,t-1,k] · U[k,n] + …)       arrays with one axis for each index, NumPy broadcasting by name

A formula is evaluated once all that it reads is known, a loop as a whole; what a loop defines is kept step by step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?|[^\W\d][\w.']*|==|!=|<=|>=|\|\{|[^\s])")
RELATIONS = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
FUNCTIONS = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}


class Named(NamedTuple):
    """An array whose axes are indices."""

    array: Any
    axes: tuple[str, ...] = ()

    def over(self, axes: Sequence[str]) -> Any:
        """With these axes, in this order; those that it lacks have size 1."""
        order = [self.axes.index(x) for x in axes if x in self.axes]
        shape = [np.shape(self.array)[self.axes.index(x)] if x in self.axes else 1 for x in axes]
        return np.transpose(self.array, order).reshape(shape)


def together(function: Any, *parts: Named) -> Named:
    """An elementwise function; an index goes as far as the shortest axis that it stands for."""
    axes = tuple(dict.fromkeys(x for part in parts for x in part.axes))
    arrays = [part.over(axes) for part in parts]
    for k in range(len(axes)):
        least = min((a.shape[k] for a in arrays if a.shape[k] > 1), default=1)
        arrays = [a.take(range(min(least, a.shape[k])), axis=k) for a in arrays]
    return Named(function(*arrays), axes)


def joined(parts: Sequence[Named], index: str) -> Named:
    """One behind the other along an index; a part that lacks it is one element."""
    axes = (*dict.fromkeys(x for part in parts for x in part.axes if x != index), index)
    arrays = [part.over(axes) for part in parts]
    shape = np.broadcast_shapes(*(a.shape[:-1] for a in arrays))
    return Named(np.concatenate([np.broadcast_to(a, (*shape, a.shape[-1])) for a in arrays], axis=-1), axes)


class Row(NamedTuple):
    left: str
    right: str
    depth: int


class Reader:
    """A derivation with the values of what goes into it.

    Args:
        given: arrays by the name on the page, axes in the order of its indices.
        sizes: by the name of a size and by index.
    """

    def __init__(self, text: str, given: Mapping[str, Any], sizes: Mapping[str, int]):
        self.values: dict[str, Any] = {name: np.asarray(a, float) for name, a in given.items()}
        self.steps: dict[str, tuple[int, dict[int, Named]]] = {}  # of loops: place of the step, values by step
        self.sizes, self.now = dict(sizes), dict[str, int]()
        groups = list(_groups([row for line in text.splitlines() if (row := _row(line))]))
        while groups:
            ready = [g for g in groups if self._reads(g) <= self.values.keys() | self.steps.keys() | self.sizes.keys()]
            assert ready, f"nothing can be computed next: {groups[0]}, {self._reads(groups[0]) - self.values.keys()}"
            self._run(ready[0])
            groups.remove(ready[0])

    # ------------------------------------------------------------ order
    def _reads(self, group: list[Row]) -> set[str]:
        made = {_target(row.left)[0] for row in group if row.right}
        words = {m[1] for row in group for m in re.finditer(r"(?<![\w.'])([^\W\d_][\w.']*)(?=\[)", row.right)}
        return words - made

    def _run(self, group: list[Row]) -> None:
        heads = [row for row in group if not row.right]
        if not heads:
            self._assign(group[0])
            return
        (head,) = heads
        found = re.fullmatch(r"for (\w+) = (\d+), …, (\d+):", head.left)
        assert found, head
        t, first, last = found[1], int(found[2]), int(found[3])
        inside = [row for row in group if row.right and row.depth > head.depth]
        for row in group[: group.index(head)]:
            self._begin(row)
        for row in inside:
            name, indices = _target(row.left)
            self.steps.setdefault(name, (indices.index(t), {}))
        for step in range(first, last + 1) if first <= last else range(first, last - 1, -1):
            self.now = {t: step}
            for row in inside:
                name, indices = _target(row.left)
                self.steps[name][1][step] = self._ordered(Parser(self, row.right).all(), [i for i in indices if i != t])
        self.now = {}

    def _begin(self, row: Row) -> None:
        name, indices = _target(row.left)
        (place,) = (i for i, index in enumerate(indices) if re.fullmatch(r"-?\d+", index))
        value = Parser(self, row.right).all()
        del indices[place]
        self.steps[name] = (
            place,
            {int(_target(row.left)[1][place]): self._ordered(value, indices) if value.axes else value},
        )

    def _assign(self, row: Row) -> None:
        name, indices = _target(row.left)
        value = self._ordered(Parser(self, row.right).all(), indices)
        self.values[name] = value.array

    def get(self, name: str) -> Any:
        """A value as a whole, its axes in the order of its indices."""
        if name in self.values:
            return self.values[name]
        place, by_step = self.steps[name]
        return np.stack([by_step[t].array for t in range(max(by_step) + 1)], axis=place)

    def _ordered(self, value: Named, indices: Sequence[str]) -> Named:
        assert set(value.axes) <= set(indices), (value.axes, indices)
        array = value.over(indices)
        shape = [self.sizes.get(i, n) if n == 1 else n for i, n in zip(indices, array.shape, strict=True)]
        return Named(np.broadcast_to(array, shape), tuple(indices))

    # ------------------------------------------------------------ reading names
    def read(self, name: str, indices: Sequence[str]) -> Named:
        """`h[b,t-1,n]`, `label[b]`, `y[b,3]`."""
        if name in self.steps:
            return self._step(name, list(indices))
        return self._indexed(self.values[name], list(indices))

    def _step(self, name: str, indices: list[str]) -> Named:
        place, by_step = self.steps[name]
        index = indices.pop(place)
        base, shift = _split(index)
        if base in self.now or not base:
            value = by_step[self.now.get(base, 0) + shift]
            return self._indexed(value.array, indices) if value.axes else value
        count = self.sizes[base]
        stacked = [by_step[t + shift] for t in range(count)]
        shape = max((v.array.shape for v in stacked if v.axes), key=len)
        return self._indexed(np.stack([np.broadcast_to(v.array, shape) for v in stacked]), [base, *indices])

    def _indexed(self, array: Any, indices: list[str]) -> Named:
        """Plain letters are axes, numbers and steps of loops are taken, other names are looked up."""
        assert np.ndim(array) == len(indices), (np.shape(array), indices)
        axes: list[str] = []
        for k in reversed(range(len(indices))):
            base, shift = _split(indices[k])
            if "[" in indices[k]:
                return self._gathered(array, indices, k)
            if not base or base in self.now:
                array = np.take(array, self.now.get(base, 0) + shift, axis=k)
            else:
                array = np.take(array, range(shift, array.shape[k]), axis=k) if shift else array
                axes.insert(0, base)
        return Named(array, tuple(axes))

    def _gathered(self, array: Any, indices: list[str], k: int) -> Named:
        """`y[b, label[b]]`."""
        free = "_gathered"
        whole = self._indexed(array, [*indices[:k], free, *indices[k + 1 :]])
        return self.at(whole, free, indices[k])

    def at(self, value: Named, index: str, place: str) -> Named:
        """The value where an index is something else: a number, or a name with indices."""
        if re.fullmatch(r"\d+", place):
            k = value.axes.index(index)
            return Named(np.take(value.array, int(place), axis=k), tuple(a for a in value.axes if a != index))
        found = re.fullmatch(r"([\w.']+)\[(.*)\]", place)
        assert found, place
        ids = self.read(found[1], found[2].split(","))
        axes = tuple(dict.fromkeys([*(a for a in value.axes if a != index), *ids.axes]))
        array = np.moveaxis(value.over([*axes, index]), -1, -1)
        where = ids.over(axes).astype(int)
        shape = np.broadcast_shapes(array.shape[:-1], where.shape)
        array = np.broadcast_to(array, (*shape, array.shape[-1]))
        return Named(np.take_along_axis(array, np.broadcast_to(where, shape)[..., None], -1)[..., 0], axes)


def _split(index: str) -> tuple[str, int]:
    """`t-1` is t and -1, `3` is nothing and 3."""
    found = re.fullmatch(r"([A-Za-z']*)([+-]?\d+)?", index)
    return (found[1], int(found[2] or 0)) if found else (index, 0)


def _target(left: str) -> tuple[str, list[str]]:
    name, _, rest = left.partition("[")
    return name, rest.rstrip("]").split(",") if rest else []


def _row(line: str) -> Row | None:
    """A formula or the head of a loop; other lines are for the reader."""
    if not line.startswith("  "):
        return None
    depth = (len(line) - len(line.lstrip())) // 2
    left, _, right = line.strip().partition(" = ")
    return Row(line.strip(), "", depth) if line.strip().startswith("for ") else Row(left, right, depth)


def _groups(rows: Sequence[Row]) -> Any:
    """Formulas one by one; a loop with what begins it."""
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and rows[end].right and re.search(r"\[(.*,)?-?\d+(,.*)?\]$", rows[end].left):
            end += 1
        if end < len(rows) and not rows[end].right:
            end += 1
            while end < len(rows) and rows[end].depth > rows[at].depth:
                end += 1
        else:
            end = at + 1
        yield list(rows[at:end])
        at = end


class Parser:
    """One right side, evaluated while it is read."""

    def __init__(self, reader: Reader, text: str):
        self.reader, self.text = reader, text
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def all(self) -> Named:
        value = self.relation()
        assert self.at == len(self.tokens), (self.text, self.tokens[self.at :])
        return value

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next
        assert not wanted or token == wanted, (self.text, token, wanted)
        self.at += 1
        return token

    def relation(self) -> Named:
        left = self.total()
        if self.next in RELATIONS:
            return together(RELATIONS[self.take()], left, self.total())
        return left

    def total(self) -> Named:
        value = self.product()
        while self.next in ("+", "-"):
            value = together({"+": np.add, "-": np.subtract}[self.take()], value, self.product())
        return value

    def product(self) -> Named:
        if self.next == "-":
            self.take()
            return together(np.negative, self.product())
        if self.next == "Σ":
            return self.summed()
        value = self.factor()
        while self.next in ("·", "/"):
            op = self.take()
            right = self.summed() if self.next == "Σ" else self.factor()
            value = together({"·": np.multiply, "/": np.divide}[op], value, right)
        return value

    def summed(self) -> Named:
        self.take("Σ")
        indices, body = self.letters(), self.product()
        for index in indices:
            if index in body.axes:
                k = body.axes.index(index)
                body = Named(body.array.sum(axis=k), tuple(a for a in body.axes if a != index))
            else:
                body = Named(body.array * self.reader.sizes[index], body.axes)
        return body

    def letters(self) -> list[str]:
        self.take("{")
        found = []
        while self.next != "}":
            found.append(self.take())
        self.take("}")
        return [x for x in found if x != ","]

    def factor(self) -> Named:
        value = self.atom()
        if self.next == "|{":
            self.take()
            inside = ""
            while self.next != "}":
                inside += self.take()
            self.take("}")
            index, _, place = inside.partition("=")
            value = self.reader.at(value, index, place)
        if self.next == "^":
            self.take()
            value = together(np.power, value, self.atom())
        return value

    def atom(self) -> Named:
        token = self.take()
        if token == "(":
            value = self.relation()
            self.take(")")
            return value
        if token == "[":
            value = self.relation()
            self.take("]")
            return Named(value.array.astype(float), value.axes)
        if token[0].isdigit():
            return Named(np.asarray(float(token)))
        return self.word(token)

    def word(self, token: str) -> Named:
        if self.next == "[":
            return self.reader.read(token, self.indices())
        if self.next in ("{", "("):
            return self.call(token)
        if token in self.reader.now:
            return Named(np.asarray(float(self.reader.now[token])))
        if token in self.reader.values:
            return Named(self.reader.values[token])
        size = self.reader.sizes[token]
        return Named(np.arange(size), (token,)) if token[0].islower() else Named(np.asarray(float(size)))

    def indices(self) -> list[str]:
        self.take("[")
        found, depth = [""], 1
        while True:
            token = self.take()
            depth += (token == "[") - (token == "]")
            if not depth:
                return found
            if token == "," and depth == 1:
                found.append("")
            else:
                found[-1] += token

    def call(self, name: str) -> Named:
        letters = self.letters() if self.next == "{" else []
        self.take("(")
        args = [self.relation()]
        while self.next == ",":
            self.take()
            args.append(self.relation())
        self.take(")")
        if name in ("softmax", "log_softmax"):
            k = args[0].axes.index(letters[0])
            shifted = args[0].array - args[0].array.max(axis=k, keepdims=True)
            logs = shifted - np.log(np.exp(shifted).sum(axis=k, keepdims=True))
            return Named(np.exp(logs) if name == "softmax" else logs, args[0].axes)
        if name == "max":
            k = args[0].axes.index(letters[0])
            return Named(args[0].array.max(axis=k), tuple(a for a in args[0].axes if a != letters[0]))
        if name == "stack":
            axes = tuple(dict.fromkeys(x for part in args for x in part.axes))
            arrays = np.broadcast_arrays(*(part.over(axes) for part in args))
            return Named(np.stack(arrays, axis=-1), (*axes, letters[0]))
        if name == "flip":
            return Named(np.flip(args[0].array, args[0].axes.index(letters[0])), args[0].axes)
        if name == "concat":
            return joined(args, letters[0])
        if name == "where":
            return together(np.where, *args)
        return together(FUNCTIONS[name], *args)
