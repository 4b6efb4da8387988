"""Something staged becomes a dataset: a folder with its rows, media, original and recipe, and an entry."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from trainer import __version__
from trainer.dataset.conversation import Row
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.canonical import with_media
from trainer.dataset.ingest.checking import BREATH, encoding_of
from trainer.dataset.ingest.cupboard import ROWS, Cupboard
from trainer.dataset.ingest.mends import RawRow
from trainer.dataset.ingest.naming import require_name
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reading import Bench, Looked
from trainer.dataset.ingest.recipe import MOST_LISTED, Dropped, Recipe, read_recipe, write_recipe
from trainer.dataset.ingest.task import Progress
from trainer.dataset.ingest.unpack import ORIGINAL, Staged, link_or_copy
from trainer.errors import UserError

MEDIA = "media"


@dataclass(frozen=True)
class Registered:
    """What was registered: rows read are `rows` and `dropped` (`reasons` counts them, `repaired` the mended ones)."""

    name: str
    rows: int
    dropped: int
    reasons: dict[str, int]
    repaired: dict[str, int]
    media: int


def register(
    cupboard: Cupboard,
    staged: Staged,
    plan: Plan,
    name: str,
    limits: Limits | None = None,
    *,
    kind: str = "",
    replacing: bool = False,
    looked: Looked | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Registered:
    """Writes `<data folder>/<name>/` and its entry, both or neither. `replacing` puts it in the place of the dataset of
    this name that was registered here before.

    Raises UserError when the name cannot be used, no row can, the disk is full, or it is stopped.
    """
    require_free(cupboard, name, replacing)
    limits = limits or Limits()
    bench = Bench(staged, plan, limits, looked=looked)
    ready = staged.folder / f"ready-{secrets.token_hex(4)}"
    ready.mkdir()
    try:
        done = _Writer(staged, plan, bench, ready).write(tell, stop)
        if not done.rows:
            raise UserError(
                "register_no_rows", count=done.read, reasons=" ".join(each.text for each in done.dropped[:3])
            )
        (ready / ORIGINAL).mkdir()
        link_or_copy(staged.original, ready / ORIGINAL / staged.source)
        recipe = _recipe(staged, plan, bench, name, kind, done)
        write_recipe(ready, recipe)
        with cupboard.changing():
            # Somebody else may have taken the name while the rows were written.
            name = require_free(cupboard, name, replacing)
            cupboard.add(name, ready, done.entry(plan, name))
    except OSError as error:
        raise UserError("register_not_written", name=name, reason=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(ready, ignore_errors=True)
    return Registered(
        name, done.rows, done.read - done.rows, dict(done.reasons), dict(done.repaired), done.media
    )


def require_free(cupboard: Cupboard, name: str, replacing: bool = False) -> str:
    """The name, when a dataset can be registered under it. Raises UserError otherwise."""
    if replacing and read_recipe(cupboard.home(name)) is not None:
        return name
    return require_name(name, cupboard.names())


class _Writer:
    """Writes the rows and media of one dataset into its folder."""

    def __init__(self, staged: Staged, plan: Plan, bench: Bench, ready: Path) -> None:
        self._staged, self._plan, self._bench, self._ready = staged, plan, bench, ready
        self.read = self.rows = self.media = 0
        self.reasons: Counter[str] = Counter()
        self.repaired: Counter[str] = Counter()
        self.dropped: list[Dropped] = []
        self._columns: set[str] = set()
        self._placed: dict[str, str] = {}
        self._taken: set[str] = set()

    def write(self, tell: Callable[[Progress], None], stop: Callable[[], bool]) -> _Writer:
        done = total = 0

        def note(now: int, whole: int) -> None:
            nonlocal done, total
            done, total = now, whole

        with (self._ready / ROWS).open("xb") as file:
            for table, item in self._bench.items(note):
                found = self._bench.find(table, item)
                self.read += 1
                if isinstance(found.read, Row) and found.raw is not None:
                    self._write_row(file, self._bench.placed(table, found.raw))
                    self.repaired.update(found.repairs)
                elif not isinstance(found.read, Row):
                    self.reasons[found.read.code] += 1
                    if len(self.dropped) < MOST_LISTED:
                        problem = found.read
                        self.dropped.append(Dropped(problem.file, problem.number, problem.code, problem.text))
                if self.read % BREATH == 0:
                    tell(Progress(self.read, done, total))
                    if stop():
                        raise UserError("ingest_stopped")
            file.flush()
            os.fsync(file.fileno())
        tell(Progress(self.read, total, total))
        return self

    def entry(self, plan: Plan, name: str) -> dict[str, Any]:
        """The entry; a column that no registered row has is not named, because a reader would look for it."""
        entry = plan.mapping.entry(f"{name}/{ROWS}")
        entry["columns"] = {
            role: column for role, column in entry["columns"].items() if column in self._columns
        }
        return entry

    def _write_row(self, file: IO[bytes], placed: RawRow) -> None:
        row = with_media(placed, self._plan.mapping, self._bench.canonical.names, self._bring)
        self._columns.update(row)
        try:
            line = json.dumps(row, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            # Half a character in a place that nothing reads: JSON can spell it.
            line = json.dumps(row, default=str).encode()
        file.write(line + b"\n")
        self.rows += 1

    def _bring(self, value: Any, column: str) -> Any:
        """A medium's name in the registered rows; its file is put below media/."""
        data = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(data, (bytes, bytearray)):
            return self._keep_bytes(bytes(data), value.get("path") if isinstance(value, dict) else None)
        if not isinstance(value, str) or not (path := Path(value)).is_absolute() or not path.is_file():
            return value
        if value not in self._placed:
            self._placed[value] = self._keep(path)
        return self._placed[value]

    def _keep(self, path: Path) -> str:
        real, beside = path.resolve(), self._staged.beside
        roots = [root.resolve() for root in (self._staged.files, *([beside] if beside else []))]
        home = next((root for root in roots if real.is_relative_to(root)), real.parent)
        name = self._free(PurePosixPath(real.relative_to(home).as_posix()))
        target = self._ready / MEDIA / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if home == roots[0]:
            link_or_copy(real, target)
        else:
            # A person's own file may be changed by its owner; a link would change with it.
            shutil.copyfile(real, target)
        return f"{MEDIA}/{name}"

    def _keep_bytes(self, data: bytes, name: Any) -> str:
        digest = hashlib.sha256(data).hexdigest()[:24]
        if digest not in self._placed:
            suffix = PurePosixPath(name).suffix.lower()[:8] if isinstance(name, str) else _suffix(data)
            target = (
                self._ready / MEDIA / str(self._free(PurePosixPath(f"{digest}{suffix or _suffix(data)}")))
            )
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
            self._placed[digest] = f"{MEDIA}/{target.name}"
        return self._placed[digest]

    def _free(self, inner: PurePosixPath) -> PurePosixPath:
        """A name that no other medium has, also where large and small letters are the same."""
        name, number = inner, 2
        while str(name).casefold() in self._taken:
            name, number = inner.with_name(f"{inner.stem}_{number}{inner.suffix}"), number + 1
        self._taken.add(str(name).casefold())
        self.media += 1
        return name


def _suffix(data: bytes) -> str:
    signs = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
    return next((suffix for sign, suffix in signs.items() if data.startswith(sign)), ".img")


def _recipe(staged: Staged, plan: Plan, bench: Bench, name: str, kind: str, done: _Writer) -> Recipe:
    return Recipe(
        name=name,
        source=staged.source,
        sha256=staged.sha256,
        bytes=staged.bytes,
        encoding=encoding_of(staged, bench.tables),
        kind=kind,
        tables=bench.tables,
        mapping=plan.mapping,
        repairs=plan.repairs,
        rows=done.read,
        registered=done.rows,
        media=done.media,
        dropped=tuple(done.dropped),
        reasons=dict(done.reasons),
        repaired=dict(done.repaired),
        version=__version__,
        date=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )
