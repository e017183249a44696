"""Sizes of axes: integer expressions over symbols, kept in one canonical form so that equality is a comparison.

A `Size` is a polynomial with rational coefficients. Its atoms are symbols (`B`, `T`) and opaque whole numbers
(`floor`, `mod`, `min`, `max` of sizes). `ceil(q)` is `-floor(-q)`, `a % b` is `a - b * (a // b)`: one form each.

    (2*T + 4) / 2 == T + 2        ceil(ceil(H/2)/2) == ceil(H/4)        (T + 3) // 1 - T == 3

What cannot be decided symbolically raises `Undecided`; the checker turns that into an error or into a guard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

Monomial = tuple["Atom", ...]  # sorted, with repetition: T*T is (T, T)


class Undecided(Exception):
    """A question about sizes that has no answer before the symbols have values."""


@dataclass(frozen=True)
class Applied:
    """An opaque whole number: `function` (`floor`, `floordiv`, `min`, `max`) of sizes."""

    function: str
    args: tuple[Size, ...]

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:  # kept: terms are sorted by it, at every level of nested ones
        if self.function == "floor":
            return _floor_text(self.args[0])
        if self.function == "floordiv":
            return f"({self.args[0]}) // ({self.args[1]})"
        return f"{self.function}({', '.join(map(str, self.args))})"

    @cached_property
    def _hash(self) -> int:
        return hash((self.function, self.args))

    def __hash__(self) -> int:
        return self._hash


Atom = str | Applied


def _order(atom: Atom) -> tuple[int, str]:
    return (0, atom) if isinstance(atom, str) else (1, str(atom))


class Size:
    """An integer expression in canonical form. Hashable; `==` is provable equality, also with `int`."""

    __slots__ = ("__dict__", "terms")

    def __init__(self, terms: Mapping[Monomial, Fraction]):
        kept = ((m, c) for m, c in terms.items() if c)
        self.terms: tuple[tuple[Monomial, Fraction], ...] = tuple(
            sorted(kept, key=lambda t: (-len(t[0]), [_order(a) for a in t[0]]))
        )

    @staticmethod
    def of(value: SizeLike) -> Size:
        """A size from a number, a symbol's name, or itself."""
        if isinstance(value, Size):
            return value
        found = _known.get((type(value), value))
        if found is None:
            found = Size({(value,): Fraction(1)} if isinstance(value, str | Applied) else {(): Fraction(value)})
            if isinstance(value, int | str) and len(_known) < 10_000:
                _known[type(value), value] = found
        return found

    # ------------------------------------------------------------ arithmetic
    def __add__(self, other: SizeLike) -> Size:
        a, b = self.number, other if type(other) is int else Size.of(other).number
        if a is not None and b is not None:
            return Size.of(a + b)
        terms = dict(self.terms)
        for monomial, factor in Size.of(other).terms:
            terms[monomial] = terms.get(monomial, Fraction(0)) + factor
        return Size(terms)

    def __neg__(self) -> Size:
        return Size({m: -c for m, c in self.terms})

    def __sub__(self, other: SizeLike) -> Size:
        return self + -Size.of(other)

    def __rsub__(self, other: SizeLike) -> Size:
        return Size.of(other) - self

    def __mul__(self, other: SizeLike) -> Size:
        a, b = self.number, other if type(other) is int else Size.of(other).number
        if a is not None and b is not None:
            return Size.of(a * b)
        terms: dict[Monomial, Fraction] = {}
        for m1, c1 in self.terms:
            for m2, c2 in Size.of(other).terms:
                monomial = tuple(sorted(m1 + m2, key=_order))
                terms[monomial] = terms.get(monomial, Fraction(0)) + c1 * c2
        return Size(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: SizeLike) -> Size:
        """Exact quotient. Whole only if the caller guards it; raises `Undecided` if it has no polynomial form."""
        divisor = Size.of(other)
        if not divisor.terms:
            raise ZeroDivisionError("a size divided by zero")
        if len(divisor.terms) != 1:
            quotient = self._ratio(divisor)
            if quotient is None:
                raise Undecided(f"{self} / ({divisor})")
            return Size.of(quotient)
        ((monomial, factor),) = divisor.terms
        return Size({_cancel(m, monomial, self, divisor): c / factor for m, c in self.terms})

    def _ratio(self, other: Size) -> Fraction | None:
        """The number r with self == r * other, if there is one."""
        if [m for m, _ in self.terms] != [m for m, _ in other.terms]:
            return None
        ratios = {c / d for (_, c), (_, d) in zip(self.terms, other.terms, strict=True)}
        return ratios.pop() if len(ratios) == 1 else None

    def __floordiv__(self, other: SizeLike) -> Size:
        divisor = Size.of(other)
        try:
            return floor(self / divisor)
        except Undecided:
            return Size.of(Applied("floordiv", (self, divisor)))

    def __rfloordiv__(self, other: SizeLike) -> Size:
        return Size.of(other) // self

    def __mod__(self, other: SizeLike) -> Size:
        return self - Size.of(other) * (self // other)

    def __pow__(self, exponent: int) -> Size:
        result = Size.of(1)
        for _ in range(exponent):
            result = result * self
        return result

    # ------------------------------------------------------------ questions
    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Size | int | Fraction) and self.terms == Size.of(other).terms

    @cached_property
    def _hash(self) -> int:
        return hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def number(self) -> int | None:
        """The value if it has no symbols and is whole, else `None`."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0] and self.terms[0][1].denominator == 1:
            return self.terms[0][1].numerator
        return None

    @property
    def is_whole(self) -> bool:
        """Whether every value is certainly an integer."""
        return all(c.denominator == 1 for _, c in self.terms)

    @property
    def symbols(self) -> frozenset[str]:
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= {atom} if isinstance(atom, str) else frozenset().union(*(a.symbols for a in atom.args))
        return frozenset(found)

    def compare(self, other: SizeLike) -> int:
        """-1, 0 or 1. Raises `Undecided` when it depends on symbols."""
        difference = self - other
        if not difference.terms:
            return 0
        if any(monomial for monomial, _ in difference.terms):
            raise Undecided(f"{self} against {other}")
        return 1 if difference.terms[0][1] > 0 else -1

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The value with every symbol given. Raises `KeyError` (a symbol is missing) or `ValueError` (not whole)."""
        total = Fraction(0)
        for monomial, factor in self.terms:
            total += factor * math.prod(_value(a, sizes) for a in monomial)
        if total.denominator != 1:
            raise ValueError(f"{self} is not a whole number: {total}")
        return total.numerator

    def substitute(self, values: Mapping[str, SizeLike]) -> Size:
        """The size with symbols replaced by sizes."""
        if self.symbols.isdisjoint(values):
            return self
        return self.rewrite(lambda atom: values.get(atom) if isinstance(atom, str) else None)

    def rewrite(self, rule: Callable[[Atom], SizeLike | None]) -> Size:
        """The size with every atom for which `rule` answers replaced, inner ones first."""
        total = Size.of(0)
        for monomial, factor in self.terms:
            product = Size.of(factor)
            for atom in monomial:
                product = product * _rewrite(atom, rule)
            total = total + product
        return total

    def __str__(self) -> str:
        return _sum_text(self.terms)

    def __repr__(self) -> str:
        return f"Size({self})"


