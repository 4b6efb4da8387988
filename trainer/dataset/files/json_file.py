"""json and jsonl files: a list of rows, one object, or a value a line; the contents decide, not the name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from trainer.dataset.fields import kind
from trainer.dataset.files.item import Broken, Item
from trainer.dataset.files.json_text import Fault, JsonReader, fault_in, tokens
from trainer.dataset.files.lines import MAX_ROW, read_json_lines
from trainer.dataset.files.source import Skip, Source
from trainer.errors import UserError

_BLANKS = re.compile(r"[ \t\r\n\ufeff]*")
# Nothing that is cut off by the end of the text so far (a number, `false`, "\\ud83d\\ude00") is longer.
_MARGIN = 16
_LEAST = 1 << 20


def read_json(source: Source, pieces: Iterable[str], skip: Skip) -> Iterator[Item]:
    """The rows of the file, read as a stream.

    Raises UserError, with line and column, where a list is broken in such a way that its other rows cannot be found.
    """
    stream = iter(pieces)
    head = next(stream, "")
    if _is_lines(source.kind, head):
        yield from read_json_lines(source, chain([head], stream), skip)
        return
    window = _Window(source, head, stream)
    first = window.peek()
    if first == "[":
        yield from _read_list(source, window, skip)
    elif first == "{":
        yield from _read_objects(source, window, skip)
    elif first:
        value = window.value(1)
        if window.peek():
            raise window.error("Extra data", 1)
        found = "NaN" if isinstance(value, Broken) else kind(value)
        raise source.error("data_not_list", found=found)


def _is_lines(kind: str, head: str) -> bool:
    """Whether there is one value to a line, judged by the first lines that are not blank."""
    text = head.lstrip(" \t\r\n\ufeff")
    line, newline, rest = text.partition("\n")
    line, rest = line.strip(), rest.lstrip()
    parsed = JsonReader().read(line) if newline or len(head) < _LEAST else Fault(0, "")
    whole = not isinstance(parsed, Fault)
    if kind == "jsonl" and not line.startswith("["):
        return True
    if kind == "jsonl" and whole:
        # A single line that is a list of rows is a list of rows; of anything else it is a bad row.
        return bool(rest) or not any(isinstance(each, dict) for each in parsed)
    if line.startswith("["):
        return kind == "jsonl" and line.rstrip(",").endswith("]") and not line.startswith(("[{", "[ {"))
    return bool(rest) and (whole or (line.endswith("}") and rest.startswith("{")))


def _read_list(source: Source, window: _Window, skip: Skip) -> Iterator[Item]:
    window.pos += 1
    number = 0
    following = window.peek()
    while following != "]":
        number += 1
        value = window.value(number)
        if not skip.takes():
            yield Item(number, value, source.label)
        following = window.peek()
        if following == ",":
            window.pos += 1
            following = window.peek()
            if following == "]":
                raise window.error("Illegal trailing comma before end of array", number)
        elif following != "]":
            raise window.error("Expecting ',' delimiter", number)
    window.pos += 1
    if window.peek():
        raise window.error("Extra data", number)


def _read_objects(source: Source, window: _Window, skip: Skip) -> Iterator[Item]:
    """One object is one row; several, one behind the other, are as many."""
    number = 0
    while window.peek():
        number += 1
        value = window.value(number)
        if not skip.takes():
            yield Item(number, value, source.label)


class _Window:
    """The part of a text at which its reader stands; `pos` is the place in `text`."""

    def __init__(self, source: Source, text: str, pieces: Iterator[str]) -> None:
        self._source = source
        self._pieces = pieces
        self._reader = JsonReader()
        self._ended = False
        self._line = 1
        self._column = 0  # characters of the present line that were dropped with the text before
        self.text = text
        self.pos = 0

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            match = _BLANKS.match(self.text, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.text):
                return self.text[self.pos]
            if self._ended:
                return ""
            self._more(1, 0)

    def value(self, number: int) -> Any | Broken:
        """The value that begins here, for the row `number`; behind it afterwards."""
        self.peek()
        while True:
            try:
                value, end = self._reader.read_at(self.text, self.pos)
            except json.JSONDecodeError as error:
                certain = error.pos < len(self.text) - _MARGIN and not error.msg.startswith("Unterminated")
                if certain or self._ended:
                    self.pos = error.pos
                    raise self.error(error.msg, number) from None
            except (RecursionError, ValueError):
                return self._pass_over(number)
            else:
                if self._ended or end < len(self.text) - _MARGIN:
                    return self._taken(value, end)
            self._more(max(_LEAST, len(self.text) - self.pos), number)

    def error(self, reason: str, number: int) -> UserError:
        """The sentence for a file whose further rows cannot be found."""
        line, column = self._where(self.pos)
        if self._ended and not self.text[self.pos :].strip():
            return self._source.error("file_cut", number=max(number, 1), line=line, column=column)
        if not number:
            return self._source.error("json_broken", line=line, column=column, reason=reason)
        return self._source.error("file_json", number=number, line=line, column=column, reason=reason)

    def _taken(self, value: Any | Fault, end: int) -> Any | Broken:
        start, self.pos = self.pos, end
        if not isinstance(value, Fault):
            return value
        line, column = self._where(start + value.place)
        return Broken("row_broken_at", {"line": line, "column": column, "reason": value.reason})

    def _pass_over(self, number: int) -> Broken:
        """A value that is JSON by its brackets and that Python cannot make: the rows behind it can be read."""
        while (end := _end_of(self.text, self.pos)) is None or (end == len(self.text) and not self._ended):
            if self._ended:
                self.pos = len(self.text)
                raise self.error("", number)
            self._more(max(_LEAST, len(self.text) - self.pos), number)
        broken: Broken = self._taken(fault_in(self.text, self.pos, end), end)
        return broken

    def _where(self, index: int) -> tuple[int, int]:
        newline = self.text.rfind("\n", 0, index)
        line = self._line + self.text.count("\n", 0, index)
        return line, index - newline if newline >= 0 else self._column + index + 1

    def _more(self, characters: int, number: int) -> None:
        """Drop what is read and add at least so many characters, fewer only at the end."""
        line, column = self._where(self.pos)
        self._line, self._column = line, column - 1
        parts = [self.text[self.pos :]]
        self.pos = 0
        if len(parts[0]) > MAX_ROW:
            raise self._source.error("file_row_long", number=number, limit=MAX_ROW // 1_000_000)
        while characters > 0:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            parts.append(piece)
            characters -= len(piece)
        self.text = "".join(parts)


def _end_of(text: str, start: int) -> int | None:
    """Where the value that begins at `start` ends, told by its brackets; None: not in this text."""
    depth = 0
    for token in tokens(text, start, len(text)):
        if token.group() == '"':
            return None
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth <= 0:
            return token.end()
    return None
