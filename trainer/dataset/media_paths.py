"""Where the pictures and videos of a row are, and at which places of its texts they belong.

Nothing is opened or fetched here: a medium is a file that is there, or bytes that the row itself holds.
"""

from __future__ import annotations

import base64
import binascii
import errno
import re
import stat
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from trainer.dataset.conversation import Media, MediaKind, Message, Part, Text
from trainer.dataset.entry import Columns
from trainer.dataset.fields import Bad, shown, unpacked, wrong

MARKS: dict[MediaKind, str] = {"image": "<image>", "video": "<video>"}
_PATHS = "a path, or an object with bytes or path"
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
_DATA = re.compile(r"data:[^,]{0,200},")


class Finder:
    """Finds the media of a dataset: beside the file of the row, then below each of `folders`, in this order."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def find(self, kind: MediaKind, value: Any, field: str, beside: Path | None) -> Media:
        """The medium that a value of a row means. Raises Bad when there is none, or it is an address of the web."""
        if isinstance(value, Mapping):
            data, path = value.get("bytes"), value.get("path") or value.get("url")
            value = data or path or None
        if isinstance(value, bytes):
            return Media(kind, data=value)
        if isinstance(value, list) and kind == "video":
            if not value:
                raise Bad("row_video_frameless", field=field)
            frames = (self.find("image", each, f"{field}[{at}]", beside) for at, each in enumerate(value, 1))
            return Media(kind, frames=tuple(frames))
        if not isinstance(value, str):
            raise wrong(field, value, _PATHS if kind == "image" else f"{_PATHS}, or a list of frames")
        if _DATA.match(value):
            return Media(kind, data=_decoded(value, field))
        if _ADDRESS.match(value):
            raise Bad("row_media_address", field=field, address=shown(value))
        return Media(kind, path=self._file(value, field, beside))

    def _file(self, name: str, field: str, beside: Path | None) -> Path:
        if not name.strip() or "\0" in name:
            raise Bad(
                "row_media_name",
                field=field,
                path=shown(name.replace("\0", "\\0")),
                reason="it is no name of a file",
            )
        folders = [each for each in (beside, *self._folders) if each is not None]
        own = Path(name).expanduser() if name.startswith("~/") else Path(name)
        # A path that is absolute stays what it is, whatever folder it is joined to.
        places = list(dict.fromkeys(folder / own for folder in folders)) or (
            [own] if own.is_absolute() else []
        )
        dangling = False
        for path in places:
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    return path
                raise Bad("row_media_folder", field=field, path=shown(name, 200))
            except FileNotFoundError:
                dangling = dangling or path.is_symlink()
            except NotADirectoryError:
                continue
            except (OSError, ValueError) as error:
                raise Bad("row_media_name", field=field, path=shown(name), reason=_reason(error)) from None
        if dangling:
            raise Bad("row_media_link", field=field, path=shown(name, 200))
        raise Bad("row_media_missing", field=field, path=shown(name, 200))


def _reason(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return "it is no name of a file"
    if error.errno == errno.ENAMETOOLONG:
        return "it is too long"
    if error.errno == errno.ELOOP:
        return "it is a link that leads to itself"
    return str(error.strerror)


def _decoded(address: str, field: str) -> bytes:
    """The bytes of a data: address, https://www.rfc-editor.org/rfc/rfc2397."""
    head, _, body = address.partition(",")
    try:
        if not head.endswith(";base64"):
            raise Bad("row_media_data", field=field, reason="it is not in base64")
        data = base64.b64decode(re.sub(r"\s+", "", body), validate=True)
    except (binascii.Error, ValueError):
        raise Bad("row_media_data", field=field, reason="its base64 is broken") from None
    if not data:
        raise Bad("row_media_data", field=field, reason="it is empty")
    return data


class Gallery:
    """The media of one row: those of its columns, handed out one after another at the marks of its texts."""

    def __init__(
        self, finder: Finder, columns: Columns, row: Mapping[str, Any], explicit: bool, beside: Path | None
    ):
        self._finder = finder
        self._beside = beside
        self._columns: dict[MediaKind, str] = {}
        self._waiting: dict[MediaKind, list[Media]] = {"image": [], "video": []}
        self._asked: dict[MediaKind, int] = {"image": 0, "video": 0}
        self._inline: set[MediaKind] = set()
        for kind, column in (("image", columns.images), ("video", columns.videos)):
            # Without such a column <image> and <video> are words, as in a text on HTML.
            if column and (explicit or row.get(column) is not None):
                self._columns[cast(MediaKind, kind)] = column
                self._waiting[cast(MediaKind, kind)] = self._listed(
                    cast(MediaKind, kind), row.get(column), column
                )
        self._given = {kind: len(found) for kind, found in self._waiting.items()}
        words = "|".join(re.escape(MARKS[kind]) for kind in self._columns)
        self._marks = re.compile(f"({words})") if words else None

    def _listed(self, kind: MediaKind, value: Any, column: str) -> list[Media]:
        value = unpacked(value)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            return [self._finder.find(kind, value, column, self._beside)]
        return [
            self._finder.find(kind, each, f"{column}[{at}]", self._beside) for at, each in enumerate(value, 1)
        ]

    def split(self, text: str) -> tuple[Part, ...]:
        """A text with its media in the place of their marks."""
        if self._marks is None or "<" not in text:
            return (Text(text),)
        kinds: dict[str, MediaKind] = {mark: kind for kind, mark in MARKS.items()}
        pieces = self._marks.split(text)
        parts = [self.next(kinds[each]) if each in kinds else Text(each) for each in pieces if each]
        return tuple(parts) or (Text(text),)

    def next(self, kind: MediaKind) -> Media:
        """The next medium of its column. When there is none left, `placed` says so."""
        self._asked[kind] += 1
        at = self._asked[kind] - 1
        return self._waiting[kind][at] if at < self._given[kind] else Media(kind)

    def inline(self, kind: MediaKind, value: Any, field: str) -> Media:
        """A medium that a message itself names."""
        self._inline.add(kind)
        return self._finder.find(kind, value, field, self._beside)

    def aside(self) -> Gallery:
        """For texts that are looked at and not used: nothing is handed out to them, nor counted."""
        other = copy(self)
        other._marks, other._inline = None, set()
        other._asked = dict.fromkeys(self._asked, 0)
        return other

    def placed(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with every medium in its place: those without any mark before the first question's text.

        Raises Bad when there are more or fewer marks than media.
        """
        first: list[Part] = []
        for kind, asked in self._asked.items():
            given = self._given[kind]
            if asked == given:
                continue
            if asked or kind in self._inline:
                column = self._columns.get(kind, f"{kind}s")
                raise Bad("row_media_count", field=column, mark=MARKS[kind], marks=asked, media=given)
            first += self._waiting[kind]
        if not first:
            return tuple(messages)
        opening = messages[0]
        parts = tuple(part for part in opening.parts if part != Text(""))
        return (replace(opening, parts=(*first, *parts)), *messages[1:])
