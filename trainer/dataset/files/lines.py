"""Files of lines: one JSON value a line, or one text a line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from trainer.dataset.files.item import Broken, Item
from trainer.dataset.files.json_text import Fault, JsonReader
from trainer.dataset.files.source import Skip, Source

# Of one row, so that a file without line ends cannot fill the memory.
MAX_ROW = 1 << 26
_BLANKS = " \t\r\ufeff"


def lines(pieces: Iterable[str]) -> Iterator[str | None]:
    """The lines of a text that comes in pieces, whatever their ends (\\n, \\r\\n, \\r); None: one longer than MAX_ROW."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    held: list[str] = []
    length = 0
    for piece in pieces:
        first, *others = newlines.decode(piece).split("\n")
        length += len(first)
        if length <= MAX_ROW:
            held.append(first)
        else:
            held.clear()
        if others:
            yield "".join(held) if length <= MAX_ROW else None
            held = [others.pop()]
            length = len(held[0])
            yield from others
    # A carriage return that was the very last character was held back; it ends a line and begins none.
    if length:
        yield "".join(held) if length <= MAX_ROW else None


def read_json_lines(source: Source, pieces: Iterable[str], skip: Skip) -> Iterator[Item]:
    """A row a line; a line that is no JSON is one broken row. Blank lines count in the numbers but are no rows."""
    reader = JsonReader()
    for number, line in enumerate(lines(pieces), 1):
        if line is not None and not line.strip(_BLANKS):
            continue
        if skip.takes():
            continue
        if line is None:
            yield Item(number, too_long(), source.label)
            continue
        # A mark in the middle is left by joining files that each had one.
        value = reader.read(line.lstrip("\ufeff") if line[0] == "\ufeff" else line)
        if isinstance(value, Fault):
            value = Broken("row_broken", {"column": value.place + 1, "reason": value.reason})
        yield Item(number, value, source.label)


def read_text_lines(source: Source, pieces: Iterable[str], skip: Skip) -> Iterator[Item]:
    """{"text": line} for each line, as the datasets library reads text; blank lines hold nothing and are no rows."""
    for number, line in enumerate(lines(pieces), 1):
        if (line is not None and not line.strip(_BLANKS)) or skip.takes():
            continue
        if line is None:
            yield Item(number, too_long(), source.label)
        elif "\0" in line:
            yield Item(number, Broken("row_nul", {"field": "text"}), source.label)
        else:
            yield Item(number, {"text": line}, source.label)


def too_long() -> Broken:
    return Broken("row_long", {"limit": MAX_ROW // 1_000_000})
