"""What there is to say about one kind of error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One kind of error of the language.

    Attributes:
        code: `Z0312`; never used again for something else.
        title: what is wrong, in a few words.
        explanation: why it is wrong and what to do, some sentences.
        example: a text that gives this error, or empty where no text can (an unreadable file).
        mended: the example without its mistake, or empty where there are many ways.
    """

    code: str
    title: str
    explanation: str
    example: str = ""
    mended: str = ""
