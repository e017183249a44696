"""How formulas are written: LaTeX for a page, text for a terminal.

A dialect turns parts that are written already into one piece. Names are a base, what stands above it (the path of a
parameter, the number of a value) and indices.
"""

from __future__ import annotations

from collections.abc import Sequence

LATEX_FUNCTIONS = {"tanh": r"\tanh", "exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos", "max": r"\max"}
LATEX_FUNCTIONS |= {"min": r"\min", "sigmoid": r"\sigma"}
RELATIONS = {"==": "=", "!=": r"\ne", "<=": r"\le", ">=": r"\ge", "<": "<", ">": ">", "and": r"\land", "or": r"\lor"}
RELATIONS |= {"%": r"\bmod", "//": r"\div"}


class Latex:
    """LaTeX that GitHub, KaTeX and MathJax take."""

    space = r"\,"
    delta = r"\delta "
    inf = r"\infty"
    equals = " = "
    dot = r"\,"
    times = ""

    def name(self, base: str, above: str, indices: Sequence[str]) -> str:
        bare = base.rstrip("'")
        core = (bare if len(bare) == 1 else rf"\mathrm{{{_escaped(bare)}}}") + base[len(bare) :]
        core += f"^{{{above if above.startswith('(') else _roman(above)}}}" if above else ""
        return core + self.below(indices)

    def below(self, indices: Sequence[str]) -> str:
        long = any(len(i.replace("'", "")) > 1 for i in indices)
        return f"_{{{(',' if long else ' ').join(indices)}}}" if indices else ""

    def index(self, label: str) -> str:
        bare = label.rstrip("'")
        return (bare.lower() if len(bare) == 1 else rf"\mathrm{{{_escaped(bare.lower())}}}") + "'" * (
            len(label) - len(bare)
        )

    def word(self, text: str) -> str:
        return text if len(text) == 1 else rf"\mathrm{{{_escaped(text)}}}"

    def sum(self, indices: Sequence[str], body: str, mean: str = "") -> str:
        over = f"\\frac{{1}}{{{mean}}} " if mean else ""
        return rf"{over}\sum_{{{' '.join(indices)}}} {body}"

    def fraction(self, over: str, under: str) -> str:
        return rf"\frac{{{over}}}{{{under}}}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def root(self, body: str) -> str:
        return rf"\sqrt{{{body}}}"

    def call(self, name: str, indices: Sequence[str], args: Sequence[str]) -> str:
        head = LATEX_FUNCTIONS.get(name) or rf"\operatorname{{{_escaped(name)}}}"
        return f"{head}{self.below(indices)}{self.group(', '.join(args))}"

    def group(self, body: str) -> str:
        return rf"\left({body}\right)"

    def truth(self, body: str) -> str:
        return rf"\left[{body}\right]"

    def relation(self, op: str) -> str:
        return f" {RELATIONS[op]} "

    def at(self, body: str, places: Sequence[str]) -> str:
        return rf"\left.{body}\right|_{{{', '.join(places)}}}"

    def product(self, left: str, right: str) -> str:
        return rf"{left} \, {right}"

    def number(self, text: str) -> str:
        head, e, exponent = text.partition("e")
        power = f"10^{{{int(exponent)}}}" if e else ""
        return power if head == "1" and e else rf"{head} \cdot {power}" if e else text

    def loop(self, index: str, first: str, last: str) -> str:
        return rf"\text{{for }} {index} = {first}, \dots, {last}:"


class Plain:
    """Text in Unicode that can be read back: `y[b,c] = Σ{n} a[b,n] · W[n,c] + b[c]`."""

    space = " "
    delta = "δ"
    inf = "∞"
    equals = " = "
    dot = " · "
    times = "*"

    def name(self, base: str, above: str, indices: Sequence[str]) -> str:
        bare = base.rstrip("'")
        numbered = bare + above.strip("()") + base[len(bare) :]
        path = f"{above}.{base}" if above and not above.startswith("(") else numbered
        return path + (f"[{','.join(indices)}]" if indices else "")

    def index(self, label: str) -> str:
        return label.lower()

    def word(self, text: str) -> str:
        return text

    def sum(self, indices: Sequence[str], body: str, mean: str = "") -> str:
        count = f"({mean})" if self.dot in mean else mean
        return (f"1/{count} · " if mean else "") + f"Σ{{{','.join(indices)}}} {body}"

    def fraction(self, over: str, under: str) -> str:
        return f"{over} / {under}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{exponent}"

    def root(self, body: str) -> str:
        return f"sqrt({body})"

    def call(self, name: str, indices: Sequence[str], args: Sequence[str]) -> str:
        return name + (f"{{{','.join(indices)}}}" if indices else "") + f"({', '.join(args)})"

    def group(self, body: str) -> str:
        return f"({body})"

    def truth(self, body: str) -> str:
        return f"[{body}]"

    def relation(self, op: str) -> str:
        return f" {op} "

    def at(self, body: str, places: Sequence[str]) -> str:
        return f"{body}|{{{', '.join(places)}}}"

    def product(self, left: str, right: str) -> str:
        return f"{left} · {right}"

    def number(self, text: str) -> str:
        return text

    def loop(self, index: str, first: str, last: str) -> str:
        return f"for {index} = {first}, …, {last}:"


Dialect = Latex | Plain


def _escaped(text: str) -> str:
    """A word in LaTeX; an underscore would be taken for Markdown's where the page is written in it."""
    return text.replace("_", r"\,")


def _roman(text: str) -> str:
    return rf"\mathrm{{{_escaped(text)}}}"
