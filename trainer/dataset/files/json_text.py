"""One JSON text -> one value, or the reason why it is none.

Stricter than Python's own reader where it would make a value that no other reader knows (NaN, Infinity) or one that
breaks whoever walks through it later (nested hundreds of levels deep). Of a key given twice the last counts, as everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_DEPTH = 100
# Python refuses to make a number of more digits out of text (it takes quadratic time).
MAX_DIGITS = 4300
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity|-?\d+|[\[\]{}]|"', re.DOTALL)


class Fault(NamedTuple):
    """`place`: characters before the fault, from where the text begins."""

    place: int
    reason: str


class JsonReader:
    """Reads values out of text. One for each reading: it remembers between two calls whether a constant was met."""

    def __init__(self) -> None:
        self._constants = 0
        self._decoder = json.JSONDecoder(parse_constant=self._note)

    def _note(self, name: str) -> None:
        self._constants += 1

    def read(self, text: str) -> Any | Fault:
        """The value that the text is, blanks around it allowed."""
        self._constants = 0
        try:
            value = self._decoder.decode(text)
        except json.JSONDecodeError as error:
            return Fault(error.pos, error.msg)
        except (RecursionError, ValueError):
            return fault_in(text, 0, len(text))
        return self._checked(value, text, 0, len(text))

    def read_at(self, text: str, start: int) -> tuple[Any | Fault, int]:
        """The value that begins at `start`, and where it ends.

        Raises json.JSONDecodeError where the text is no JSON or stops too early, RecursionError and ValueError for a
        value that Python cannot make, though it may be JSON.
        """
        self._constants = 0
        value, end = self._decoder.raw_decode(text, start)
        return self._checked(value, text, start, end), end

    def _checked(self, value: Any, text: str, start: int, end: int) -> Any | Fault:
        if self._constants or _may_be_deep(text, start, end):
            fault = fault_in(text, start, end)
            if self._constants or fault.reason == _TOO_DEEP:
                return fault
        return value


def _may_be_deep(text: str, start: int, end: int) -> bool:
    return text.count("[", start, end) + text.count("{", start, end) > MAX_DEPTH


def tokens(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Strings, whole numbers, brackets, NaN and the infinities, one after another."""
    return _TOKEN.finditer(text, start, end)


def fault_in(text: str, start: int, end: int) -> Fault:
    """What Python's reader minds in a text whose syntax is right, and where."""
    depth = 0
    for found in tokens(text, start, end):
        token = found.group()
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return Fault(found.start() - start, _TOO_DEEP)
        elif token in "]}":
            depth -= 1
        elif token.endswith(("NaN", "Infinity")):
            return Fault(found.start() - start, f"{token} is no JSON")
        elif token[0] != '"' and len(token) > MAX_DIGITS:
            return Fault(found.start() - start, f"the number has {len(token.lstrip('-'))} digits")
    return Fault(0, "the value cannot be read")
