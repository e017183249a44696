"""Z03xx: axes and their sizes."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

_TWO = "x: [B, D=4], z: [B, D=3]"
_LETTERS = "x: [B, P=4, Q=4]"

CODES: tuple[Code, ...] = (
    Code(
        "Z0301",
        "an axis without a name",
        "Every axis has a name, the size alone is not enough: `[B, D=784]`. A model and a data set write all their "
        "axes out, without rests, since data come into them.",
        model("return x", "x: [B, 4]"),
        model("return x", "x: [B, D=4]"),
    ),
    Code(
        "Z0302",
        "no such axis",
        "The tensor has no axis of this name. The message shows the axes it has, in order, with their sizes. Axes "
        "are renamed with `x[T as K]`.",
        model("return softmax[K](x)"),
        model("return softmax[D](x)"),
    ),
    Code(
        "Z0303",
        "two rests",
        "A rest `...A` takes all axes that are left, so of two in one parameter nobody could say where the first "
        "ends. Make one of them a static: `fn f[...R](x: [...A, ...R])` is called as `f[H, W](x)`.",
        f"fn f(x: [...A, ...R]) -> [...A] {{ return sum[...R](x) }}\n{model('return x')}",
        f"fn f[...R](x: [...A, ...R]) -> [...A] {{ return sum[...R](x) }}\n{model('return x')}",
    ),
    Code(
        "Z0311",
        "two axes of one name",
        "The axes of a tensor have different names. The second of two that are alike gets a prime, `[T, T']`; its "
        "size is that of `T`. An axis is named once in `sum[…]` and the like.",
        model("return sum[D, D](x)", result="y: [B]"),
        model("return sum[D](x)", result="y: [B]"),
    ),
    Code(
        "Z0312",
        "axes do not agree",
        "Two tensors meet and both have this axis, with different sizes. An axis that one of them lacks is no "
        "mistake: the tensor is repeated along it. But nothing is stretched: a size of 1 is a size like any other. "
        "The marks show both types and where they come from.",
        model("return x + z", _TWO),
        model("return x + z", "x: [B, D=4], z: [B, D=4]"),
    ),
    Code(
        "Z0313",
        "sizes are not provably equal",
        "Both sizes are only known when data come, and nothing says that they are equal. If they always are, say "
        "so in the signature, `require S == T`: it is tested when the sizes are known, and is a fact from there "
        "on.",
        "fn f(x: [B, T], z: [B, U]) -> [B, T] { return x + z[U as T] }\n"
        "model M(x: [B, S], z: [B, U]) -> y: [B, S] { return f(x, z) }\n",
        "fn f(x: [B, T], z: [B, U]) -> [B, T] require U == T { return x + z[U as T] }\n"
        "model M(x: [B, S], z: [B, U]) -> y: [B, S] { return f(x, z) }\n",
    ),
    Code(
        "Z0314",
        "`@` is ambiguous",
        "`a @ b` sums over the last axis of a and the first of b. If these have different names and a also has the "
        "first axis of b, two readings are possible. Write what is summed: `sum[E](q * k)`; it is as fast.",
        model("return q @ k", "q: [B, Q, E=8], k: [B, E=8, K]", "y: [B, Q, K]"),
        model("return sum[E](q * k)", "q: [B, Q, E=8], k: [B, E=8, K]", "y: [B, Q, K]"),
    ),
    Code(
        "Z0315",
        "`@` sums axes of different sizes",
        "`a @ b` sums over the last axis of a and the first of b. Their names may differ, their sizes not. Check "
        "the order of the axes, or write `sum[D](a * b)`, which goes by name.",
        model("return x @ w", "x: [B, D=4], w: [N=3, D=4]", "y: [B, N=3]"),
        model("return sum[D](x * w)", "x: [B, D=4], w: [N=3, D=4]", "y: [B, N=3]"),
    ),
    Code(
        "Z0316",
        "the wrong number of axes",
        "The axes of an argument are bound to those of the parameter in order, so there must be as many; only a "
        "rest `...A` takes any number. `merge` joins axes, `sum` and `mean` take one away, `expand` adds one.",
        model("return x -> LSTM[4]", result="y: [B, D=4]"),
        model("return x -> LSTM[4]", "x: [B, T=3, D=4]", "y: [B, T=3, D=4]"),
    ),
    Code(
        "Z0317",
        "axes cross",
        "Axes are bound in order, whatever their names. Here an axis would be bound to another name although the "
        "parameter has an axis of its own name: surely the order is meant otherwise. Give the order with a type, "
        "or rename the axis if the order is right.",
        model("return attention(x, x, x)", "x: [B, H=2, Q=3, E=4]", "y: [B, H=2, Q=3, E=4]"),
        model(
            "q: [B, Q, H, E] = x\n  return attention(q, q[Q as K], q[Q as K])",
            "x: [B, H=2, Q=3, E=4]",
            "y: [B, H=2, Q=3, E=4]",
        ),
    ),
    Code(
        "Z0318",
        "one axis is bound to two",
        "A definition uses one name for an axis of two parameters, and is given tensors with two different axes "
        "there. If they are the same thing, rename one: `f(x, z[S as T])`.",
        model("return mse(x, z)", "x: [B, N=1], z: [B]", "y: []"),
        model("return mse(x[N=0], z)", "x: [B, N=1], z: [B]", "y: []"),
    ),
    Code(
        "Z0319",
        "a value has other axes than its type",
        "A type at `=` or at a result says which axes the value has. Axes of the same name match, what is left "
        "over is renamed in order if the sizes are equal. Here an axis is missing, left over, or of another size.",
        model("return x -> Dense[11]", result="y: [B, K=10]"),
        model("return x -> Dense[10]", result="y: [B, K=10]"),
    ),
    Code(
        "Z0320",
        "which axis is which?",
        "Two axes that a type renames have the same size, so their order decides, and it is easily taken the wrong "
        "way. Say it: `x[P as H, Q as W]`.",
        model("return x", _LETTERS, "y: [B, H=4, W=4]"),
        model("return x[P as H, Q as W]", _LETTERS, "y: [B, H=4, W=4]"),
    ),
    Code(
        "Z0321",
        "an argument's axis has another size",
        "The signature gives this axis a size, by a number, an expression, or a `const` of the axis's name in the "
        "same file.",
        "fn f(x: [B, D=8]) -> [B] { return sum[D](x) }\n" + model("return f(x)", result="y: [B]"),
        "fn f(x: [B, D=4]) -> [B] { return sum[D](x) }\n" + model("return f(x)", result="y: [B]"),
    ),
    Code(
        "Z0322",
        "the size of an axis is not known here",
        "What makes a new axis must say how long it is: `iota[K = 10]`, `zeros[B, N = 4]`. A bare name stands for "
        "a size of that name: a static, a `const`, or an axis of the signature. `x.T` is the size of an axis of x.",
        model("return x + iota[K]", result="y: [B, D=4, K=3]"),
        model("return x + iota[K = 3]", result="y: [B, D=4, K=3]"),
    ),
    Code(
        "Z0323",
        "a number without a value",
        "This has no value that a number can hold: a division by zero, the logarithm of a negative number, a "
        "result beyond the largest float.",
        f"const A = 1 // 0\n{model('return x')}",
        f"const A = 1 // 2\n{model('return x')}",
    ),
    Code(
        "Z0324",
        "a number out of its range",
        "Sizes are at least 0, those of inputs and weights at least 1, and so are strides and dilations. Padding "
        "cannot be negative: to take something away, slice.",
        model("return pad[D = -1](x)", result="y: [B, D=2]"),
        model("return x[D=1..3]", result="y: [B, D=2]"),
    ),
    Code(
        "Z0325",
        "not known at compile time",
        "`if`, the choice in an expression, the count of `repeat` and the like are decided before there are data. "
        "The size of an axis whose size is a mere name is known only then. Give it a number in the model's "
        "signature, or use what is decided at run time: `where`, `scan`.",
        model("if T > 3 { x = relu(x) }\n  return x", "x: [B, T]", "y: [B, T]"),
        model("if T > 3 { x = relu(x) }\n  return x", "x: [B, T=4]", "y: [B, T=4]"),
    ),
    Code(
        "Z0326",
        "a split that does not come out even",
        "The sizes of the parts multiplied must give the size of the axis. One part may be left without a size, it "
        "gets what is left.",
        model("return split[D = (H = 3, E)](x)", "x: [B, D=10]", "y: [B, H=3, E=3]"),
        model("return split[D = (H = 2, E)](x)", "x: [B, D=10]", "y: [B, H=2, E=5]"),
    ),
    Code(
        "Z0327",
        "outside of an axis",
        "Positions count from 0 to the size less 1; -1 is the last one. A slice `T=a..b` goes from a to b, b not "
        "included.",
        model("return x[D=4]", result="y: [B]"),
        model("return x[D=3]", result="y: [B]"),
    ),
    Code(
        "Z0328",
        "a window does not fit",
        "The window with its dilation reaches farther than the axis with its padding: there is not one position "
        "for it. Often a picture has become smaller than expected by strides and pools before.",
        model("return image -> maxpool[4]", "image: [B, C=1, H=3, W=3]", "y: [B, C=1, H, W]"),
        model("return image -> maxpool[3]", "image: [B, C=1, H=3, W=3]", "y: [B, C=1, H=1, W=1]"),
    ),
    Code(
        "Z0329",
        "an operation that cannot be made",
        "The operation does not take these operands, for the reason that the message gives.",
        model("return sum(scatter[V = 3](x, i))", "x: [B, D=4], i: i32[K=2]", "y: []"),
        model("return sum(scatter[V = 3](x, i))", "x: [B, D=4], i: i32[D=4]", "y: []"),
    ),
    Code(
        "Z0330",
        "a requirement is not met",
        "The definition states in its signature what must hold of its sizes, and it does not. The message shows "
        "the values.",
        model("return x -> SelfAttention[3]", "x: [B, T=2, D=4]", "y: [B, T=2, D=4]"),
        model("return x -> SelfAttention[2]", "x: [B, T=2, D=4]", "y: [B, T=2, D=4]"),
    ),
)
