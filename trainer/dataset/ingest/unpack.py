"""A dropped file, or the tables and media of a dropped zip, in a folder of their own until they are registered."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from trainer.dataset.files import Item, Tell, read_items
from trainer.dataset.ingest.archive import (
    MEDIA,
    TABLES,
    Limits,
    Unpacked,
    is_archive,
    shown_size,
    unpack,
)
from trainer.dataset.ingest.naming import plain_source
from trainer.dataset.ingest.reason import Reason
from trainer.errors import UserError

ORIGINAL, FILES = "original", "files"
_CHUNK = 1 << 20
# What archives that are no zip begin with.
_OTHER_ARCHIVES = (b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_SIGNS = {b"PAR1": ".parquet", b"ARROW1": ".arrow", b"{": ".jsonl", b"[": ".json"}


@dataclass(frozen=True)
class Table:
    """A table that was brought in: its name (a path below the staged files), kind and size."""

    name: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class Choice:
    """One table, or all tables of one kind, that can become a dataset."""

    tables: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Staged:
    """What was brought in. `folder` holds the untouched original and the files to be read.

    `beside`: the folder from which a person at a terminal named the file; media are looked for there, too.
    """

    token: str
    folder: Path
    source: str
    bytes: int
    sha256: str
    tables: tuple[Table, ...]
    media: int
    notes: tuple[Reason, ...] = ()
    beside: Path | None = None

    @property
    def original(self) -> Path:
        """The person's file as it was given."""
        return next((self.folder / ORIGINAL).iterdir())

    @property
    def files(self) -> Path:
        """Below it lie the tables and media."""
        return self.folder / FILES

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Each table, and all of one kind where there are several; the largest table first."""
        by_size = sorted(self.tables, key=lambda table: (table.kind == "txt", -table.bytes, table.name))
        single = [Choice((table.name,), table.kind) for table in by_size]
        kinds = dict.fromkeys(table.kind for table in by_size)
        together = [
            Choice(tuple(sorted(table.name for table in by_size if table.kind == kind)), kind)
            for kind in kinds
        ]
        return (*single, *(choice for choice in together if len(choice.tables) > 1))

    def read(self, table: str, tell: Tell | None = None) -> Iterator[Item]:
        """The items of a table. A UserError names the file as the person does: where it lies for a day is no news."""
        try:
            yield from read_items(self.files / table, tell=tell)
        except UserError as error:
            values = {
                key: value.replace(f"{self.files}{os.sep}", "") if isinstance(value, str) else value
                for key, value in error.values.items()
            }
            raise UserError(error.code, field=error.field, **values) from error

    def require(self, tables: Sequence[str]) -> tuple[str, ...]:
        """The names of the tables, those of the first choice when none is given. Raises UserError for others."""
        known = {table.name for table in self.tables}
        for name in tables:
            if name not in known:
                raise UserError("table_unknown", name=name[:80], names=", ".join(sorted(known)))
        return tuple(tables) or self.choices[0].tables


def stage(
    path: Path,
    folder: Path,
    source: str = "",
    *,
    media: Sequence[Path] = (),
    limits: Limits | None = None,
    beside: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Staged:
    """Copies the file into `folder` (new, its name is the token) and unpacks it when it is a zip.

    `source` is the file's own name where `path` has another; `media` are pictures and videos given beside a table.
    Raises UserError when it is refused; `folder` is then to be removed.
    """
    limits = limits or Limits()
    source = plain_source(source or path.name)
    size = _require_file(path, source, limits)
    _require_room(folder, size, source)
    (folder / ORIGINAL).mkdir(parents=True)
    original = folder / ORIGINAL / source
    digest = _copy(path, original, limits.file_bytes, source, stop)
    unpacked = _spread(original, source, folder, limits, stop)
    added = _add_media(media, folder / FILES, limits, stop)
    return _staged(folder, source, size, digest, unpacked, added, beside)


def look_at(path: Path, folder: Path, limits: Limits | None = None) -> Staged:
    """As `stage`, of a file that its owner only wants to be looked at: it is read where it lies, and never registered.

    Raises UserError when it is refused.
    """
    limits = limits or Limits()
    source = plain_source(path.name)
    path = path.resolve()
    size = _require_file(path, source, limits)
    unpacked = _spread(path, source, folder, limits, lambda: False)
    return _staged(folder, source, size, "", unpacked, 0, path.parent)


def _spread(path: Path, source: str, folder: Path, limits: Limits, stop: Callable[[], bool]) -> Unpacked:
    """Puts the tables and media of a file below the folder's files."""
    files = folder / FILES
    files.mkdir()
    head = _head(path, source)
    if head.startswith(_OTHER_ARCHIVES):
        raise UserError("ingest_archive_kind", name=source)
    if is_archive(head) and path.suffix.lower() != ".xlsx":
        return unpack(path, source, files, limits, stop)
    return Unpacked((_as_table(path, source, head, files),), 0, ())


