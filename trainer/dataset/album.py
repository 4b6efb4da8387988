"""The pictures and videos of rendered rows, kept beside their tokens.

Files stay where they are and are named; what a row itself held becomes a file of the folder, once for equal bytes. A
file that is another one later makes the rows worthless: how many tokens it takes may have changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.dataset.conversation import Media

ALBUM, BYTES = "media.json", "media"


def content_key(media: Media) -> str:
    """A fingerprint of what a medium shows; empty when its file cannot be read."""
    if media.frames:
        own = "".join(content_key(each) or "?" for each in media.frames)
        return hashlib.sha256(own.encode()).hexdigest()
    if media.path is None:
        return hashlib.sha256(media.data or b"").hexdigest()
    try:
        with media.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@dataclass(frozen=True)
class Album:
    """`shown` has the media of each row that has some, by its place; `files` the fingerprints of all files of rows."""

    shown: Mapping[int, tuple[Media, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def of(self, place: int) -> tuple[Media, ...]:
        return self.shown.get(place, ())

    def key(self, media: Media) -> str:
        """As `content_key`, without reading files again."""
        if media.path is None:
            return content_key(media)
        return media.path.name if _own(media.path) else self.files.get(str(media.path)) or content_key(media)

    @classmethod
    def read(cls, folder: Path, now: bool = False) -> Album:
        """What `Collector` left. Raises OSError, KeyError or ValueError, that also for a file that has changed.

        Files are not looked at when they were just `now`.
        """
        path = folder / ALBUM
        if not path.exists():
            return cls()
        found = json.loads(path.read_text(encoding="utf-8"))
        for name, key in found["files"].items() if not now else ():
            if content_key(Media("image", path=Path(name))) != key:
                raise ValueError(f"{name} is not the file any more that it was")
        shown = {
            int(place): tuple(_as_media(each, folder) for each in row) for place, row in found["rows"].items()
        }
        return cls(shown, found["files"])


class Collector:
    """Takes the media of rows one by one; with a folder, bytes are written there instead of staying in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._shown: dict[int, tuple[Media, ...]] = {}
        self._files: dict[str, str] = {}

    def add(self, place: int, media: tuple[Media, ...]) -> None:
        """The media of the row at `place`. Raises OSError when the disk is full."""
        if media:
            self.watch(media)
            self._shown[place] = tuple(self._kept(each) for each in media)

    def watch(self, media: tuple[Media, ...]) -> None:
        """Remembers the files of a row, one that was refused, too: another file may be a better one."""
        for each in media:
            self.watch(each.frames)
            # Bytes of a row that were kept earlier lie under their own fingerprint.
            if each.path is not None and str(each.path) not in self._files and not _own(each.path):
                self._files[str(each.path)] = content_key(each)

    def _kept(self, media: Media) -> Media:
        if media.frames:
            return Media(media.kind, frames=tuple(self._kept(each) for each in media.frames))
        if self._folder is None:
            return media
        if media.path is not None and _own(media.path):
            media = Media(media.kind, data=media.path.read_bytes())
        if media.path is not None:
            return media
        path = self._folder / BYTES / content_key(media)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(media.data or b"")
        return Media(media.kind, path=path)

    def close(self) -> Album:
        """All of them. Raises OSError."""
        if self._folder is None or not (self._shown or self._files):
            return Album(self._shown, self._files)
        rows = {place: [_as_json(each) for each in row] for place, row in self._shown.items()}
        text = json.dumps({"rows": rows, "files": self._files})
        (self._folder / ALBUM).write_text(text, encoding="utf-8")
        return Album(self._shown, self._files)


def _own(path: Path) -> bool:
    return path.parent.name == BYTES and len(path.name) == 64


def _as_json(media: Media) -> Any:
    if media.frames:
        return [media.kind, [_as_json(each) for each in media.frames]]
    assert media.path is not None
    # A folder of rendered rows is renamed when it is whole, so that its own files are named as seen from it.
    own = _own(media.path)
    return [media.kind, f"{BYTES}/{media.path.name}" if own else str(media.path)]


def _as_media(found: Any, folder: Path) -> Media:
    kind, what = found
    if isinstance(what, list):
        return Media(kind, frames=tuple(_as_media(each, folder) for each in what))
    # An absolute path stays what it is.
    return Media(kind, path=folder / what)
