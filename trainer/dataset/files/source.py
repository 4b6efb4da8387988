"""One data file: that it is there, a regular file, and truly of the kind its name says."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainer.dataset.files.item import Tell
from trainer.errors import UserError

KINDS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "txt",
    ".xlsx": "xlsx",
}
SUFFIXES = tuple(KINDS)
TEXTS = ("json", "jsonl", "csv", "tsv", "txt")
GZIP = b"\x1f\x8b"
HEAD_BYTES = 4096
_SHOWN = 200

_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"PAR1": "a parquet table",
    b"ARROW1": "an arrow table",
    b"%PDF": "a PDF document",
    b"{\\rtf": "a document in rich text",
    b"\xd0\xcf\x11\xe0": "an old Office document (xls, doc) or one with a password",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"\x80\x02}": "a pickle",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
    b"version https://git-lfs": "only a pointer of Git LFS to the file",
}
_IN_ZIP = {"word/": "a Word document", "xl/": "an Excel table (xlsx)", "ppt/": "a PowerPoint document"}
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script")


class Progress:
    """How far a reading has come, in bytes of all its files together."""

    def __init__(self, tell: Tell | None, total: int) -> None:
        self._tell = tell
        self._total = total
        self._before = 0

    def at(self, done: int) -> None:
        """`done` bytes of the present file are read."""
        if self._tell is not None:
            self._tell(min(self._before + done, self._total), self._total)

    def next_file(self, size: int) -> None:
        self._before += size
        self.at(0)


@dataclass
class Skip:
    """Rows still to be passed over. Readers count it down, across the files of a folder."""

    left: int = 0

    def takes(self) -> bool:
        """Whether the row at hand is one of them."""
        if not self.left:
            return False
        self.left -= 1
        return True

    def takes_all(self, rows: int) -> bool:
        """Whether a whole piece of `rows` rows is passed over at once."""
        if rows > self.left:
            return False
        self.left -= rows
        return True


@dataclass(frozen=True)
class Source:
    """A regular file of a known kind. `label` is its name where a folder is read; `field` the option that names it."""

    path: Path
    kind: str
    size: int
    label: str = ""
    field: str = "dataset"

    @property
    def shown(self) -> str:
        """How sentences call it."""
        return shown(self.path)

    def error(self, code: str, **values: str | int) -> UserError:
        return UserError(code, field=self.field, path=self.shown, **values)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A disk that fails in the middle has its sentence too."""
        try:
            yield
        except OSError as error:
            raise self.error("file_unreadable", reason=reason_of(error)) from None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        with self.guarded():
            file = self.path.open("rb")
        with file:
            yield file


def shown(path: Path) -> str:
    """A path as sentences show it: a name of thousands of characters is cut."""
    text = str(path)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def reason_of(error: OSError) -> str:
    return error.strerror or str(error)[:_SHOWN] or type(error).__name__


def stat_of(path: Path, field: str) -> int:
    """The mode of what the path leads to, links followed. Raises UserError when it leads nowhere."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            target = shown(path.readlink())
            raise UserError("file_link", field=field, path=shown(path), target=target) from None
        raise UserError("file_missing", field=field, path=shown(path)) from None
    except OSError as error:
        raise UserError("file_unreadable", field=field, path=shown(path), reason=reason_of(error)) from None
    except ValueError:
        raise UserError(
            "file_unreadable", field=field, path=shown(path), reason="the name holds a NUL"
        ) from None


def kind_by_name(name: str) -> str:
    """The kind that a file's name says (`rows.jsonl.gz` is jsonl); empty for a name that says none."""
    path = Path(name.lower())
    suffix = path.suffix
    if suffix == ".gz":
        kind = KINDS.get(Path(path.stem).suffix, "")
        return kind if kind in TEXTS else ""
    return KINDS.get(suffix, "")


def find_source(path: Path, label: str = "", field: str = "dataset") -> Source:
    """The file with its kind. Raises UserError for what is no regular file, and for contents of another kind."""
    mode = stat_of(path, field)
    if not stat.S_ISREG(mode):
        raise UserError("file_special", field=field, path=shown(path), found=_special(mode))
    source = Source(path, kind_by_name(path.name), path.stat().st_size, label, field)
    with source.opened() as file, source.guarded():
        head = file.read(HEAD_BYTES)
    kind = source.kind or _kind_by_content(path, head)
    if not kind:
        raise source.error("file_kind", allowed=", ".join(SUFFIXES))
    source = Source(path, kind, source.size, label, field)
    found = _foreign(source, head)
    if found:
        raise source.error("file_other_kind", kind=kind, found=found)
    return source


def _special(mode: int) -> str:
    names = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return names.get(stat.S_IFMT(mode), "a device")


def _kind_by_content(path: Path, head: bytes) -> str:
    """A name without any ending, as LLaMA-Factory's users have them by accident, is read by what it holds."""
    if path.suffix:
        return ""
    if head.startswith(b"PAR1"):
        return "parquet"
    return "json" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{") else ""


def _foreign(source: Source, head: bytes) -> str:
    """What the file holds when that is not what its name says; empty when nothing speaks against it."""
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if source.kind == "parquet" and (head.startswith(b"PAR1") or not head):
        return ""
    if source.kind == "arrow" and (head.startswith(b"ARROW1") or not head):
        return ""
    if source.kind == "xlsx" and head.startswith(b"PK\x03\x04"):
        found = _in_zip(source.path)
        return "" if "Excel" in found else found
    if found.startswith("a zip"):
        return _in_zip(source.path)
    if found:
        return found
    if source.kind != "txt" and head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        return "a web page or XML"
    if source.kind in ("parquet", "xlsx") and head:
        return "something else, or it is damaged"
    return ""


def _in_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive"
    for start, found in _IN_ZIP.items():
        if any(name.startswith(start) for name in names):
            return found
    return "a zip archive"
