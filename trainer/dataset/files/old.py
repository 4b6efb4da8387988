"""Objects out of json and jsonl files, each with the number by which a person finds it again.

A file is read by what it holds, as LLaMA-Factory's reader does: a list, or one object a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from trainer.dataset.files.item import Broken, Item, Tell
from trainer.errors import UserError

BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".xlsx")


class FileFacts(NamedTuple):
    """`kind`: json, jsonl, csv, tsv, parquet, arrow, txt or xlsx; `encoding`: UTF-8, UTF-8 with BOM, UTF-16 LE, UTF-16 BE,
    GB18030 (empty for parquet, arrow and xlsx); `bytes`: of all files together; `files`: their names."""

    kind: str
    encoding: str
    bytes: int
    files: tuple[str, ...]


def look_into(path: Path, whole: bool = False) -> FileFacts:
    return FileFacts(path.suffix[1:], "UTF-8", path.stat().st_size, (path.name,))


def read_text(path: Path, field: str = "dataset") -> str:
    return _text(path)


def read_items(path: Path, skip: int = 0, tell: Tell | None = None) -> Iterator[Item]:
    """What the file holds, one after another; a file with a line for each object is read as a stream.

    Raises UserError when it cannot be opened, is empty, is not UTF-8 (line and byte), or is broken as a whole.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096).removeprefix(BOM).lstrip(_SPACE)
    except FileNotFoundError:
        raise UserError("file_missing", field="dataset", path=str(path)) from None
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset", path=str(path), reason=str(error.strerror)
        ) from None
    as_lines = path.suffix.lower() == ".jsonl" and not start.startswith(b"[")
    found = 0
    for item in _lines(path) if as_lines else _whole(path):
        found += 1
        if found > skip:
            yield item
    if not found:
        raise UserError("data_file_empty", field="dataset", path=str(path))


def _whole(path: Path) -> Iterator[Item]:
    text = _text(path)
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        # "Extra data": a whole value ends before the file does, so that there is one to a line.
        if error.msg == "Extra data":
            yield from _lines(path)
            return
        raise UserError(
            "json_broken", field="dataset", path=str(path), line=error.lineno, column=error.colno, reason=error.msg
        ) from None  # fmt: skip
    except (RecursionError, ValueError):
        raise UserError("data_too_deep", field="dataset", path=str(path)) from None
    if not isinstance(value, (list, dict)):
        raise UserError("data_not_list", field="dataset", path=str(path), found=type(value).__name__)
    if path.suffix.lower() == ".jsonl" and not any(isinstance(each, dict) for each in value):
        # A single line that is a list, but not of rows: it is a row itself, and a bad one.
        yield from _lines(path)
        return
    for number, each in enumerate(value if isinstance(value, list) else [value], 1):
        yield Item(number, each)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        shift = len(BOM) if data.startswith(BOM) else 0
        raise _not_utf8(path, data.count(b"\n", 0, error.start + shift) + 1, error.start + shift) from None


def _not_utf8(path: Path, line: int, byte: int) -> UserError:
    return UserError("data_not_utf8", field="dataset", path=str(path), line=line, byte=byte)


def _lines(path: Path) -> Iterator[Item]:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            data = line.removeprefix(BOM) if number == 1 else line
            offset += len(line)
            try:
                text = data.decode().rstrip()
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, offset - len(data) + error.start) from None
            if text:
                yield Item(number, _value(text))


def _value(text: str) -> Any | Broken:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return Broken("row_broken", {"column": error.colno, "reason": error.msg})
    except RecursionError:
        return Broken("row_broken", {"column": 1, "reason": "nested too deep"})
    except ValueError as error:
        return Broken("row_broken", {"column": 1, "reason": str(error)[:80]})
