"""A zip unpacked without trust: every name, size and kind is looked at before a byte is written."""

from __future__ import annotations

import errno
import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainer.dataset.ingest.naming import require_inner
from trainer.errors import UserError

TABLES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".xlsx")
PICTURES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
    ".jfif",
    ".ppm",
)
VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv")
MEDIA = (*PICTURES, *VIDEOS)

_CHUNK = 1 << 20
# Below this size a file may be as repetitive as it likes.
_HARMLESS = 1 << 20
# An entry of the directory takes about 100 bytes; reading more of them than a dataset can have is work for nothing.
_DIRECTORY = 64 << 20
# JSON that describes datasets and holds no rows; a download from here brings one along.
_DESCRIPTIONS = frozenset(["dataset_info.json", "dataset_infos.json", "recipe.json"])
_SYSTEM_FILES = frozenset(["thumbs.db", "desktop.ini", "ehthumbs.db"])
# Not LZMA: its header alone makes the reader ask for gigabytes of memory.
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# What zipfile trips over in a damaged archive.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What may be brought in at most: bytes of one file, media files of one archive, size of a picture, and how much
    larger an archive may become when it is unpacked (`ratio` times, and `unpacked_bytes` in all)."""

    file_bytes: int = 2 << 30
    media_files: int = 20_000
    megapixels: float = 50.0
    ratio: int = 200
    unpacked_bytes: int = 8 << 30


@dataclass(frozen=True)
class Unpacked:
    """The files that were written (paths below the folder), and the names of those that are of no use here."""

    tables: tuple[str, ...]
    media: int
    left_out: tuple[str, ...]


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a zip; an xlsx file begins so, too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"))


def unpack(path: Path, source: str, folder: Path, limits: Limits, stop: Callable[[], bool]) -> Unpacked:
    """Writes the tables and media of the zip at `path` below `folder`.

    Raises UserError, before anything is written where that can be known, for an archive that is broken, encrypted, a
    bomb, larger than the limits, or holds links, devices or names that lead outside.
    """
    _require_small_directory(path, source)
    try:
        with zipfile.ZipFile(path) as archive:
            plan = _plan(archive, source, limits, path.stat().st_size)
            for info, inner in plan.files:
                if stop():
                    raise UserError("ingest_stopped")
                _write(archive, info, folder / inner, source)
    except (*_DAMAGED, OSError) as error:
        # bz2 has no number for damaged data, and a seek to nowhere is refused as an invalid argument; the rest is the disk's.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            reason = error.strerror or str(error)
            raise UserError("data_folder_closed", folder=str(folder.parent), reason=reason) from error
        raise UserError(
            "archive_broken", archive=source, reason=str(error)[:200] or "it is damaged"
        ) from error
    tables = tuple(str(inner) for _, inner in plan.files if inner.suffix.lower() in TABLES)
    return Unpacked(tables, len(plan.files) - len(tables), tuple(plan.left_out))


@dataclass(frozen=True)
class _Plan:
    files: list[tuple[zipfile.ZipInfo, PurePosixPath]]
    left_out: list[str]


def _plan(archive: zipfile.ZipFile, source: str, limits: Limits, size: int) -> _Plan:
    infos = archive.infolist()
    names = _names(infos)
    plan = _Plan([], [])
    for info, name in zip(infos, names, strict=True):
        inner = require_inner(name, source)
        _require_ordinary(info, name, source)
        if info.is_dir() or name.endswith(("/", "\\")) or _is_system(inner):
            continue
        if inner.suffix.lower() not in (*TABLES, *MEDIA) or inner.name in _DESCRIPTIONS:
            plan.left_out.append(str(inner))
            continue
        _require_modest(info, name, source, limits)
        plan.files.append((info, inner))
    total = sum(info.file_size for info, _ in plan.files)
    if total > limits.unpacked_bytes:
        raise UserError(
            "archive_unpacked",
            archive=source,
            size=shown_size(total),
            limit=shown_size(limits.unpacked_bytes),
        )
    # Entries that share the same compressed bytes pass a look at each alone.
    if total > _HARMLESS and total > size * limits.ratio:
        raise UserError("archive_bomb", archive=source, name=source, ratio=total // size, limit=limits.ratio)
    media = sum(inner.suffix.lower() in MEDIA for _, inner in plan.files)
    if media > limits.media_files:
        raise UserError("archive_media", archive=source, count=media, limit=limits.media_files)
    _require_distinct([inner for _, inner in plan.files], source)
    return plan


def _names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names as their maker saw them: tools that do not say UTF-8 write UTF-8 or, in China, GB18030.

    zipfile reads names without the UTF-8 mark as cp437, which loses nothing and can be turned back.
    """
    unmarked = [info.orig_filename.encode("cp437") for info in infos if not info.flag_bits & 0x800]
    encoding = next((each for each in ("utf-8", "gb18030") if _all_decode(unmarked, each)), "cp437")
    return [
        info.orig_filename if info.flag_bits & 0x800 else info.orig_filename.encode("cp437").decode(encoding)
        for info in infos
    ]


