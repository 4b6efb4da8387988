"""csv and tsv files, as Excel, pandas and people write them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator

from trainer.dataset.files import cells
from trainer.dataset.files.item import Broken, Item
from trainer.dataset.files.lines import MAX_ROW
from trainer.dataset.files.source import Skip, Source

_DELIMITERS = ",;\t|"
# csv's own limit of 128 KiB a cell stops at ordinary chats. The limit is the process's; everybody here sets the same.
_CELL_CHARACTERS = MAX_ROW >> 1
# How the csv module calls a quote that the file does not close.
_OPEN = ("unexpected end of data", "field larger than field limit")


def read_table(source: Source, pieces: Iterable[str], skip: Skip) -> Iterator[Item]:
    """Objects by the names in the header; the number counts records, so that line ends inside quotes do not matter.

    Raises UserError for a header without names or with one twice, and for a quote that is never closed, since it takes
    all rows after it with it.
    """
    csv.field_size_limit(_CELL_CHARACTERS)
    lines = _raw_lines(pieces)
    first = next(lines, "")
    while first.strip("\r\n\ufeff ") == "" and first:
        first = next(lines, "")
    if not first:
        return
    delimiter = "\t" if source.kind == "tsv" else _delimiter(first)
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        delimiter, first = first[4], next(lines, "")
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    try:
        names = cells.header(source, next(rows, []))
    except csv.Error as error:
        raise source.error("file_header_broken", reason=str(error)) from None
    yield from _records(source, names, rows, skip)


def _records(source: Source, names: list[str], rows: csv._reader, skip: Skip) -> Iterator[Item]:  # type: ignore[name-defined]
    number = 0
    while True:
        line = rows.line_num + 1
        found: list[str] | Broken
        try:
            found = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error).startswith(_OPEN):
                raise source.error("file_quote_open", number=number + 1, line=line) from None
            end = rows.line_num
            where = f"{line}–{end}" if end > line else str(line)
            found = Broken("row_quotes", {"lines": where, "reason": str(error)})
        if not found:
            continue  # a blank line
        number += 1
        if skip.takes():
            continue
        if isinstance(found, list):
            yield Item(number, _row(names, found), source.label)
        else:
            yield Item(number, found, source.label)


def _row(names: list[str], found: list[str]) -> object:
    row = cells.record(names, found)
    if isinstance(row, dict):
        for name, cell in row.items():
            if isinstance(cell, str) and "\0" in cell:
                return Broken("row_nul", {"field": name})
    return row


def _delimiter(line: str) -> str:
    """The one that the header uses most; Excel writes `;` wherever a comma stands inside numbers."""
    outside = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=outside.count) if any(each in outside for each in _DELIMITERS) else ","


def _raw_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Lines with their ends as they are: inside quotes they belong to the text."""
    held: list[str] = []
    for piece in pieces:
        # Not at a "\r" that ends the piece: its "\n" may be the first character of the next.
        cut = max(piece.rfind("\n"), piece.rfind("\r", 0, -1)) + 1
        if not cut:
            held.append(piece)
            continue
        yield from io.StringIO("".join([*held, piece[:cut]]), newline="")
        held = [piece[cut:]]
    yield from io.StringIO("".join(held), newline="")
