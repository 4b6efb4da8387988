"""Whether an answer is its reference: to the sign, or but for what does not matter."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import regex

# Punctuation goes, but not a sign of a number (-5, 3.14, 1:2, 5 %) and nothing that stands for a value (+, $, =, <).
_PUNCTUATION = regex.compile(
    r"(?<=\d)[.,:/\-–](?=\d)(*SKIP)(*FAIL)|(?<![\p{L}\p{N}])-(?=\d)(*SKIP)(*FAIL)|[\p{P}--[%]]", regex.V1
)
_WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_BLANKS_BETWEEN = regex.compile(rf"(?<={_WIDE})\s+|\s+(?={_WIDE})")


def score(predict: str, label: str) -> dict[str, float]:
    """`exact` and `normalised`: 100 or 0."""
    return {
        "exact": 100.0 * (predict == label),
        "normalised": 100.0 * (normalise(predict) == normalise(label)),
    }


@lru_cache(maxsize=4096)
def normalise(text: str) -> str:
    """The text without regard to case, width of signs, punctuation and blanks. What is only punctuation stays itself."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = " ".join(_PUNCTUATION.sub(" ", folded).split())
    return _BLANKS_BETWEEN.sub("", words) or "".join(folded.split())
