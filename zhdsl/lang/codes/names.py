"""Z02xx: names, and the files they come from."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

CODES: tuple[Code, ...] = (
    Code(
        "Z0201",
        "an unknown name",
        "Nothing of this name is known here. Names are looked up among the values, statics and sizes of the "
        "definition, then in the file, in the files it uses without `as`, in the library, and among the "
        "primitives. A value that only one branch of `if` or `when` gives is unknown after the other one.",
        model("return x -> Desne[4]"),
        model("return x -> Dense[4]"),
    ),
    Code(
        "Z0202",
        "a name is given twice",
        "Within one file every definition, `const` and recipe has a name of its own, and so have the statics, the "
        "parameters and the results of one definition, and the weights of one block. Two files that are used "
        "without `as` may not give the same name either. A second recipe for a model is named: `train M as quick`.",
        f"const N = 4\nconst N = 8\n{model('return x')}",
        f"const N = 4\nconst M2 = 8\n{model('return x')}",
    ),
    Code(
        "Z0203",
        "a size or a static is assigned",
        "Statics and the names of sizes are known at compile time and keep their value. A tensor needs a name of "
        "its own: where `T` is the size of an axis, `T = x * 2` would make every later `T` mean something else.",
        model("D = x * 2\n  return x"),
        model("y = x * 2\n  return x"),
    ),
    Code(
        "Z0204",
        "a const is defined by itself",
        "The value of a `const` is needed to know its value. The message shows the circle.",
        f"const A = C + 1, C = A * 2\n{model('return x')}",
        f"const A = C + 1, C = 4\n{model('return x')}",
    ),
    Code(
        "Z0205",
        "nothing to import",
        "`use std.layers` names a file of the library, though its definitions are known without it. Your own files "
        'are imported by their path in quotes, relative to the file: `use "nets.zh"`. A text that is not in a file '
        "can import none.",
        f"use std.layer\n{model('return x')}",
        f"use std.layers\n{model('return x')}",
    ),
    Code(
        "Z0206",
        "files import each other",
        "A file cannot use itself, neither directly nor through others: there is no order in which to read them. "
        "Put what both need into a third file.",
    ),
    Code(
        "Z0208",
        "no such part",
        "After `.` stands an axis of a tensor (its size), a parameter or state of an instance of a block, a name "
        "of an imported file, or in a claim a fact about a model. Parameters exist from the first call of the "
        "instance on, since their sizes come from it.",
        model("e = Embed[100, D]\n  y = e(i32(x[D=0]))\n  return y + e.w[V=0]"),
        model("e = Embed[100, D]\n  y = e(i32(x[D=0]))\n  return y + e.W[V=0]"),
    ),
    Code(
        "Z0210",
        "--set names no const",
        "`--set NAME=value` gives a `const` of the spec another value, or one of an imported file: `--set "
        "nets.D=64`. There is none of this name.",
    ),
    Code(
        "Z0211",
        "--set gives a value of another kind",
        "A `const` keeps its kind: a whole number stays one, a string a string. A `const` that is a block cannot "
        "be set.",
    ),
)
