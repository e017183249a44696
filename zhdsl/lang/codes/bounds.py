"""Z09xx: what a short text asks for must stay within bounds."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

_LIST = "fn grow[n: int]() {\n  if n == 0 { a = (1, 2) } else { a = grow[n - 1]() }\n  return a + a\n}\n"

CODES: tuple[Code, ...] = (
    Code(
        "Z0901",
        "a whole number is too large",
        "Whole numbers that are known at compile time have 64 bits.",
        f"const A = 2 ^ 70\n{model('return x')}",
        f"const A = 2.0 ^ 70\n{model('return x')}",
    ),
    Code(
        "Z0902",
        "an axis is too long",
        "Positions along an axis are i32, so it has at most 2^31 - 1 elements.",
        model("repeat 60 { x = concat[D](x, x) }\n  return sum[D](x)", result="y: [B]"),
        model("repeat 6 { x = concat[D](x, x) }\n  return sum[D](x)", result="y: [B]"),
    ),
    Code(
        "Z0903",
        "a tensor is too large",
        "An input, a parameter and a state have at most 2^31 elements for each sample, any other tensor 2^48.",
        model("return ids -> Embed[1_000_000, D = 100_000]", "ids: i32[B]", "y: [B, D=100_000]"),
        model("return ids -> Embed[1_000, D = 100]", "ids: i32[B]", "y: [B, D=100]"),
    ),
    Code(
        "Z0904",
        "a tensor has too many axes",
        "A tensor has at most 32 axes.",
        model("return x", f"x: [{', '.join(f'A{i}=1' for i in range(33))}]", "y: [A0=1]"),
    ),
    Code(
        "Z0905",
        "a size is too complicated",
        "Sizes with names in them are compared as polynomials. This one has so many terms that comparing would "
        "take too long. Give some of its names numbers.",
        model("return x * (B + C + D + E) ^ 9", "x: [B, C, D, E]", "y: [B, C, D, E]"),
        model("return x * (B + C + D + E)", "x: [B, C, D, E]", "y: [B, C, D, E]"),
    ),
    Code(
        "Z0906",
        "a list is too long",
        "A list that is known at compile time has at most 10,000 elements, and at most 4 lists stand in one another.",
        f"{_LIST}const L = grow[20]()\n{model('return x')}",
        f"{_LIST}const L = grow[5]()\n{model('return x')}",
    ),
    Code(
        "Z0907",
        "checking takes too long",
        "Blocks and repetitions are written out while a spec is checked; after 400,000 steps it is given up. The "
        "largest networks of the literature stay far below that. What is repeated at run time is a `scan`.",
        model("repeat 1000 { repeat 1000 { x = relu(x) } }\n  return x"),
        model("repeat 10 { repeat 10 { x = relu(x) } }\n  return x"),
    ),
    Code(
        "Z0908",
        "too many imports",
        "Files may use files that use files up to 16 deep, 200 in all.",
    ),
)
