"""Z01xx: a text that does not follow the grammar."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code


def _body(line: str) -> str:
    return f"fn f(x: [B, D], y: [B, D]) -> [B, D] {{\n  {line}\n}}\n"


CODES: tuple[Code, ...] = (
    Code(
        "Z0100",
        "something that cannot stand here",
        "The grammar does not allow this word or sign at this place. The help line says what could stand there.",
        _body("return x.3"),
    ),
    Code(
        "Z0101",
        "a line ends too early",
        "A statement ends with its line. Only inside ( ) and [ ], and before a line that begins with `->`, `else`, "
        "`grad` or `require`, it goes on.",
        _body("return"),
    ),
    Code(
        "Z0102",
        "a word of the language as a name",
        "Words such as `over`, `state` or `last` have a meaning of their own and cannot name a value, an axis or a "
        "parameter. They may stand after `.` and before `=` in an argument: `x.state`, `f[over = 2]`.",
        _body("over = x"),
    ),
    Code(
        "Z0103",
        "a bracket is never closed",
        "`(`, `[` and `{` must be closed by `)`, `]` and `}` before what stands around them ends. The second mark "
        "shows where the closing bracket was missed at the latest.",
        _body("return relu(x + (y * x)"),
    ),
    Code(
        "Z0104",
        "a closing bracket too many",
        "This `)`, `]` or `}` closes nothing that is open.",
        _body("return relu[x)"),
    ),
    Code(
        "Z0105",
        "a string is not closed",
        'A string begins and ends with `"` on one line. There are no escapes: a string cannot hold a `"`.',
        'use "layers.zh\n',
    ),
    Code(
        "Z0106",
        "single quotes",
        "Strings stand in double quotes. `'` belongs to the end of a name: `S'` is the axis that goes with `S`.",
        "use 'layers.zh'\n",
    ),
    Code(
        "Z0107",
        "a character that is not of the language",
        "Code is written in ASCII. Other characters may stand in strings and comments.",
        _body("return x × y"),
    ),
    Code(
        "Z0108",
        "the pipe binds last",
        "`a + b -> f` is `f(a + b)`: everything left of `->` goes in. After `->` stands a function, and no operator "
        "may follow it. Put the pipe into ( ), or give it a name first.",
        _body("return x -> relu + y"),
    ),
    Code(
        "Z0109",
        "chained comparisons",
        "A comparison gives true or false, which cannot be compared again. Write two, joined by `and`.",
        _body("return where(0 < x < 1, x, y)"),
    ),
    Code("Z0110", "a semicolon", "A statement ends with its line; there is no `;`.", _body("return x;")),
    Code(
        "Z0111",
        "`=` where a comparison is meant",
        "`=` gives a value to a name, at the start of a line or in an argument. `==` compares.",
        _body("return x if 2 = 3 else y"),
    ),
    Code(
        "Z0112",
        "a word of another language",
        "The language has few words: use, const, fn, block, model, dataset, train, check for items; param, state, "
        "update, repeat, if, when, scan, emit, return in bodies. The help line says which one is meant.",
        "def f(x):\n  return x\n",
    ),
    Code(
        "Z0113",
        "a comma or an operator is missing",
        "Two values stand side by side. In a list they are separated by `,`; elsewhere an operator belongs between "
        "them, or the line ends after the first. Juxtaposition does not multiply.",
        _body("return where(x > 0 x, y)"),
    ),
    Code(
        "Z0114",
        "a line broken at an operator",
        "A line ends its statement, so outside of ( ) and [ ] it can neither end nor begin with an operator. Put the "
        "whole into ( ). Long pipes are broken before `->`, which may begin a line.",
        _body("return x +\n    y"),
    ),
    Code(
        "Z0115",
        "an operator of another language",
        "The operators are + - * / // % @ ^, < <= > >= == !=, and, or, not, and the pipe ->. There is no `+=`: a name "
        "may be bound again, `x = x + 1`.",
        _body("return x ** 2"),
    ),
    Code(
        "Z0117",
        "not a number",
        "A number has digits on both sides of its point: `1.0`, `0.5`. It may have `_` between digits and an exponent: "
        "`10_000`, `1e-4`. A name cannot follow it without an operator.",
        _body("return 2x"),
    ),
    Code(
        "Z0118",
        "an item in a body, or a statement outside of one",
        "Definitions, `const`, `train` and `check` stand at top level. `param`, `state`, `return` and the other "
        "statements stand in the { } of a fn, block or model.",
        "return 3\n",
    ),
    Code(
        "Z0119",
        "a statement inside of an expression",
        "`scan`, `if`, `repeat` and `when` are no expressions. A scan stands alone at the right of `=` or `return`. "
        "The choice in an expression is `a if c else b`, at compile time; at run time it is `where(c, a, b)`.",
        _body("return relu(scan t over D { emit x[t] })"),
    ),
    Code(
        "Z0120",
        "a body is missing",
        "A fn, block, model, `if`, `repeat`, `when` or `scan` has a body in { }. The `{` stands at the end of the line "
        "that begins it.",
        "fn f(x: [B]) -> [B]\n{\n  return x\n}\n",
    ),
    Code(
        "Z0121",
        "an assignment outside of a definition",
        "At top level a value is given a name with `const`. It is known at compile time.",
        "D = 512\n",
    ),
    Code(
        "Z0122",
        "no item",
        "A file is a list of items. Each begins with use, const, fn, block, model, dataset, train or check; an "
        "annotation `@name` stands before a fn, block or model.",
        "modle M(x: [B]) -> y: [B] { return x }\n",
    ),
    Code(
        "Z0123",
        "a value without a name",
        "Nothing happens for its side effect, so a line that is a mere expression would do nothing. Give the value a "
        "name, or return it.",
        _body("relu(x)"),
    ),
    Code(
        "Z0124",
        "a parameter or a state without a type",
        "`param` and `state` own memory, so their axes must be written: `param W: [D, N] = glorot`.",
        _body("param W = glorot"),
    ),
    Code(
        "Z0125",
        "a type without axes",
        "A type is a dtype, which may be left out, and its axes in [ ]: `[B, D]`, `i32[B]`, `f32[]` for one number. A "
        "named result is `-> y: [B, D]`.",
        "fn f(x: f32) -> [] { return x }\n",
    ),
    Code(
        "Z0126",
        "an else without an if",
        "`else` follows the `}` of an `if` or a `when`, or stands in `a if c else b`.",
        _body("z = x\n  else { z = y }"),
    ),
)
