"""Broken specs by the thousand: real ones with parts taken out, doubled, swapped, or replaced by parts of others.

Most changes keep to the grammar, so that they reach the checker; `soup` does not care.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from typing import Any

from zhdsl.errors import SpecError
from zhdsl.lang import ast
from zhdsl.lang.codes import CODES
from zhdsl.lang.layout import WORDS
from zhdsl.lang.parser import parse
from zhdsl.source import Source


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(text.split())


ROOT = Path(__file__).parents[2]
TOKEN = re.compile(
    r"#[^\n]*|\"[^\"\n]*\"|[A-Za-z_]\w*'*|\d[\d_.]*(?:e-?\d+)?|\.\.\.|->|//|[<>=!]=|\.\.|\n|[^\s\w]|[ \t]+"
)
NUMBERS = words(
    "0 1 2 3 -1 16 17 0.5 1.5 -0.1 1e-300 1e300 inf -inf 64 65 1000 10_000 4096 2147483647 2147483648 4294967296 "
    "1_000_000_000_000_000_000 4611686018427387904 9223372036854775807 (2^31) (2^61) (-1) (0) true none (B) (1,2) (1/3)"
)
OPERATORS = words("+ - * / // % @ ^ < <= > >= == != and or")
KINDS = words("axis axes int float bool str ints floats strs init fn layer path")
VOCABULARY = [
    *sorted(WORDS),
    *OPERATORS,
    *words("( ) [ ] { } , = : . .. ... -> \" ' # @ _ ; !"),
    *"\n\n\n\n",
    *NUMBERS,
    *KINDS,
    *words(
        "B T D C H W K N S x y h c i32 bool f32 relu Dense Conv softmax sum mean concat window split merge iota zeros"
    ),
    *words("glorot LSTM adam cross_entropy digits data loss optimizer metric batch image label logits T' S' gradient"),
]


@dataclass(frozen=True)
class Part:
    """A stretch of a text that is one construct of the language."""

    kind: str
    start: int
    end: int
    text: str


IMAGE, SERIES, ROWS = "x: [B, C=4, H=6, W=6]", "x: [B, T=3, D=4]", "x: [B, D=4]"
USES = {  # blocks of the library in use: inputs of a model, and the call
    "Dense": (ROWS, "x -> Dense[3, bias = none]"),
    "Embed": ("ids: i32[B, T=3]", "ids -> Embed[7, D = 4]"),
    "Bilinear": ("x: [B, D=4], z: [B, E=3]", "Bilinear[2](x, z)"),
    "Dropout": (ROWS, "x -> Dropout[0.1]"),
    "PReLU": (IMAGE, "x -> PReLU"),
    "Highway": (ROWS, "x -> Highway[bias = -1]"),
    "Residual": (ROWS, "x -> Residual[Dense[4]]"),
    "BatchNorm": (IMAGE, "x -> BatchNorm[momentum = 0.5]"),
    "LayerNorm": (ROWS, "x -> LayerNorm"),
    "RMSNorm": (ROWS, "x -> RMSNorm"),
    "GroupNorm": (IMAGE, "x -> GroupNorm[2]"),
    "InstanceNorm": (IMAGE, "x -> InstanceNorm"),
    "Conv": (IMAGE, 'x -> Conv[6, 3, stride = 2, groups = 2, pad = "valid"]'),
    "Depthwise": (IMAGE, "x -> Depthwise[3, dilation = 2]"),
    "Separable": (IMAGE, "x -> Separable[5, 3]"),
    "ConvTranspose": (IMAGE, "x -> ConvTranspose[3, 2, stride = 2]"),
    "SqueezeExcite": (IMAGE, "x -> SqueezeExcite[2]"),
    "MultiHead": ("x: [B, T=3, D=4], m: [B, S=2, D=4]", "MultiHead[2](x, m[S as K])"),
    "SelfAttention": (SERIES, "x -> SelfAttention[2, causal = true]"),
    "Bahdanau": ("s: [B, U=3], m: [B, K=4, D=5]", "Bahdanau[2](s, m)"),
    "Luong": ("s: [B, U=3], m: [B, K=4, D=5]", "Luong(s, m)"),
    "Positions": (SERIES, "x -> Positions[8]"),
    "FeedForward": (SERIES, "x -> FeedForward[8]"),
    "EncoderLayer": (SERIES, "x -> EncoderLayer[2, 8, first = true]"),
    "DecoderLayer": ("y: [B, T=3, D=4], m: [B, S=2, M=4]", "DecoderLayer[2, 8](y, m)"),
    "Encoder": (SERIES, "x -> Encoder[2, 2, 8]"),
    "Decoder": ("y: [B, T=3, D=4], m: [B, S=2, M=4]", "Decoder[2, 2, 8](y, m)"),
    "Patches": (IMAGE, "x -> Patches[3, 5]"),
    "RNNCell": ("x: [B, D=4], h: [B, N=2]", "RNNCell[2](x, h)"),
    "LSTMCell": ("x: [B, D=4], h: [B, N=2], c: [B, N=2]", "LSTMCell[2](x, h, c)"),
    "GRUCell": ("x: [B, D=4], h: [B, N=2]", "GRUCell[2](x, h)"),
    "RNN": (SERIES, "x -> RNN[2]"),
    "GRU": (SERIES, "x -> GRU[2]"),
    "LSTM": (SERIES, "x -> LSTM[2, forget = 1]"),
    "LSTMFrom": ("x: [B, T=3, D=4], h: [B, N=2]", "LSTMFrom[2](x, h, h)"),
    "Bidirectional": (SERIES, "x -> Bidirectional[GRU[2]]"),
    "Stack": (SERIES, "x -> Stack[RNN[4], 2]"),
    "sgd": ("w: [D=4], g: [D=4], rate: []", "sgd[lr = 0.1, momentum = 0.9](w, g, rate)"),
    "adam": ("w: [D=4], g: [D=4], rate: [], step: i32[]", "adam[decay = 0.1](w, g, rate, step)"),
}


@cache
def corpus() -> tuple[str, ...]:
    """All specs, the texts that explain the codes, broken specs, and every definition of the library in some use."""
    texts = [p.read_text("utf-8") for p in sorted((ROOT / "specs").rglob("*.zh"))]
    texts += [text for code in CODES.values() if code.code >= "Z02" for text in (code.mended, code.example) if text]
    texts += [p.read_text("utf-8", "ignore") for p in sorted((ROOT / "tests" / "lang" / "broken").glob("*.zh"))]
    texts += [f"model M({inputs}) {{\n  y = {call}\n  return y\n}}\n" for inputs, call in USES.values()]
    for path in sorted((ROOT / "zhdsl" / "lang" / "stdlib").glob("*.zh")):
        for item in parse(Source(path.name, path.read_text("utf-8"))).items:
            if isinstance(item, ast.Definition):
                texts.append(f"{item.span.text}\n\n{_use(item)}\n")
    return tuple(sorted(texts, key=len))


def _use(item: ast.Definition) -> str:
    """What makes the checker look into a definition."""
    if item.name in USES:
        inputs, call = USES[item.name]
        return f"model M({inputs}) {{ return {call} }}"
    return f"check gradient[{item.name}]"


@lru_cache(1000)
def parts(text: str) -> tuple[Part, ...]:
    """All constructs of a text; none if it does not parse."""
    try:
        module = parse(Source("t.zh", text))
    except SpecError:
        return ()
    return tuple(part for item in module.items for part in _parts(item))


def _parts(root: ast.Syntax) -> Iterator[Part]:
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        elif isinstance(node, ast.Syntax):
            yield Part(_kind(node), node.span.start, node.span.end, node.span.text)
            stack.extend(getattr(node, f.name) for f in fields(node))


def _kind(node: ast.Syntax) -> str:
    if isinstance(node, ast.Expr):
        return "name" if isinstance(node, ast.Name) else "number" if isinstance(node, ast.Number) else "value"
    if isinstance(node, ast.Stmt):
        return "statement"
    if isinstance(node, ast.Item):
        return "item"
    return type(node).__name__


# ---------------------------------------------------------------- changes
def changed(random: Random, text: str) -> str:
    """The text with one change, mostly one that the grammar allows."""
    for _ in range(5):
        new = _changed(random, text)
        if parts(new) or random.random() < 0.05:
            return new
    return text


def _changed(random: Random, text: str) -> str:
    found = parts(text)
    if not found or random.random() < 0.15:
        return _tokens_changed(random, text)
    part = random.choice(found)
    change = random.choice(
        (_replaced, _replaced, _replaced, _removed, _doubled, _swapped, _extreme, _renamed, _operator)
    )
    return change(random, text, part, found)


def _put(text: str, part: Part, new: str) -> str:
    return text[: part.start] + new + text[part.end :]


def _replaced(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    """A part of the same kind, from here or from anywhere."""
    source = found if random.random() < 0.7 else parts(random.choice(corpus())) or found
    kinds = {"name", "number", "value"} if part.kind in ("name", "number", "value") else {part.kind}
    like = [p for p in source if p.kind in kinds and p.text != part.text and len(p.text) < 400]
    if not like:
        return _removed(random, text, part, found)
    new = random.choice(like).text
    return _put(text, part, f"({new})" if part.kind == "value" and " " in new and random.random() < 0.7 else new)


def _removed(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    before, after = text[: part.start].rstrip(" "), text[part.end :].lstrip(" ")
    if after.startswith(","):
        after = after[1:].lstrip(" ")
    elif before.endswith(","):
        before = before[:-1]
    return before + after


def _doubled(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    between = "\n" if part.kind in ("statement", "item", "Entry") else random.choice((", ", ", ", " + ", " @ ", " -> "))
    return _put(text, part, part.text + between + part.text)


def _swapped(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    other = random.choice([p for p in found if p.kind == part.kind])
    first, second = sorted((part, other), key=lambda p: p.start)
    if first.end > second.start:
        return _put(text, first, second.text)
    return _put(_put(text, second, first.text), first, second.text)


def _extreme(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    numbers = [p for p in found if p.kind in ("number", "name")]
    return _put(text, random.choice(numbers or [part]), random.choice(NUMBERS))


def _renamed(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    words = list(re.finditer(r"[A-Za-z_]\w*'*", text))
    word, other = random.choice(words), random.choice(words)
    new = (
        other[0]
        if random.random() < 0.7
        else random.choice((word[0] + "'", "B", "T", "D", "x", "K", *KINDS, "i32", "bool"))
    )
    return text[: word.start()] + new + text[word.end() :]


def _operator(random: Random, text: str, part: Part, found: tuple[Part, ...]) -> str:
    signs = list(re.finditer(r" (?:[-+*/%@^<>]|//|[<>=!]=|and|or) ", text))
    if not signs:
        return _extreme(random, text, part, found)
    sign = random.choice(signs)
    return text[: sign.start()] + f" {random.choice(OPERATORS)} " + text[sign.end() :]


CHANGES = (_replaced, _replaced, _replaced, _removed, _doubled, _swapped, _extreme, _renamed, _operator)


def _tokens_changed(random: Random, text: str) -> str:
    tokens = TOKEN.findall(text)
    if not tokens:
        return random.choice(VOCABULARY)
    i, j = random.randrange(len(tokens)), random.randrange(len(tokens))
    action = random.randrange(4)
    if action == 0:
        del tokens[i]
    elif action == 1:
        tokens.insert(i, f" {random.choice(VOCABULARY)} ")
    elif action == 2:
        tokens[i], tokens[j] = tokens[j], tokens[i]
    else:
        tokens[i] = random.choice(VOCABULARY)
    return "".join(tokens)


# ---------------------------------------------------------------- texts
def mutant(random: Random, longest: int = 10**9) -> str:
    """A text of the corpus with a few changes."""
    text = random.choice([t for t in corpus() if len(t) <= longest])
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        text = changed(random, text)
    return text


def soup(random: Random) -> str:
    """Words and signs in any order, sometimes in a body."""
    words = " ".join(random.choice(VOCABULARY) for _ in range(random.randrange(1, 40)))
    if random.random() < 0.5:
        return words
    return f"model M(x: [B, D=4], y: i32[B, T]) -> z: [B] {{\n  a = {words}\n  return a\n}}\n"