_known: dict[object, Size] = {}  # sizes of small values, made once
SizeLike = Size | int | str | Fraction | Applied


def floor(q: Size, divisible: Mapping[Atom, int] | None = None) -> Size:
    """The largest whole number not above q. `divisible` states facts: atom -> a number that divides it."""
    known = divisible or {}

    def whole(term: tuple[Monomial, Fraction]) -> bool:
        return (term[1] * math.prod(known.get(a, 1) for a in term[0])).denominator == 1

    outside = Size(dict(t for t in q.terms if whole(t)))
    rest = q - outside
    if not rest.terms:
        return outside
    if all(not m for m, _ in rest.terms):
        return outside + math.floor(rest.terms[0][1])
    return outside + _merge_floors(rest, known)


def _merge_floors(q: Size, known: Mapping[Atom, int]) -> Size:
    """floor((floor(p) + m) / k) == floor((p + m) / k) for whole m and positive k."""
    for monomial, factor in q.terms:
        if len(monomial) == 1 and isinstance(monomial[0], Applied) and monomial[0].function == "floor":
            k = 1 / factor
            others = (q - Size({monomial: factor})) * k
            if k.denominator == 1 and k > 0 and others.is_whole:
                return floor((monomial[0].args[0] + others) / Size.of(k), known)
    constant = dict(q.terms).get((), Fraction(0))  # keep the constant part of the argument in [0, 1)
    return Size.of(Applied("floor", (q - math.floor(constant),))) + math.floor(constant)