def _all_decode(names: Sequence[bytes], encoding: str) -> bool:
    try:
        return all(name.decode(encoding) is not None for name in names)
    except UnicodeDecodeError:
        return False


def _is_system(inner: PurePosixPath) -> bool:
    """What operating systems add on their own, and hidden files."""
    return (
        not inner.parts
        or "__MACOSX" in inner.parts
        or any(part.startswith(".") for part in inner.parts)
        or inner.name.lower() in _SYSTEM_FILES
    )


def _require_ordinary(info: zipfile.ZipInfo, name: str, source: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise UserError("archive_link", archive=source, name=name[:80])
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError("archive_special", archive=source, name=name[:80])
    if info.flag_bits & 0x1:
        raise UserError("archive_encrypted", archive=source, name=name[:80])


def _require_modest(info: zipfile.ZipInfo, name: str, source: str, limits: Limits) -> None:
    if info.compress_type not in _READABLE:
        raise UserError("archive_method", archive=source, name=name[:80])
    if info.file_size > limits.file_bytes:
        raise UserError(
            "archive_file_large", archive=source, name=name[:80], limit=shown_size(limits.file_bytes)
        )
    ratio = info.file_size // max(info.compress_size, 1)
    if info.file_size > _HARMLESS and ratio > limits.ratio:
        raise UserError("archive_bomb", archive=source, name=name[:80], ratio=ratio, limit=limits.ratio)


def _require_distinct(paths: Sequence[PurePosixPath], source: str) -> None:
    """No two files that some system takes for one, and none that is a folder of another."""
    seen: dict[str, PurePosixPath] = {}
    for path in paths:
        key = _folded(path)
        if key in seen:
            raise UserError(
                "archive_collision", archive=source, first=str(seen[key])[:80], second=str(path)[:80]
            )
        seen[key] = path
    for path in paths:
        for above in list(path.parents)[:-1]:
            if _folded(above) in seen:
                raise UserError(
                    "archive_collision", archive=source, first=str(above)[:80], second=str(path)[:80]
                )


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, source: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # "x" and no links followed: the folder is ours and new, so whatever is there already is a trick.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with archive.open(info) as packed, os.fdopen(os.open(target, flags, 0o644), "wb") as file:
        written = 0
        while data := packed.read(_CHUNK):
            written += len(data)
            if written > info.file_size:
                raise zipfile.BadZipFile(f"{info.filename!r} is larger than it says")
            file.write(data)


def _require_small_directory(path: Path, source: str) -> None:
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = max(0, end - 65_600)
        file.seek(start)
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise UserError("archive_broken", archive=source, reason="it has no end")
    (size,) = struct.unpack_from("<L", tail, at + 12)
    at64 = tail.rfind(b"PK\x06\x06", 0, at)
    if size == 0xFFFFFFFF and at64 >= 0 and len(tail) - at64 >= 48:
        (size,) = struct.unpack_from("<Q", tail, at64 + 40)
    if size > _DIRECTORY:
        raise UserError("archive_directory", archive=source)


def shown_size(size: int) -> str:
    """A size for a sentence."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):.4g} {unit}"
    return f"{size} B"
