"""Text as integers: vocabularies, sequence pairs for translation, windows for language models.

Ids 0, 1, 2 are always padding, start and end; the words or characters of a vocabulary follow from 3 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.faults import check_bytes, fault

PADDING, START, END = 0, 1, 2
SPECIAL = ("", "<s>", "</s>")


def vocabulary(tokens: Iterable[str]) -> tuple[str, ...]:
    """All ids' texts: the three special ones, then the given tokens, sorted, each once."""
    return (*SPECIAL, *sorted(set(tokens)))


def decode(ids: Sequence[int] | Array, names: Sequence[str], between: str = "") -> str:
    """The text of a row of ids, up to its end or padding, without the start; `between` goes between tokens.

    The special tokens are known by their texts in `names`, so vocabularies without them are decoded whole.
    """
    texts = []
    for text in (names[int(i)] for i in ids):
        if text in (SPECIAL[PADDING], SPECIAL[END]):
            break
        if text != SPECIAL[START]:
            texts.append(text)
    return between.join(texts)


def translation(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    names: tuple[str, ...],
    sizes: tuple[int, int],
    attribution: str,
) -> Arrays:
    """Sequence pairs as the three fields that an encoder–decoder is trained with.

    Args:
        pairs: (source tokens, target tokens), none of them special.
        names: the vocabulary that both share, see `vocabulary`.
        sizes: (S, T): longest source and longest target, without start and end.
        attribution: see `Arrays`.

    Returns:
        src: int32 [B, S]; tgt: int32 [B, T + 1], start and then the target, what the decoder is given;
        next: int32 [B, T + 1], the target and then the end, what it must say. All are filled up with 0.
    """
    index = {name: i for i, name in enumerate(names)}
    longest, count = max(sizes) + 1, len(pairs)
    check_bytes(count * longest * 12, "translation")
    src, tgt, after = (np.zeros((count, n), dtype=np.int32) for n in (sizes[0], sizes[1] + 1, sizes[1] + 1))
    for i, (source, target) in enumerate(pairs):
        ids = [index[token] for token in target]
        src[i, : len(source)] = [index[token] for token in source]
        tgt[i, : len(ids) + 1] = [START, *ids]
        after[i, : len(ids) + 1] = [*ids, END]
    fields = {"src": src, "tgt": tgt, "next": after}
    return Arrays(fields, attribution, names=dict.fromkeys(fields, names))


def windows(ids: Array, length: int, streams: int, place: str) -> dict[str, Array]:
    """One long text cut into windows for a language model.

    Args:
        ids: int32 [N], the text.
        length: T, characters per window.
        streams: 0 for independent windows one after another; n > 0 cuts the text into n equal streams first and
            gives window 0 of all streams, then window 1 of all: sample i + n goes on where sample i stopped.
        place: for errors.

    Returns:
        x: int32 [B, T]; next: int32 [B, T], the character after each. What does not fill a window is left out.

    Raises:
        TrainingError: the text is too short for one window (of each stream).
    """
    lanes = max(1, streams)
    if length < 1 or streams < 0:
        raise fault(place, f"windows of {length} in {streams} streams cannot be cut", "write T = 64, streams = 0")
    count = (len(ids) - 1) // (lanes * length)
    if count < 1:
        cause = f"{len(ids):,} characters are too few for {lanes} windows of {length}"
        raise fault(place, cause, "write a smaller T, fewer streams, or take more text")
    span = lanes * count * length
    x, after = (ids[k : k + span].reshape(lanes, count, length) for k in (0, 1))
    return {name: part.swapaxes(0, 1).reshape(-1, length) for name, part in (("x", x), ("next", after))}


def language(ids: Array, names: tuple[str, ...], length: int, streams: int, attribution: str) -> Arrays:
    """A text as a data set with ready, contiguous splits: 90 % train, then 5 % valid, then 5 % test.

    Neighbouring windows share words, so a shuffled split would leak; see `windows` for fields and layout.
    """
    place = attribution.partition(":")[0]
    cuts = [0, len(ids) * 90 // 100, len(ids) * 95 // 100, len(ids)]
    parts = [windows(ids[a:b], length, streams, place) for a, b in pairwise(cuts)]
    check_bytes(sum(part["x"].nbytes for part in parts) * 2, place)
    fields = {name: np.concatenate([part[name] for part in parts]) for name in ("x", "next")}
    ends = np.cumsum([0, *(len(part["x"]) for part in parts)])
    triples = zip(("train", "valid", "test"), ends[:-1], ends[1:], strict=True)
    splits = {name: np.arange(a, b) for name, a, b in triples}
    return Arrays(fields, attribution, splits, names=dict.fromkeys(fields, names), streams=streams)
