"""How large a text may be. Each limit has its own error code; all are far above what a person writes.

Everything after the parser may recurse over the tree: `DEPTH` is what makes that safe.
"""

from __future__ import annotations

SIZE = 1_000_000  # characters (and bytes) of one file
LINE = 10_000  # characters of one line
TOKENS = 200_000  # words and signs of one file, comments and line ends included
NESTING = 200  # open brackets at one place
DEPTH = 200  # levels of the syntax tree: `a + b + c` has three, an `else if` adds one
DIGITS = 100  # characters of one number
ERRORS = 20  # diagnostics of one run
