"""Rendered rows of datasets, kept from one run to the next.

The key is what decides the tokens: the bytes of the files, the entry in dataset_info.json, the options that matter, the
tokenizer, the template and this program's own code, never a time. So a changed row, model or cutoff renders anew
without being told, and `overwrite_cache` is only for a person who doubts it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Row, RowProblem
from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.files import look_into
from trainer.dataset.load import drawn_rows, limit_of, rows_of
from trainer.dataset.mix import Places
from trainer.dataset.render import Renderer
from trainer.dataset.rows import Reading
from trainer.dataset.table import Block, Builder
from trainer.errors import UserError
from trainer.options import DataOptions

# So many rows are rendered between two questions whether to go on.
BREATH = 256
KEPT_BYTES = 20 * 1024**3
KEPT_FOLDERS = 200
# Nobody is still rendering into a folder of this age.
STALE_S = 3 * 24 * 3600
PLACES, PROBLEMS = "places.bin", "problems.json"
# What else turns rows into tokens.
LIBRARIES = ("tokenizers", "transformers", "jinja2")
_BROKEN = (OSError, ValueError, KeyError, TypeError)


def default_folder() -> Path:
    """Where rendered rows lie unless a caller says otherwise."""
    return Path.home() / ".cache" / "tuneboard" / "rows"


@dataclass(frozen=True)
class Source:
    """One dataset, rendered. `places[i]` is where usable row i lies in `block`, or -1 where the renderer refuses it.

    `unreadable` are the rows that the reader refuses, `refused` the renderer's reasons by the number of the usable row.
    """

    block: Block
    places: Places
    unreadable: list[RowProblem]
    refused: dict[int, RowProblem]


class Origin(NamedTuple):
    """A dataset and all that decides which rows it gives: the options, the seed of a draw, and the hub."""

    info: DatasetInfo
    data: DataOptions
    seed: int = 42
    hub: Hub = "huggingface"

    def rows(self) -> Iterator[Row | RowProblem]:
        return rows_of(self.info, self.data, self.hub)

    def drawn(self) -> frozenset[int] | None:
        """The usable rows that num_samples draws, found out by reading all; None without it."""
        if self.info.num_samples is None:
            return None
        usable = sum(isinstance(each, Row) for each in self.rows())
        return frozenset(drawn_rows(self.info, usable, self.data, self.seed).tolist())


def rendered_source(
    renderer: Renderer, origin: Origin, folder: Path | None = None, breathe: Callable[[], None] = lambda: None
) -> Source:
    """The rows of a dataset as tokens, from the cache where it has them; then no row is read.

    Of a dataset with num_samples only the drawn rows are rendered. `breathe` is called now and then while they are; what
    it raises ends the work, and nothing is kept. Raises UserError as `rows_of` does, and for a row with pictures or
    videos when the model sees none.
    """
    folder = folder or default_folder()
    path = folder / _key(renderer, origin)
    if not origin.data.overwrite_cache:
        try:
            return _read(path)
        except _BROKEN:
            pass
    part = _part_folder(folder)
    if part is None:
        return _render(renderer, origin, Builder(), breathe)
    try:
        return _keep(_render(renderer, origin, Builder(part), breathe), part, path)
    except OSError:
        # A full or read-only disk: the cache is a comfort, the rows are read once more.
        return _render(renderer, origin, Builder(), breathe)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part_folder(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder, suffix=".part"))
    except OSError:
        return None


def _render(renderer: Renderer, origin: Origin, builder: Builder, breathe: Callable[[], None]) -> Source:
    """Reads, renders and stores: only the rows of a few batches are in memory as conversations."""
    drawn = origin.drawn()
    unreadable: list[RowProblem] = []
    refused: dict[int, RowProblem] = {}
    places = array("q")

    # Rows that are being rendered.
    waiting: deque[tuple[int, Row]] = deque()

    def needed() -> Iterator[Conversation]:
        for place, each in enumerate(origin.rows()):
            if place % BREATH == 0:
                breathe()
            if isinstance(each, RowProblem):
                unreadable.append(each)
                continue
            number = len(places)
            places.append(-1)
            if drawn is None or number in drawn:
                waiting.append((number, seen_by(renderer, each)))
                yield each.conversation

    count = 0
    for found in renderer.render_many(needed()):
        number, row = waiting.popleft()
        if isinstance(found, Unusable):
            refused[number] = RowProblem(row.dataset, row.number, found.code, found.values, row.file)
            builder.watch(row.conversation.media)
        else:
            builder.add(found)
            places[number] = count
            count += 1
    return Source(builder.close(), np.array(places, dtype=np.int64), unreadable, refused)


def seen_by(renderer: Renderer, row: Row) -> Row:
    """The row itself. Raises UserError when it shows pictures or videos and the model sees none."""
    if row.conversation.media and not renderer.sees:
        place = f"{row.dataset} ({row.file})" if row.file else row.dataset
        raise UserError("rows_with_media", field="dataset", dataset=place, number=row.number)
    return row


def contents_key(origin: Origin) -> str:
    """A fingerprint of the bytes of a dataset's files and of their names.

    The files of a hub's dataset are not ours to look at: its rows are read instead.
    """
    digest = hashlib.sha256()
    path = origin.info.path
    if origin.info.hub:
        for row in origin.rows():
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
    # A pipe or a device would be read without end.
    look_into(path)
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    try:
        for each in files:
            name = each.relative_to(path).as_posix() if path.is_dir() else path.name
            digest.update(f"{len(name)} {name}".encode("utf-8", "surrogatepass"))
            with each.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        reason = str(error.strerror)
        raise UserError("file_unreadable", field="dataset", path=str(path), reason=reason) from None
    return digest.hexdigest()


@cache
def code_key() -> str:
    """A fingerprint of the code that turns files into tokens: what it changes is never taken from the cache."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted((*room.rglob("*.py"), *(room.parent / "model" / "templates").glob("*.jinja"))):
        digest.update(path.relative_to(room.parent).as_posix().encode() + path.read_bytes())
    versions = [importlib.metadata.version(name) for name in LIBRARIES]
    return hashlib.sha256(repr((digest.hexdigest(), versions)).encode()).hexdigest()


