"""`format`: a syntax tree as canonical text.

`parse(format(parse(x)))` is `parse(x)`, and formatting twice changes nothing.
Two spaces a level, 120 columns, one blank line at most, no parentheses that are not needed. Comments stay with the
statement they stand before or behind; one inside a statement moves before it. A `fn` that only returns stands on one
line if it fits.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from zhdsl.errors import CompilerError
from zhdsl.lang import ast
from zhdsl.lang.phrases import ATOM, SIZE, Place, arguments, expression, names, type_, value
from zhdsl.lang.pretty import STEP, Doc, Group, Line, Nest, bracketed, flat, join, render
from zhdsl.lang.weave import Chunk, weave

WIDTH = 120
Node = ast.Stmt | ast.Item | ast.Entry
_BEFORE_BRACE = re.compile(r'(?:"[^"\n]*"|#[^\n]*|[^"#{])*+')
_SPACE = re.compile(r"(?:\s|#[^\n]*)*+")


def format(module: ast.Module) -> str:
    """The canonical text of a module, ending in a newline; empty for one without items and comments."""
    writer = _Writer(module)
    chunks = [chunk for item in module.items for chunk in writer.item(item)]
    return "".join(f"{line}\n" for line in weave(module.source, chunks, module.comments))


# ---------------------------------------------------------------- headers
def _equals(left: Doc, right: Doc) -> Doc:
    return (left, " = ", right)


def _typed(node: ast.Param | ast.State, word: str) -> Doc:
    return (f"{word} {names(node.names)}: ", type_(node.type), " = ", expression(node.init))


def _static(node: ast.Static) -> Doc:
    name = ("..." if node.rest else "") + node.name + (f": {node.kind}" if node.kind else "")
    return name if node.default is None else _equals(name, expression(node.default, Place(inside=True)))


def _parameter(node: ast.Parameter) -> Doc:
    name: Doc = node.name if node.type is None else (f"{node.name}: ", type_(node.type))
    return name if node.default is None else _equals(name, expression(node.default, Place(inside=True)))


def _results(nodes: tuple[ast.Result, ...]) -> Doc:
    docs: list[Doc] = [(f"{node.name}: " if node.name else "", type_(node.type)) for node in nodes]
    return docs[0] if len(docs) == 1 else bracketed("(", docs, ")")


def _statics(nodes: tuple[ast.Static, ...]) -> Doc:
    return bracketed("[", map(_static, nodes), "]") if nodes else ""


def _continued(word: str, doc: Doc) -> Doc:
    """A part of a signature that may stand on a line of its own."""
    return Group(Nest((Line(), word, doc), 2))


def _signature(node: ast.Definition) -> Doc:
    parts: list[Doc] = [f"{node.kind} {node.name}", _statics(node.statics)]
    parts.append(bracketed("(", map(_parameter, node.params), ")"))
    if node.results:
        parts.append(_continued("-> ", _results(node.results)))
    if node.requires:
        parts.append(_continued("require ", join(map(expression, node.requires), ", ")))
    return tuple(parts)


def _scan(node: ast.Scan) -> Doc:
    parts: list[Doc] = [f"scan {node.var.id} over {node.axis.id}"]
    if node.length is not None:
        parts += ["=", expression(node.length, SIZE)]
    parts += [" reverse"] * node.reverse
    if node.truncate is not None:
        parts += [" truncate ", expression(node.truncate, Place(binding=ATOM))]
    if node.carries:
        parts += [" from ", join((_equals(bind.name.id, expression(bind.value)) for bind in node.carries), ", ")]
    return tuple(parts)


def _use(node: ast.Use) -> Doc:
    target = ".".join(node.names) if node.path is None else f'"{node.path}"'
    return f"use {target}" + (f" as {node.alias}" if node.alias else "")


def _annotation(node: ast.Annotation) -> Doc:
    return (f"@{node.name}", bracketed("[", arguments(node.args), "]") if node.args else "")


def _assigned(node: ast.Assign) -> Doc:
    return (names(node.targets), (": ", type_(node.type)) if node.type else "", " = ")


def _emit(node: ast.Emit) -> Doc:
    return ("emit ", join((("last " if item.last else "", expression(item.value)) for item in node.items), ", "))


def _simple(node: ast.Stmt | ast.Item | ast.Entry) -> Doc | None:
    """The document of a statement or item without a body."""
    match node:
        case ast.Assign(value=right):
            return None if isinstance(right, ast.Scan) else (_assigned(node), value(right))
        case ast.Return(value=right):
            return None if isinstance(right, ast.Scan) else ("return ", value(right))
        case ast.Param():
            return _typed(node, "param")
        case ast.State():
            return _typed(node, "state")
        case ast.Update():
            return _equals(f"update {node.name.id}", expression(node.value))
        case ast.Emit():
            return _emit(node)
        case ast.Use():
            return _use(node)
        case ast.Const():
            return ("const ", join((_equals(bind.name.id, expression(bind.value)) for bind in node.binds), ", "))
        case ast.Dataset():
            head = (f"dataset {node.name}", _statics(node.statics))
            return (head, _continued("-> ", _results(node.results)))
        case ast.Check():
            return ("check ", expression(node.claim))
        case ast.Entry():
            return _equals(".".join(node.key), expression(node.value))
    return None


# ---------------------------------------------------------------- chunks
@dataclass(frozen=True)
class _Writer:
    """Statements and items as chunks. Braces are looked up in the source, for the comments beside them."""

    module: ast.Module

    def item(self, node: ast.Item) -> list[Chunk]:
        """An item; one of several lines wants blank lines around it."""
        chunks = list(self.statement(node, 0))
        if sum(len(chunk.lines) for chunk in chunks) > 1:
            chunks[0] = replace(chunks[0], before=True)
            chunks[-1] = replace(chunks[-1], after=True)
        return chunks

    def statement(self, node: Node, indent: int) -> Iterator[Chunk]:
        """A statement, item or entry with all that is in it."""
        doc = _simple(node)
        if doc is not None:
            yield Chunk(tuple(render(doc, WIDTH, indent)), node.span.start, node.span.end, indent)
        elif isinstance(node, ast.Definition):
            yield from self.definition(node, indent)
        elif isinstance(node, ast.If | ast.When):
            yield from self.branches(node, indent)
        else:
            header, body = _header(node)
            close = yield from self.block(header, body, node.span.start, indent)
            yield self.closing(close, indent)

    def definition(self, node: ast.Definition, indent: int) -> Iterator[Chunk]:
        """Annotations, signature, body, and the body of `grad`."""
        for note in node.annotations:
            yield Chunk(tuple(render(_annotation(note), WIDTH, indent)), note.span.start, note.span.end, indent)
        start = node.annotations[-1].span.end if node.annotations else node.span.start
        start = self.past(_SPACE, start)
        line = self.one_line(node, indent)
        if line:
            yield Chunk((line,), start, node.span.end, indent)
            return
        close = yield from self.block(_signature(node), node.body, start, indent)
        if node.adjoint:
            header = ("} grad ", bracketed("(", map(_parameter, node.adjoint.params), ")"))
            close = yield from self.block(header, node.adjoint.body, close, indent)
        yield self.closing(close, indent)

    def one_line(self, node: ast.Definition, indent: int) -> str:
        """`fn f(x: [B]) -> [B] { return x }`, or nothing."""
        if node.kind != "fn" or node.adjoint or len(node.body) != 1 or not isinstance(node.body[0], ast.Return):
            return ""
        commented = any(node.span.start <= comment.span.start < node.span.end for comment in self.module.comments)
        doc = _simple(node.body[0])
        if commented or doc is None:
            return ""
        line = " " * indent + flat((_signature(node), " { ", doc, " }"))
        return line if len(line) <= WIDTH else ""

    def branches(self, node: ast.If | ast.When, indent: int) -> Iterator[Chunk]:
        """`if … { … } else if … { … } else { … }`; also `when`."""
        close = yield from self.block(_test(node), node.then, node.span.start, indent)
        while node.other is not None:
            chained = node.other[0] if isinstance(node, ast.If) and len(node.other) == 1 else None
            if not isinstance(chained, ast.If):
                close = yield from self.block("} else", node.other, close, indent)
                break
            node = chained
            close = yield from self.block(("} else ", _test(node)), node.then, close, indent)
        yield self.closing(close, indent)

    def block(self, header: Doc, body: Iterable[Node], start: int, indent: int) -> Generator[Chunk, None, int]:
        """A header with `{`, and a body; gives the place of its `}`. `start` is where the header starts."""
        brace = self.past(_BEFORE_BRACE, start)
        lines = tuple(render((header, " {"), WIDTH, indent))
        yield Chunk(lines, start, brace + 1, indent, opens=True, closes=lines[0].lstrip().startswith("}"))
        stop = brace + 1
        for node in body:
            yield from self.statement(node, indent + STEP)
            stop = node.span.end
        return self.past(_SPACE, stop)

    def closing(self, close: int, indent: int) -> Chunk:
        """The `}` at an offset."""
        return Chunk((" " * indent + "}",), close, close + 1, indent, closes=True)

    def past(self, pattern: re.Pattern[str], start: int) -> int:
        """Where the text goes on after a pattern that stands at `start`."""
        match = pattern.match(self.module.source.text, start)
        return match.end() if match else start


def _test(node: ast.If | ast.When) -> Doc:
    return ("if ", expression(node.test)) if isinstance(node, ast.If) else f"when {node.mode}"


def _header(node: Node) -> tuple[Doc, tuple[Node, ...]]:
    """Header and body of what has one body."""
    match node:
        case ast.Assign(value=ast.Scan() as scan):
            return (_assigned(node), _scan(scan)), scan.body
        case ast.Return(value=ast.Scan() as scan):
            return ("return ", _scan(scan)), scan.body
        case ast.Repeat():
            var = f" as {node.var.id}" if node.var else ""
            return ("repeat ", expression(node.count), var, " tied" if node.tied else ""), node.body
        case ast.Train():
            alias = f" as {node.alias.id}" if node.alias else ""
            return f"train {node.model.id}{alias}", node.entries
    raise CompilerError(f"format: no rule for {type(node).__name__}")
