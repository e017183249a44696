"""The user's own text: `text` for character models, `text_pairs` for translation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from zhdsl.data.arrays import Arrays
from zhdsl.data.faults import fault
from zhdsl.data.files import read_file
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import language, translation, vocabulary

MAX_TEXT_BYTES = 256 * 2**20
MAX_PAIRS_BYTES = 64 * 2**20
UNITS: dict[str, Callable[[str], Iterable[str]]] = {"char": list, "word": str.split}


@dataset("text")
def text(folder: Path, file: str, T: int = 64, streams: int = 0) -> Arrays:
    """A UTF-8 file as windows of T characters, with contiguous ready splits (90 : 5 : 5).

    Args:
        folder: the folder of the spec.
        file: the text.
        T: characters per window.
        streams: see `tokens.windows`.

    Returns:
        x, next: int32 [B, T]; ids are those of the characters that occur, sorted, after the three special ones.
    """
    content = _decoded(read_file(folder, file, MAX_TEXT_BYTES), file)
    points = np.frombuffer(content.encode("utf-32-le"), dtype="<u4")
    letters, ids = np.unique(points, return_inverse=True)
    names = vocabulary(map(chr, letters.tolist()))
    return language((ids + 3).astype(np.int32), names, T, streams, f"text: file {file}")


@dataset("text_pairs")
def text_pairs(folder: Path, file: str, unit: str = "word", longest: int = 64) -> Arrays:
    """Pairs of sentences, a tab between them, one pair a line; further tabs and what follows are left out.

    Args:
        folder: the folder of the spec.
        file: UTF-8 text.
        unit: "word" (cut at white space) or "char".
        longest: pairs with more tokens on a side are left out.

    Returns:
        src, tgt, next: int32, see `tokens.translation`, with one vocabulary for both sides.
    """
    if unit not in UNITS:
        raise fault("text_pairs", f'there is no unit "{unit}"', 'write "word" or "char"')
    lines = _decoded(read_file(folder, file, MAX_PAIRS_BYTES), file).split("\n")
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            sides = line.split("\t")
            if len(sides) < 2:
                raise fault(f"{file}:{number}", "there is no tab in this line", "write source, tab, target")
            pairs.append((tuple(UNITS[unit](sides[0])), tuple(UNITS[unit](sides[1]))))
    kept = [pair for pair in pairs if all(0 < len(side) <= longest for side in pair)]
    if not kept:
        raise fault(file, f"no pair has 1 to {longest} tokens on both sides", "write a larger `longest`")
    names = vocabulary(token for pair in kept for side in pair for token in side)
    sizes = max(len(source) for source, _ in kept), max(len(target) for _, target in kept)
    return translation(kept, names, sizes, f"text_pairs: file {file}, {len(kept):,} of {len(pairs):,} pairs")


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fault(f"{place}:{line}", f"byte {data[error.start]:#x} is not UTF-8", "save it as UTF-8") from None