def ceil(q: Size, divisible: Mapping[Atom, int] | None = None) -> Size:
    """The smallest whole number not below q."""
    return -floor(-q, divisible)


def extreme(function: str, args: Iterable[SizeLike]) -> Size:
    """`min` or `max` of sizes; decided where the differences are numbers, else opaque."""
    sign = 1 if function == "max" else -1
    kept: list[Size] = []
    for size in map(Size.of, args):
        for i, other in enumerate(kept):
            try:
                kept[i] = size if sign * size.compare(other) > 0 else other
                break
            except Undecided:
                continue
        else:
            kept.append(size)
    return kept[0] if len(kept) == 1 else Size.of(Applied(function, tuple(sorted(kept, key=str))))


def _cancel(monomial: Monomial, by: Monomial, whole: Size, divisor: Size) -> Monomial:
    left = list(monomial)
    for atom in by:
        if atom not in left:
            raise Undecided(f"{whole} / {divisor}")
        left.remove(atom)
    return tuple(left)


def _value(atom: Atom, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return sizes[atom]
    if atom.function == "floor":
        return math.floor(sum((c * math.prod(_value(a, sizes) for a in m) for m, c in atom.args[0].terms), Fraction(0)))
    values = [a.evaluate(sizes) for a in atom.args]
    return values[0] // values[1] if atom.function == "floordiv" else {"min": min, "max": max}[atom.function](values)


def _rewrite(atom: Atom, rule: Callable[[Atom], SizeLike | None]) -> Size:
    answer = rule(atom)
    if answer is not None:
        return Size.of(answer)
    if isinstance(atom, str):
        return Size.of(atom)
    args = [a.rewrite(rule) for a in atom.args]
    if atom.function == "floor":
        return floor(args[0])
    return args[0] // args[1] if atom.function == "floordiv" else extreme(atom.function, args)


# ---------------------------------------------------------------- text, readable by the language's own parser
def _sum_text(terms: tuple[tuple[Monomial, Fraction], ...]) -> str:
    text = ""
    for monomial, factor in terms:
        sign = "-" if factor < 0 else "+"
        body = _term_text(monomial, abs(factor))
        text += f" {sign} {body}" if text else (f"-{body}" if factor < 0 else body)
    return text or "0"


def _term_text(monomial: Monomial, factor: Fraction) -> str:
    atoms = "*".join(a if isinstance(a, str) else f"({a})" if " // " in str(a) else str(a) for a in monomial)
    if not atoms:
        return str(factor)
    head = f"{factor.numerator}*{atoms}" if factor.numerator != 1 else atoms
    return head if factor.denominator == 1 else f"{head}/{factor.denominator}"


def _floor_text(q: Size) -> str:
    scale = math.lcm(*(c.denominator for _, c in q.terms))
    inner = q * scale
    if all(c < 0 for m, c in inner.terms if m):  # -floor(-x) is how ceil looks inside; keep it parsable
        return f"(-({-inner})) // {scale}"
    return f"{inner} // {scale}" if len(inner.terms) == 1 else f"({inner}) // {scale}"
