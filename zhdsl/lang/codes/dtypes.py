"""Z05xx: dtypes."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

CODES: tuple[Code, ...] = (
    Code(
        "Z0501",
        "another dtype than declared",
        "A type without a dtype is the program's float. Nothing is converted silently to or from i32 and bool: "
        "write `f32(x)`, `i32(x)`, or compare.",
        model("return argmax[D](x)", result="y: [B]"),
        model("return argmax[D](x)", result="y: i32[B]"),
    ),
    Code(
        "Z0502",
        "two kinds of float meet",
        "Tensors of two explicit kinds of float never mix silently; convert one of them. Numbers in the text take "
        "the dtype of what they meet.",
        model("return x + z", "x: f16[B, D=4], z: f64[B, D=4]", "y: f64[B, D=4]"),
        model("return f64(x) + z", "x: f16[B, D=4], z: f64[B, D=4]", "y: f64[B, D=4]"),
    ),
    Code(
        "Z0503",
        "no bool",
        "`and`, `or`, `not` and the condition of `where` take bool. A comparison makes one: `x != 0`.",
        model("return where(x, 1, 0)", result="y: i32[B, D=4]"),
        model("return where(x > 0, 1, 0)", result="y: i32[B, D=4]"),
    ),
    Code(
        "Z0504",
        "no index",
        "An index is a whole number, or a tensor of dtype i32.",
        model("return x[D=i]", "x: [B, D=4], i: [B]", "y: [B]"),
        model("return x[D=i]", "x: [B, D=4], i: i32[B]", "y: [B]"),
    ),
    Code(
        "Z0505",
        "an unknown dtype",
        "The dtypes are float (also written by leaving it out), f16, bf16, f32, f64, i32, bool.",
        model("return x", "x: float32[B, D=4]"),
        model("return x", "x: [B, D=4]"),
    ),
)
