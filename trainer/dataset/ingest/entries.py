"""dataset_info.json changed by hand-like strokes: one entry at a time, every other byte stays as it is."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from trainer.errors import UserError

EMPTY = "{\n}\n"
_BLANKS = re.compile(r"[ \t\r\n]*")


class _Span(NamedTuple):
    """Where an entry stands: its name with quotes, and the end of its value."""

    name: str
    start: int
    name_end: int
    end: int


class EntryText:
    """The text of a dataset_info.json. Every change gives a new text that is read back before it is believed.

    Raises UserError for a text that is not a JSON object.
    """

    def __init__(self, text: str) -> None:
        self.text = text if text.strip("\ufeff \t\r\n") else EMPTY
        self._first, self._last, self._spans = _scan(self.text)

    def entries(self) -> dict[str, Any]:
        """Every entry, in order."""
        return dict(json.loads(self.text.removeprefix("\ufeff")))

    def put(self, name: str, entry: Any) -> EntryText:
        """With the entry at its place when there is one of this name, else at the end."""
        spans = [span for span in self._spans if span.name == name]
        wanted = {**self.entries(), name: entry}
        if spans:
            kept = self._colon(spans[-1])
            text = self.text[: spans[-1].name_end] + kept + self._written(entry) + self.text[spans[-1].end :]
            return _proved(text, wanted)
        line = f"{json.dumps(name, ensure_ascii=False)}: {self._written(entry)}"
        end = self._spans[-1].end if self._spans else self._first + 1
        comma = "," if self._spans else ""
        tail = (
            self.text[end:]
            if "\n" in self.text[end : self._last]
            else self._newline + self.text[self._last :]
        )
        return _proved(f"{self.text[:end]}{comma}{self._newline}{self._indent}{line}{tail}", wanted)

    def without(self, name: str) -> EntryText:
        """Without the entry; nothing changes when there is none."""
        wanted = {key: value for key, value in self.entries().items() if key != name}
        text = self
        while place := [each for each, span in enumerate(text._spans) if span.name == name]:
            text = EntryText(text._cut(place[-1]))
        return _proved(text.text, wanted)

    def renamed(self, name: str, new: str) -> EntryText:
        """With another name for the entry, at the same place."""
        wanted = {new if key == name else key: value for key, value in self.entries().items()}
        text = self.text
        for span in reversed([each for each in self._spans if each.name == name]):
            text = text[: span.start] + json.dumps(new, ensure_ascii=False) + text[span.name_end :]
        return _proved(text, wanted)

    def _cut(self, place: int) -> str:
        """The text without the entry at a place, and without the comma that it no longer needs."""
        span = self._spans[place]
        if place:
            return self.text[: self._spans[place - 1].end] + self.text[span.end :]
        if len(self._spans) > 1:
            return self.text[: span.start] + self.text[self._spans[1].start :]
        return self.text[: self._first + 1] + self._newline + self.text[self._last :]

    def _colon(self, span: _Span) -> str:
        after = self.text[span.name_end : span.end]
        found = re.match(r"[ \t\r\n]*:[ \t\r\n]*", after)
        return found.group() if found else ": "

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _indent(self) -> str:
        before = self.text[: self._spans[0].start].rpartition("\n") if self._spans else ("", "", "")
        return before[2] if before[1] and not before[2].strip() else "  "

    def _written(self, entry: Any) -> str:
        step = self._indent or "  "
        lines = json.dumps(entry, ensure_ascii=False, indent=step).split("\n")
        return f"{self._newline}{self._indent}".join(lines)


def _scan(text: str) -> tuple[int, int, list[_Span]]:
    """Where the object begins and ends, and where its entries stand."""
    decoder = json.JSONDecoder()
    try:
        json.loads(text.removeprefix("\ufeff"))
        first = text.index("{")
        if text[:first].strip("\ufeff \t\r\n"):
            raise ValueError("not an object")
        at, spans = _skip(text, first + 1), []
        while text[at] != "}":
            name, name_end = scanstring(text, at + 1)
            value = _skip(text, _skip(text, name_end) + 1)
            _, end = decoder.raw_decode(text, value)
            spans.append(_Span(name, at, name_end, end))
            at = _skip(text, end)
            at = _skip(text, at + 1) if text[at] == "," else at
        return first, at, spans
    except (ValueError, IndexError, RecursionError) as error:
        raise UserError("info_unreadable", reason=str(error)[:200]) from error


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _proved(text: str, wanted: dict[str, Any]) -> EntryText:
    """The text, or all entries written anew should a stroke have gone wrong."""
    try:
        if json.loads(text.removeprefix("\ufeff")) == wanted:
            return EntryText(text)
    except ValueError:
        pass
    return EntryText(json.dumps(wanted, ensure_ascii=False, indent=2) + "\n")
