"""Z06xx: definitions, parameters, states, scans."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import block, model

_SERIES = "x: [B, T=4]"


def _scan(head: str, body: str) -> str:
    return model(f"return scan t over {head} {{\n    {body}\n  }}", _SERIES, "y: [B]")


CODES: tuple[Code, ...] = (
    Code(
        "Z0601",
        "a param outside of a block",
        "A `fn` is pure: it owns nothing. What has parameters is a `block`.",
        "fn f(x: [B, D]) -> [B, D] {\n  param a: [D] = ones\n  return a * x\n}\n" + model("return f(x)"),
        "block F(x: [B, D]) -> [B, D] {\n  param a: [D] = ones\n  return a * x\n}\n" + model("return F(x)"),
    ),
    Code(
        "Z0602",
        "the size of a weight is no number",
        "Parameters are made before there are data, so their sizes are numbers: they cannot have the batch axis, "
        "nor any axis whose size is a mere name in the model's signature.",
        model("return x -> Dense[4]", "x: [B, D]"),
        model("return x -> Dense[4]", "x: [B, D=8]"),
    ),
    Code(
        "Z0603",
        "one weight with two sizes",
        "A block that has a name, `f = Dense[4]`, is one instance with one set of parameters. Their sizes come "
        "from its first call and must be the same at all others. Mention `Dense[4]` anew for parameters of its "
        "own.",
        model("f = Dense[4]\n  return f(x) + f(z)", "x: [B, D=4], z: [B, D=3]"),
        model("return Dense[4](x) + Dense[4](z)", "x: [B, D=4], z: [B, D=3]"),
    ),
    Code(
        "Z0604",
        "a state outside of a block",
        "A `fn` is pure: it remembers nothing. What has states is a `block`.",
        "fn f(x: [B, D]) -> [B, D] {\n  state a: [D] = ones\n  return a * x\n}\n" + model("return f(x)"),
        "block F(x: [B, D]) -> [B, D] {\n  state a: [D] = ones\n  return a * x\n}\n" + model("return F(x)"),
    ),
    Code(
        "Z0605",
        "an update of something that is no state",
        "`update mu = …` changes a `state` of the same block. A parameter changes by training only; any other name "
        "is simply assigned again.",
        block("update mu = mean[B](x)\n  return x"),
        block("state mu: [D] = zeros\n  update mu = mean[B](x)\n  return x"),
    ),
    Code(
        "Z0606",
        "a carried value changes its type",
        "What a scan carries, and a state, has the same axes and dtype after each step. Start it with its full "
        "type: `from h = zeros[B, N]`.",
        _scan("T from n = 0", "n = n + x[t]\n    emit last n"),
        _scan("T from n = zeros[B]", "n = n + x[t]\n    emit last n"),
    ),
    Code(
        "Z0607",
        "nothing is returned",
        "A definition ends with `return`. With `if`, every branch that can be taken returns, or the `return` "
        "stands after it.",
        model("y = relu(x)"),
        model("return relu(x)"),
    ),
    Code(
        "Z0608",
        "emit and return",
        "The body of a scan emits, once for each step: `emit y`. A definition returns.",
        _scan("T from h = zeros[B]", "h = h + x[t]\n    return h"),
        _scan("T from h = zeros[B]", "h = h + x[t]\n    emit last h"),
    ),
    Code(
        "Z0609",
        "a slice of something without the scan's axis",
        "In `scan t over T`, `x[t]` is the slice of x at the current step, so x has the axis T.",
        _scan("S from h = zeros[B]", "h = h + x[t]\n    emit last h"),
        _scan("T from h = zeros[B]", "h = h + x[t]\n    emit last h"),
    ),
    Code(
        "Z0610",
        "a scan that emits nothing",
        "A scan's value is what its body emits: `emit y` gives y for every step, along the axis, `emit last h` the "
        "carried h after the last step.",
        _scan("T from h = zeros[B]", "h = h + x[t]"),
        _scan("T from h = zeros[B]", "h = h + x[t]\n    emit last h"),
    ),
    Code(
        "Z0611",
        "last of something that is not carried",
        "`last h` is the value of a carried name after the last step; carried are the names after `from`.",
        _scan("T from h = zeros[B]", "g = h + x[t]\n    emit last g"),
        _scan("T from h = zeros[B]", "h = h + x[t]\n    emit last h"),
    ),
    Code(
        "Z0612",
        "a scan of unknown length",
        "A scan is as long as the axis of the tensors that its body slices. If it slices none, say how long: `over "
        "T = 20`.",
        _scan("K from h = x[T=0]", "h = tanh(h)\n    emit last h"),
        _scan("K = 20 from h = x[T=0]", "h = tanh(h)\n    emit last h"),
    ),
    Code(
        "Z0613",
        "a block in a fn",
        "A `fn` is pure and cannot use what owns parameters. Make it a `block`.",
        "fn f(x: [B, D]) -> [B, D] { return x -> Dense[D] }\n" + model("return f(x)"),
        "block F(x: [B, D]) -> [B, D] { return x -> Dense[D] }\n" + model("return F(x)"),
    ),
    Code(
        "Z0614",
        "a repetition out of range",
        "`repeat n` is written out n times at compile time, 0 to 10,000 of them. What is repeated at run time is a "
        "`scan`.",
        model("repeat 1_000_000 { x = relu(x) }\n  return x"),
        model("repeat 10 { x = relu(x) }\n  return x"),
    ),
    Code(
        "Z0615",
        "a model is too large",
        "After all blocks and repetitions are written out there are more operations, or more instances of blocks, "
        "than can be handled.",
        "block P(x: [B, D]) -> [B, D] { return x }\n"
        + "".join(
            f"block {outer}(x: [B, D]) -> [B, D] {{ return x{f' -> {inner}' * 30} }}\n"
            for outer, inner in ("QP", "RQ", "SR")
        )
        + model("return x -> S"),
    ),
    Code(
        "Z0616",
        "a tied repetition changes a type",
        "`repeat n tied` shares the parameters of all repetitions, so every value it carries has the same type "
        "each time.",
        model("repeat 2 tied { x = concat[D](x, x) }\n  return x", result="y: [B, D=16]"),
        model("repeat 2 { x = concat[D](x, x) }\n  return x", result="y: [B, D=16]"),
    ),
    Code(
        "Z0617",
        "no initial value",
        "A parameter or a state starts from a number or an initialiser, a function without tensors: `zeros`, "
        "`glorot[in = D, out = N]`, `normal_init[std = 0.02]`.",
        block("param a: [D] = relu\n  return a * x"),
        block("param a: [D] = ones\n  return a * x"),
    ),
    Code(
        "Z0618",
        "unreachable statements",
        "Nothing is done after `return`.",
        model("return x\n  y = relu(x)"),
        model("y = relu(x)\n  return y"),
    ),
    Code(
        "Z0620",
        "an unknown annotation",
        "There are two: `@checkpoint` computes a block again in the backward pass instead of keeping its values, "
        "`@precision[bf16]` chooses the float inside of it.",
        f"@checkpoints\n{block('return x')}",
        f"@checkpoint\n{block('return x')}",
    ),
)
