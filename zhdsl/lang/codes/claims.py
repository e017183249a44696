"""Z08xx: claims."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import model

_NET = model("return x -> Dense[4]")

CODES: tuple[Code, ...] = (
    Code(
        "Z0801",
        "a claim does not hold",
        "The spec says `check …`, and it is not so. Both sides are shown. If a `const` was changed with `--set`, "
        "the claim may hold for its own value.",
    ),
    Code(
        "Z0802",
        "no claim",
        "A claim is true or false: `check M.params == 138`, `check shape[M] == [B, 10]`, `check gradient[f]`. It "
        "compares facts about models with numbers.",
        f"{_NET}check M.params\n",
        f"{_NET}check M.params == 20\n",
    ),
    Code(
        "Z0803",
        "a gradient does not hold",
        "The derivative was compared with central differences in float64 at random inputs, and they differ; or it "
        "could not be compared, for the reason that the message gives. For a function with a derivative of its "
        "own, look at its `grad`.",
    ),
)