def _head(path: Path, source: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise UserError("ingest_unreadable", name=source, reason=str(error.strerror)) from error


def _staged(
    folder: Path, source: str, size: int, digest: str, unpacked: Unpacked, added: int, beside: Path | None
) -> Staged:
    tables = tuple(_table(folder / FILES, name) for name in unpacked.tables)
    filled = tuple(table for table in tables if table.bytes)
    if not filled:
        raise _nothing(source, unpacked, tables)
    media, notes = unpacked.media + added, _notes(unpacked)
    return Staged(folder.name, folder, source, size, digest, filled, media, notes, beside)


def _require_file(path: Path, source: str, limits: Limits) -> int:
    try:
        facts = path.lstat()
    except OSError as error:
        raise UserError("ingest_unreadable", name=source, reason=str(error.strerror)) from error
    if stat.S_ISDIR(facts.st_mode):
        raise UserError("ingest_folder", name=source)
    if not stat.S_ISREG(facts.st_mode):
        raise UserError("ingest_link", name=source)
    if not facts.st_size:
        raise UserError("ingest_empty", name=source)
    if facts.st_size > limits.file_bytes:
        raise _too_large(source, facts.st_size, limits.file_bytes)
    return facts.st_size


def _too_large(source: str, size: int, limit: int) -> UserError:
    return UserError("ingest_too_large", name=source, size=shown_size(size), limit=shown_size(limit))


def _require_room(folder: Path, size: int, source: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size * 2:
        raise UserError("ingest_no_room", name=source, size=shown_size(size * 2), free=shown_size(free))


def _copy(path: Path, target: Path, limit: int, source: str, stop: Callable[[], bool]) -> str:
    """Copies without following a link; returns the SHA-256 of what was copied."""
    digest, copied = hashlib.sha256(), 0
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as given, target.open("xb") as kept:
            while data := given.read(_CHUNK):
                copied += len(data)
                if copied > limit:
                    raise _too_large(source, copied, limit)
                if stop():
                    raise UserError("ingest_stopped")
                digest.update(data)
                kept.write(data)
    except OSError as error:
        raise UserError("ingest_unreadable", name=source, reason=str(error.strerror)) from error
    return digest.hexdigest()


def _as_table(path: Path, source: str, head: bytes, files: Path) -> str:
    """The single file as a table, under a name whose ending says what it is."""
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        suffix = next((kind for sign, kind in _SIGNS.items() if head.lstrip().startswith(sign)), "")
        if not suffix:
            allowed = ", ".join(each[1:] for each in (*TABLES, ".zip"))
            raise UserError("ingest_kind", name=source, allowed=allowed)
    name = f"{PurePath(source).stem}{suffix}"
    try:
        if path.is_relative_to(files.parent):
            link_or_copy(path, files / name)
        else:
            (files / name).symlink_to(path)
    except OSError:
        shutil.copyfile(path, files / name)
    return name


def _table(files: Path, name: str) -> Table:
    path = files / name
    return Table(name, path.suffix.lower()[1:], path.stat().st_size)


def _nothing(source: str, unpacked: Unpacked, tables: Sequence[Table]) -> UserError:
    if tables:
        return UserError("archive_tables_empty", archive=source)
    if nested := next(
        (name for name in unpacked.left_out if name.lower().endswith((".zip", ".gz", ".7z", ".rar"))), ""
    ):
        return UserError("archive_nested", archive=source, name=nested[:80])
    return UserError("archive_no_table", archive=source, allowed=", ".join(each[1:] for each in TABLES))


def _add_media(paths: Sequence[Path], files: Path, limits: Limits, stop: Callable[[], bool]) -> int:
    if len(paths) > limits.media_files:
        raise UserError("archive_media", archive=paths[0].name, count=len(paths), limit=limits.media_files)
    for path in paths:
        name = plain_source(path.name)
        if Path(name).suffix.lower() not in MEDIA:
            raise UserError("ingest_not_media", name=name)
        _require_file(path, name, limits)
        if (files / name).exists():
            raise UserError("ingest_media_twice", name=name)
        _copy(path, files / name, limits.file_bytes, name, stop)
    return len(paths)


def _notes(unpacked: Unpacked) -> tuple[Reason, ...]:
    if not unpacked.left_out:
        return ()
    first = ", ".join(name[:60] for name in unpacked.left_out[:3])
    return (Reason("archive_left_out", {"count": len(unpacked.left_out), "names": first}),)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name where the disk can do that, else a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)
