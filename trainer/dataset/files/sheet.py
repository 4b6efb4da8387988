"""xlsx files: the first sheet, its first row that is not empty being the header."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

from trainer.dataset.files import cells
from trainer.dataset.files.item import Broken, Item
from trainer.dataset.files.source import Progress, Skip, Source

_BATCH = 256
# What a workbook may hold when unpacked; openpyxl keeps all of its texts in memory.
_UNPACKED_BYTES = 2 << 30
_RATIO = 200
_SMALL_BYTES = 64 << 20


def read_sheet(source: Source, progress: Progress, skip: Skip) -> Iterator[Item]:
    """Objects by the names in the header. Every cell is text, as in a csv: numbers and dates as they are written.

    The number is the sheet's row, counted from the header; rows without anything in them are none. Raises UserError for
    a damaged workbook, one that unpacks to gigabytes, and a bad header.
    """
    _refuse_bomb(source)
    with source.opened() as file:
        try:
            book = _quietly(lambda: _load(file))
            sheet = book.worksheets[0]
            # What the file says of its own size is often wrong, and would cut rows off.
            sheet.reset_dimensions()
            rows = sheet.iter_rows()
        except Exception as error:
            raise _damaged(source, error) from None
        yield from _items(source, _in_batches(source, rows), skip)
        progress.at(source.size)


def _items(source: Source, rows: Iterator[tuple[Any, ...]], skip: Skip) -> Iterator[Item]:
    names: list[str] = []
    number = 0
    for row in rows:
        given = [cell.value for cell in row]
        while given and given[-1] in (None, ""):
            given.pop()
        if not names:
            names = cells.header(source, given) if given else []
            continue
        number += 1
        if not given or skip.takes():
            continue
        yield Item(number, _row(names, row, given), source.label)


def _row(names: list[str], row: tuple[Any, ...], given: list[Any]) -> dict[str, Any] | Broken:
    for place, cell in enumerate(row[: len(names)]):
        if cell.data_type == "e":
            return Broken("row_cell_error", {"field": names[place], "found": str(cell.value)})
    return cells.record(names, given + [None] * (len(names) - len(given)))


def _load(file: Any) -> Any:
    import openpyxl

    return openpyxl.load_workbook(file, read_only=True, data_only=True)


def _in_batches(source: Source, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    while True:
        try:
            batch = _quietly(lambda: list(islice(rows, _BATCH)))
        except Exception as error:
            raise _damaged(source, error) from None
        yield from batch
        if len(batch) < _BATCH:
            return


def _quietly(read: Any) -> Any:
    """openpyxl warns of styles and checks that it does not carry over; they are nothing to rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read()


def _damaged(source: Source, error: Exception) -> Exception:
    # openpyxl hands on whatever its parsers meet in a damaged file: KeyError, ParseError, BadZipFile, ValueError …
    return source.error("file_damaged", kind="xlsx", reason=f"{type(error).__name__}: {error}"[:200])


def _refuse_bomb(source: Source) -> None:
    try:
        with zipfile.ZipFile(source.path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(source, error) from None
    if unpacked > _UNPACKED_BYTES or (unpacked > _SMALL_BYTES and unpacked > _RATIO * source.size):
        raise source.error("file_bomb", megabytes=unpacked >> 20)
