"""`number_words`: English number words and the Italian ones, a translation with real rules and no corpus.

Italian writes a number below a million as one word and drops vowels where parts meet: venti + uno = ventuno,
trenta + otto = trentotto, cento + ottanta = centottanta; a final tre gets its accent: ventitré; 1000 is mille, but
2000 duemila. Thousands come before hundreds in both languages, yet `one` of one hundred has no counterpart.

Source: L. Serianni, "Italiano", Garzanti, chapter "I numerali"; where usage knows two forms (centotto, centootto)
the elided one is written, and `mila` and `mille` are never elided.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.draws import permutation
from zhdsl.data.faults import fault
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import translation, vocabulary

LIMIT = 1_000_000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ONES = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_UNI = _words(
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici"
    " diciassette diciotto diciannove"
)
_DECINE = _words("venti trenta quaranta cinquanta sessanta settanta ottanta novanta")


def english_parts(n: int) -> tuple[str, ...]:
    """The words of n, 0 to 999,999: 342 -> three hundred forty two (the hyphen is put in by `english`)."""
    if n < 20:
        return (_ONES[n],)
    if n < 100:
        return (_TENS[n // 10 - 2], *(english_parts(n % 10) if n % 10 else ()))
    unit, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    return (*english_parts(n // unit), name, *(english_parts(n % unit) if n % unit else ()))


def english(n: int) -> str:
    """n in English, 0 to 999,999: 21 -> twenty-one, 342 -> three hundred forty-two."""
    text = ""
    for part in english_parts(n):
        between = "-" if part in _ONES and text.rpartition(" ")[2] in _TENS else " "
        text += (between if text else "") + part
    return text


def italian_parts(n: int) -> tuple[str, ...]:
    """The parts that make up n in Italian, 0 to 999,999, elided and accented: 28 -> vent otto, 33 -> trenta tré."""
    parts = _joined(n)
    return (*parts[:-1], "tré") if len(parts) > 1 and parts[-1] == "tre" else parts


def _joined(n: int) -> tuple[str, ...]:
    """As `italian_parts`, without the accent, which only the end of the whole word has."""
    if n < 20:
        return (_UNI[n],)
    if n < 100:
        ten, rest = _DECINE[n // 10 - 2], n % 10
        return (ten[:-1] if rest in (1, 8) else ten, *(_joined(rest) if rest else ()))
    if n < 1000:
        many = _joined(n // 100) if n >= 200 else ()
        return (*many, *_after_hundred(_joined(n % 100) if n % 100 else ()))
    many = (*_joined(n // 1000), "mila") if n >= 2000 else ("mille",)
    return (*many, *(_joined(n % 1000) if n % 1000 else ()))


def _after_hundred(rest: tuple[str, ...]) -> tuple[str, ...]:
    """cento before its rest: its o is dropped before otto, ottanta and ottant-."""
    return ("cent" if rest and rest[0].startswith("ott") else "cento", *rest)


def italian(n: int) -> str:
    """n in Italian, 0 to 999,999: 21 -> ventuno, 33 -> trentatré, 180 -> centottanta, 2000 -> duemila."""
    return "".join(italian_parts(n))


# unit -> (English tokens of n, Italian tokens of n)
UNITS: dict[str, tuple[Callable[[int], tuple[str, ...]], Callable[[int], tuple[str, ...]]]] = {
    "char": (lambda n: tuple(english(n)), lambda n: tuple(italian(n))),
    "word": (english_parts, italian_parts),
}


@dataset("number_words")
def number_words(samples: int = 5000, limit: int = LIMIT, unit: str = "char", seed: int = 0) -> Arrays:
    """English number words to Italian ones, each number at most once.

    Numbers of 1, 2, … 6 digits are equally frequent as long as there are enough of them, so that the small ones, on
    which the irregular words are learned, are all there.

    Args:
        samples: how many numbers; all of them if this is `limit` or more.
        limit: numbers are 0 to limit - 1, up to 1,000,000.
        unit: "char" (letters) or "word" (English words; Italian parts as they are elided: `vent` `otto`).
        seed: decides which numbers, and their order.

    Returns:
        src, tgt, next: int32, see `tokens.translation`. Vocabulary and lengths depend on `unit` and `limit` only.
    """
    if unit not in UNITS:
        raise fault("number_words", f'there is no unit "{unit}"', 'write "char" or "word"')
    if not 1 <= limit <= LIMIT or samples < 1:
        raise fault("number_words", f"{samples} numbers below {limit} cannot be drawn", f"limit is at most {LIMIT:,}")
    pairs = [tuple(side(n) for side in UNITS[unit]) for n in drawn(samples, limit, seed)]
    names = vocabulary(token for n in range(1101) for side in UNITS[unit] for token in (*side(n), *side(n * 100)))
    sizes = (_longest(limit, UNITS[unit][0]), _longest(limit, UNITS[unit][1]))
    return translation([(a, b) for a, b in pairs], names, sizes, "number_words: generated by rule")


def _longest(limit: int, side: Callable[[int], tuple[str, ...]]) -> int:
    """Most tokens of a number below `limit`: the part below a thousand does not depend on the thousands."""
    thousands, rest = divmod(limit - 1, 1000)
    longest = max(range(1000), key=lambda n: len(side(n)))
    whole = [n * 1000 + longest for n in range(thousands)]
    return max(len(side(n)) for n in (*whole, *range(thousands * 1000, thousands * 1000 + rest + 1)))


def drawn(samples: int, limit: int, seed: int) -> list[int]:
    """`samples` different numbers below `limit` in random order, about equally many of each number of digits."""
    starts = [0, *(10**k for k in range(1, 7) if 10**k < limit), limit]
    left, chosen = min(samples, limit), []
    ranges = sorted(pairwise(starts), key=lambda ends: ends[1] - ends[0])
    for k, (low, high) in enumerate(ranges):
        share = min(high - low, -(-left // (len(ranges) - k)))
        chosen += (low + permutation(high - low, seed, "number_words", low)[:share]).tolist()
        left -= share
    order: Array = permutation(len(chosen), seed, "number_words", "order")
    return [chosen[i] for i in order.tolist()]
