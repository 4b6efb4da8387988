"""Which staged file a row means when it names a picture or a video."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from trainer.dataset.ingest.archive import MEDIA
from trainer.dataset.ingest.unpack import Staged
from trainer.errors import UserError
from trainer.paths import safe_path

Parts = tuple[str, ...]


class Outside(Exception):
    """A row names a file outside of what was brought in."""

    def __init__(self, field: str, name: str) -> None:
        super().__init__(name)
        self.field, self.name = field, name


class MediaFiles:
    """Finds the media of staged tables. `elsewhere` maps names that no file has as they stand to the files they mean."""

    def __init__(self, staged: Staged) -> None:
        self._files, self._beside = staged.files, staged.beside
        self._root = staged.files.resolve()
        self.elsewhere: dict[str, str] = {}

    def find(self, table: str, name: str, column: str) -> Path | None:
        """The file: beside the table, then below the staged files, then beside the person's own file.

        A name from another machine (`D:\\\\set\\\\a.PNG`, `/home/me/set/a.png`) means the one staged file whose path fits
        it. None when there is none. Raises Outside for a name that leads out and fits nothing.
        """
        path = PurePosixPath(name.replace("\\", "/") if "/" not in name else name)
        # The reader takes `~` for the home of whoever runs the server.
        outside = path.is_absolute() or name.startswith("~")
        for start in () if outside else (PurePosixPath(table).parent, PurePosixPath()):
            try:
                found = safe_path(self._files, os.path.normpath(start / path))
                if found.is_file():
                    return found
            except UserError:
                outside = True
            except (OSError, ValueError):  # a name that is too long for the disk, or has a zero byte
                return None
        # The person at a terminal may read these files anyway.
        if self._beside and (self._beside / path).is_file():
            return (self._beside / path).resolve()
        if fitting := self._fitting(table, path):
            self.elsewhere.setdefault(name[:80], self.shown(fitting))
            return fitting
        if outside and not self._beside:
            raise Outside(column, name[:80])
        return None

    def holds(self, path: Path) -> bool:
        """Whether a file was brought in."""
        return path.resolve().is_relative_to(self._root)

    def shown(self, path: Path | str) -> str:
        """A path as a sentence shows it: as seen from what was brought in."""
        text = str(path)
        for root in (self._files, self._root):
            text = text.removeprefix(f"{root}{os.sep}")
        return text

    def _fitting(self, table: str, path: PurePosixPath) -> Path | None:
        """The one file whose path below its table's folder ends the name, or is ended by it; large letters are small ones."""
        wanted = tuple(part.casefold() for part in path.parts if part != "/")
        if not wanted or ".." in wanted:
            return None
        home = PurePosixPath(table).parent
        fits: list[Path] = []
        for inner in self._by_name.get(wanted[-1], ()):
            seen = inner.relative_to(home) if inner.is_relative_to(home) else inner
            parts = tuple(part.casefold() for part in seen.parts)
            if wanted[-len(parts) :] == parts or parts[-len(wanted) :] == wanted:
                fits.append(self._files / inner)
        return fits[0] if len(fits) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, list[PurePosixPath]]:
        found: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for path in self._files.rglob("*"):
            if path.suffix.lower() in MEDIA and path.is_file():
                inner = PurePosixPath(path.relative_to(self._files).as_posix())
                found[inner.name.casefold()].append(inner)
        return found
