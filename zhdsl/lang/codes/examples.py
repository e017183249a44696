"""Texts around the mistakes that explain the codes: a model, a block in a model, a recipe."""

from __future__ import annotations


def model(body: str, inputs: str = "x: [B, D=4]", result: str = "y: [B, D=4]") -> str:
    """A model with this body."""
    return f"model M({inputs}) -> {result} {{\n  {body}\n}}\n"


def block(body: str, inputs: str = "x: [B, D=4]") -> str:
    """A block on `x: [B, D]` with this body, and a model that calls it."""
    return f"block P(x: [B, D]) -> [B, D] {{\n  {body}\n}}\nmodel M({inputs}) -> y: [B, D=4] {{ return x -> P }}\n"


def recipe(*lines: str, more: str = "optimizer = sgd[lr = 0.1]") -> str:
    """A model for two spirals and its recipe, of which these lines are a part."""
    head = "model M(x: [B, F=2]) -> p: [B, F=1] { return x -> Dense[1] -> sigmoid }\n"
    entries = "".join(f"  {line}\n" for line in (*lines, *filter(None, [more])))
    return f"{head}train M {{\n{entries}}}\n"


DATA = "data = two_spirals[]"
LOSS = "loss = mse(p, y)"
