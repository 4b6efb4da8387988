"""In which scripts a text is written, and whether an answer says more than a word."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from trainer.dataset.conversation import Conversation

SCRIPTS = ("zh", "latin", "ja", "ko", "ru", "other")
_HAN, _LATIN, _KANA, _HANGUL, _CYRILLIC, _OTHER, _NONE = range(7)
# Of a language that is written without blanks, this many signs may be one word.
SIGNS_OF_A_WORD = 2
_NO_LETTERS = bytes(sign for sign in range(128) if not chr(sign).isalpha())
_BLOCKS = (
    (_HAN, ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))),
    (_LATIN, ((0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x250), (0x1E00, 0x1F00))),
    (_KANA, ((0x3041, 0x3100), (0x31F0, 0x3200), (0xFF66, 0xFFA0))),
    (_HANGUL, ((0x1100, 0x1200), (0x3130, 0x3190), (0xAC00, 0xD7B0))),
    (_CYRILLIC, ((0x400, 0x530),)),
)


def count_scripts(text: str) -> dict[str, int]:
    """How many letters of `text` belong to each of SCRIPTS; digits, signs and blanks belong to none.

    Chinese characters count as Japanese (`ja`) in a text that has kana.
    """
    if text.isascii():
        letters = len(text.encode().translate(None, _NO_LETTERS))
        return {"latin": letters} if letters else {}
    import numpy as np

    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _table()[np.minimum(points, 0xFFFF)]
    kinds[(points >= 0x20000) & (points < 0x40000)] = _HAN
    kinds[(points >= 0x10000) & (points < 0x20000)] = _NONE
    counts = np.bincount(kinds, minlength=7).tolist()
    if counts[_KANA]:
        counts[_KANA] += counts[_HAN]
        counts[_HAN] = 0
    return {name: rows for name, rows in zip(SCRIPTS, counts, strict=False) if rows}


def is_short(conversation: Conversation) -> bool:
    """Whether none of the answers that are trained has more than a word (nor calls a tool)."""
    answers = [each for each in conversation.messages if each.role == "assistant" and each.train]
    return bool(answers) and all(not each.calls and at_most_a_word(each.text) for each in answers)


def at_most_a_word(text: str) -> bool:
    """Nothing, one word between blanks, or one or two signs of a language without blanks."""
    words = text.split(maxsplit=1)
    if len(words) != 1:
        return not words
    word = words[0]
    if word.isascii():
        return True
    return sum(map(_has_no_blanks, word)) <= SIGNS_OF_A_WORD


def _has_no_blanks(sign: str) -> bool:
    """Whether the sign belongs to Chinese, Japanese, Thai, Lao, Burmese or Khmer."""
    return sign >= "\u0e00" and (
        sign < "\u0f00"
        or "\u1000" <= sign < "\u10a0"
        or "\u1780" <= sign < "\u1800"
        or "\u3041" <= sign < "\ua000"
        or sign >= "\U00020000"
    )


@cache
def _table() -> Any:
    """The script of each sign of the basic plane."""
    import numpy as np

    table = np.full(0x10000, _NONE, dtype=np.uint8)
    letters = [point for point in range(0x80, 0x10000) if unicodedata.category(chr(point))[0] == "L"]
    table[letters] = _OTHER
    for kind, ranges in _BLOCKS:
        for start, end in ranges:
            table[start:end] = np.where((table[start:end] == _OTHER) | (start < 0x80), kind, table[start:end])
    return table
