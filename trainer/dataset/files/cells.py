"""The cells of tables that people type or export: what a header may be, and what an empty or a written cell means."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

from trainer.dataset.files.item import Broken
from trainer.dataset.files.source import Source

# Columns that hold lists in every other kind of file. A table has only text: there a list is written as JSON.
STRUCTURED = frozenset({"conversations", "messages", "history", "images", "videos"})


def header(source: Source, cells: Sequence[Any]) -> list[str]:
    """The names of the columns. An index that pandas wrote without a name is called as pandas calls it, "Unnamed: 0".

    Raises UserError when no column has a name, and when two have the same.
    """
    texts = [str(cell).strip() if cell is not None else "" for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    if not texts:
        raise source.error("file_no_header")
    names = [text or f"Unnamed: {place}" for place, text in enumerate(texts)]
    require_once(source, names)
    return names


def require_once(source: Source, names: Sequence[str]) -> None:
    """Two columns of one name: only one of them could be read. Raises UserError, which names it."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise source.error("file_column_twice", columns=", ".join(twice)[:200])


def record(names: Sequence[str], cells: Sequence[Any]) -> dict[str, Any] | Broken:
    """A row by the names of its columns. Cells too many are forgiven where they are empty (a delimiter at the end)."""
    if len(cells) > len(names) and all(cell in (None, "") for cell in cells[len(names) :]):
        cells = cells[: len(names)]
    if len(cells) != len(names):
        return Broken("row_ragged", {"found": len(cells), "expected": len(names)})
    return {
        name: (cell or None) if type(cell) is str and name not in STRUCTURED else value(name, cell)
        for name, cell in zip(names, cells, strict=True)
    }


def value(name: str, cell: Any) -> Any:
    """An empty cell is nothing (a table cannot say "an empty text"); a list in a column of lists is that list."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        return structured(cell) if name in STRUCTURED else cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime.datetime):
        midnight = cell.time() == datetime.time()
        return cell.date().isoformat() if midnight else cell.isoformat(sep=" ")
    return str(cell)


def structured(cell: str) -> Any:
    """The list or object that a cell spells as JSON; every other text as it is."""
    if not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
