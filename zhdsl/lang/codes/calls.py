"""Z04xx: calls, arguments, statics."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

_SEQUENCE = "x: [B, T=3, D=4]"

CODES: tuple[Code, ...] = (
    Code(
        "Z0401",
        "options in ( )",
        "`[ ]` is known at compile time: sizes, axes, options, functions. `( )` holds tensors. A layer is "
        "`Dense[5]`, and `x -> Dense[5]` or `Dense[5](x)` applies it.",
        model("return x -> Dense(4)"),
        model("return x -> Dense[4]"),
    ),
    Code(
        "Z0402",
        "something is missing in a call",
        "The message names the tensors, or the axes and sizes in [ ], that are still wanted.",
        model("return where(x > 0, x)"),
        model("return where(x > 0, x, 0)"),
    ),
    Code(
        "Z0403",
        "more than is taken",
        "The definition takes fewer tensors in ( ), or fewer statics in [ ]. A call with several results gives all "
        "of them at once: name them first, `h, c = f(x)`.",
        model("return relu(x, x)"),
        model("return relu(x)"),
    ),
    Code(
        "Z0404",
        "an argument by an unknown name",
        "No static in [ ], or no tensor in ( ), has this name, or it is given twice.",
        model("return x -> Dense[4, activation = relu]"),
        model("return x -> Dense[4] -> relu"),
    ),
    Code(
        "Z0405",
        "a static is missing",
        "A static without a default value must be given. A model is an entry point that nobody calls, so all of "
        "its statics need a default.",
        model("return x -> Dense"),
        model("return x -> Dense[4]"),
    ),
    Code(
        "Z0406",
        "something else is wanted",
        "The value is of another kind: a number is wanted and a tensor, a string or true or false is given, or the "
        "other way round. What stands in [ ], at `if`, `repeat` and `const` is known at compile time.",
        model("return x -> Dense[4.5]"),
        model("return x -> Dense[4]"),
    ),
    Code(
        "Z0407",
        "not a function",
        "Only functions, blocks and primitives are called with ( ) or by a pipe, and only they and tensors and "
        "lists take [ ]. A tensor is indexed in [ ], by the name of an axis: `x[T=0]`.",
        model("return x(0)", result="y: [B]"),
        model("return x[D=0]", result="y: [B]"),
    ),
    Code(
        "Z0408",
        "an index without its axis",
        "Axes have names and no positions: `x[T=0]`, `x[T=1..]`, `x[T=ids]`. In a `scan t over T`, `x[t]` is the "
        "current slice. Ranges and rests stand in an index only.",
        model("return x[0]", result="y: [D=4]"),
        model("return x[B=0]", result="y: [D=4]"),
    ),
    Code(
        "Z0409",
        "an unknown kind of static",
        "After `:` in [ ] stands a kind: axis, axes, int, float, bool, str, ints, floats, strs, init, fn, layer, "
        "path. Without one the static is any value.",
        f"fn f[n: integer](x: [B, D]) -> [B, D] {{ return x * n }}\n{model('return x')}",
        f"fn f[n: int](x: [B, D]) -> [B, D] {{ return x * n }}\n{model('return x')}",
    ),
    Code(
        "Z0410",
        "a model is called",
        "A model is an entry point: data go in, results come out. What is used inside of others is a `block`, or a "
        "`fn` if it has no parameters.",
        f"model A(x: [B, D=4]) -> y: [B, D=4] {{ return x }}\n{model('return A(x)')}",
        f"block A(x: [B, D]) -> [B, D] {{ return x }}\n{model('return A(x)')}",
    ),
    Code(
        "Z0411",
        "no tensor",
        "A tensor or a number is wanted here, and the value is something else: a function that was not called, a "
        "string, several values at once, the index of a scan.",
        model("return relu(sigmoid)"),
        model("return relu(sigmoid(x))"),
    ),
    Code(
        "Z0412",
        "calls too deep",
        "Definitions are elaborated where they are called. One that calls itself needs an `if` that ends it, "
        "decided at compile time: `if n == 0 { return x } else { return x -> Level[n - 1] }`.",
        "block Deep(x: [B, D]) -> [B, D] { return x -> Deep }\n" + model("return x -> Deep"),
        "block Deep[n: int](x: [B, D]) -> [B, D] {\n  if n > 0 { x = x -> Deep[n - 1] }\n  return x\n}\n"
        + model("return x -> Deep[3]"),
    ),
    Code(
        "Z0413",
        "a wrong derivative of one's own",
        "`grad (dy)` after a function takes one cotangent for each result and returns one gradient for each float "
        "parameter, in order, with the axes of that parameter.",
        "fn f(x: [...A], z: [...A]) -> [...A] { return x * z } grad (dy) { return dy * z }\n" + model("return f(x, x)"),
        "fn f(x: [...A], z: [...A]) -> [...A] { return x * z } grad (dy) { return dy * z, dy * x }\n"
        + model("return f(x, x)"),
    ),
    Code(
        "Z0414",
        "another number of values",
        "As many names stand left of `=` as there are values, and a definition returns as many as it declares.",
        model("h, c = x -> LSTM[4]\n  return h", _SEQUENCE, "y: [B, T=3, D=4]"),
        model("h = x -> LSTM[4]\n  return h", _SEQUENCE, "y: [B, T=3, D=4]"),
    ),
)