def _key(renderer: Renderer, origin: Origin) -> str:
    """The name under which the rows are kept."""
    info, data = origin.info, origin.data
    # Of a dataset from which rows are drawn, the draw decides what is rendered; of another the seed changes nothing.
    drawn = () if info.num_samples is None else (origin.seed, data.max_samples)
    entry = replace(info, path=Path())
    names = Reading.of(data).names
    # Media are found from where the dataset lies.
    places = (info.path.absolute(), Reading.of(data).folders) if renderer.sees else ()
    facts = (
        contents_key(origin),
        entry,
        names,
        limit_of(info, data),
        drawn,
        renderer.fingerprint,
        code_key(),
        places,
    )
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()


def _keep(source: Source, part: Path, path: Path) -> Source:
    """Moves a rendered dataset to its place. Raises OSError."""
    source.places.tofile(part / PLACES)
    problems = {
        "unreadable": [_as_list(each) for each in source.unreadable],
        "refused": [[number, *_as_list(each)] for number, each in source.refused.items()],
    }
    (part / PROBLEMS).write_text(json.dumps(problems), encoding="utf-8")
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
    prune(path.parent)
    return _read(path, now=True)


def _as_list(problem: RowProblem) -> list[object]:
    return [problem.dataset, problem.number, problem.code, problem.values, problem.file]


def _read(path: Path, now: bool = False) -> Source:
    """Raises ValueError for rows that may be others by now, unless they were written just `now`."""
    block = Block.read(path, now)
    found = json.loads((path / PROBLEMS).read_text(encoding="utf-8"))
    source = Source(
        block,
        np.fromfile(path / PLACES, dtype=np.int64),
        [RowProblem(*each) for each in found["unreadable"]],
        {number: RowProblem(*each) for number, *each in found["refused"]},
    )
    if source.places.max(initial=-1) + 1 != len(block):
        raise ValueError(f"{path} is not whole")
    if not now and any(each.code.startswith("row_media") for each in source.unreadable):
        raise ValueError("a file that was not there may have come")
    os.utime(path)
    return source


def prune(folder: Path, kept_bytes: int = KEPT_BYTES) -> None:
    """Removes the rows that were not used for the longest time, beyond so many folders or bytes, and what a kill left."""
    for part in folder.glob("*.part"):
        if time.time() - _used_at(part) > STALE_S:
            shutil.rmtree(part, ignore_errors=True)
    used = sorted((each for each in folder.iterdir() if _is_kept(each)), key=_used_at, reverse=True)
    left = kept_bytes
    for place, each in enumerate(used):
        left -= sum(file.stat().st_size for file in each.rglob("*"))
        if place and (left < 0 or place >= KEPT_FOLDERS):
            shutil.rmtree(each, ignore_errors=True)


def _is_kept(path: Path) -> bool:
    return path.is_dir() and path.suffix != ".part"


def _used_at(path: Path) -> float:
    return path.stat().st_mtime
