"""Numbers and marks as the page writes them: counts, times, sizes, and what has changed between two answers."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache
from html import escape

_SPACED = {"ru": "\u202f"}
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u0400-\u04ff0-9]+|\s+|.", re.DOTALL)
_MOST_COMPARED = 600


def count(value: float, lang: str = "en") -> str:
    """A whole number with its thousands apart: 4,102."""
    return f"{round(value):,}".replace(",", _SPACED.get(lang, ","))


def clock(seconds: float) -> str:
    """`1:02` or `1:00:02`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def memory(megabytes: float) -> str:
    """`512 MB` or `3.4 GB`; a megabyte has 1024 * 1024 bytes."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


@lru_cache(maxsize=512)
def marked(before: str, after: str) -> str:
    """`after` as HTML in which what `before` did not say stands in <mark>. Words are compared, in Chinese characters."""
    if before == after or len(before) + len(after) > 2 * _MOST_COMPARED:
        return escape(after)
    old, new = _WORD.findall(before), _WORD.findall(after)
    parts: list[str] = []
    for kind, _, _, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        text = escape("".join(new[first:last]))
        if text:
            parts.append(text if kind == "equal" or not text.strip() else f"<mark>{text}</mark>")
    return "".join(parts)
