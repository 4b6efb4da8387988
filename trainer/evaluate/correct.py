"""A corrected answer becomes a row of a dataset of the person's: what was wrong is there at the next training."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from trainer import __version__
from trainer.dataset.conversation import Conversation, Media, Row, message
from trainer.dataset.entry import Hub
from trainer.dataset.files import Item
from trainer.dataset.info import choose, parse_entry
from trainer.dataset.ingest.cupboard import ROWS, Cupboard
from trainer.dataset.ingest.mapping import DEFAULT_TAGS, Mapping
from trainer.dataset.ingest.naming import propose_name
from trainer.dataset.ingest.recipe import Recipe, read_recipe, write_recipe
from trainer.dataset.ingest.register import MEDIA, require_free
from trainer.dataset.ingest.unpack import ORIGINAL, link_or_copy
from trainer.dataset.rows import Reading, RowReader
from trainer.dataset.shelves import open_items
from trainer.errors import UserError
from trainer.evaluate.compose import Composer, with_answer
from trainer.evaluate.shown import Corrected, TableRow
from trainer.options import DataOptions

# What a dataset of corrections was made from: it has no file of a person's.
SOURCE = "corrections.jsonl"
LONGEST = 100_000
_ROLES = tuple((name, name) for name in ("messages", "images", "videos", "tools"))


def conversation_of(row: TableRow, data: DataOptions, hub: Hub = "huggingface") -> Conversation:
    """What was asked in a row, from its dataset; its last answer is the reference.

    A row of one question is told by itself when the dataset has changed since. Raises UserError when that is not
    enough: for several questions, or a picture that has gone.
    """
    for found in _in_dataset(row, data, hub):
        return found
    if row.turns > 1:
        raise UserError("correct_turns", number=row.number, dataset=row.dataset)
    if row.media:
        raise UserError("correct_media", number=row.number, dataset=row.dataset)
    return Conversation((message("user", row.question), message("assistant", row.label or "-")), row.system)


def _in_dataset(row: TableRow, data: DataOptions, hub: Hub) -> Iterator[Conversation]:
    """The rows of this number that ask the same; several files of a folder count each from 1."""
    try:
        (info,) = choose(data.dataset_dir, [row.dataset], data.stage)
        if info.hub is not None:
            return
        reader = RowReader(info, Reading.of(data, hub))
        with closing(open_items(info, hub)) as items:
            for item in items:
                each = reader.read(item) if item.number == row.number else None
                if isinstance(each, Row) and _asks(each.conversation, row):
                    yield each.conversation
    except UserError:
        return


def _asks(conversation: Conversation, row: TableRow) -> bool:
    asked = [each.text for each in conversation.messages if each.role == "user"]
    return len(asked) == row.turns and _bare(asked[-1]) == _bare(row.question)


def _bare(text: str) -> str:
    return "".join(text.replace("<image>", "").replace("<video>", "").split())


def add_correction(cupboard: Cupboard, name: str, asked: Conversation, answer: str) -> Corrected:
    """Adds the conversation with another last answer to the dataset `name`, or makes that; whole or not at all.

    To be called while `cupboard` is `changing`. Raises UserError when the dataset is not one that was registered here,
    has no place for the row, or the name cannot be used.
    """
    if not answer.strip():
        raise UserError("correct_empty", field="answer")
    if len(answer) > LONGEST:
        raise UserError("correct_long", field="answer", count=len(answer), most=LONGEST)
    entries = cupboard.text().entries()
    new = name not in entries
    if new:
        name = require_free(cupboard, name)
    ready = cupboard.staging / f"old-{secrets.token_hex(8)}"
    try:
        ready.mkdir()
        dataset = _New(name) if new else _Known(cupboard, name, entries[name])
        dataset.lay_out(ready)
        rows, entry = _Addition(dataset, ready).add(with_answer(asked, answer))
        cupboard.add(name, ready, entry)
    except OSError as error:
        raise UserError("register_not_written", name=name, reason=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(ready, ignore_errors=True)
    return Corrected(name, rows, new)


class _New:
    """A dataset that does not exist yet."""

    own = True

    def __init__(self, name: str) -> None:
        self.name = name
        mapping = Mapping("openai", _ROLES, tuple(DEFAULT_TAGS["openai"].items()))
        self.entry = {**mapping.entry(f"{name}/{ROWS}"), "columns": {"messages": "messages"}}
        self.recipe = Recipe(
            name=name, source=SOURCE, sha256="", bytes=0, encoding="utf-8", kind="openai", tables=(SOURCE,), mapping=mapping,
            repairs=(), rows=0, registered=0, media=0, version=__version__,
        )  # fmt: skip

    def lay_out(self, ready: Path) -> None:
        (ready / ORIGINAL).mkdir()


class _Known:
    """A dataset that was registered here; its files are taken over as they are."""

    def __init__(self, cupboard: Cupboard, name: str, entry: Any) -> None:
        ours = isinstance(entry, dict) and entry.get("file_name") == f"{name}/{ROWS}"
        recipe = read_recipe(cupboard.home(name)) if ours else None
        proposal = propose_name("corrections", cupboard.names())
        if recipe is None:
            raise UserError("correct_not_ours", field="name", name=name, proposal=proposal)
        if recipe.mapping.ranking:
            raise UserError("correct_pairs", field="name", name=name, proposal=proposal)
        self.name, self.entry, self.recipe = name, entry, recipe
        self.own = recipe.source == SOURCE
        self._home = cupboard.home(name)

    def lay_out(self, ready: Path) -> None:
        # What grows is copied: a link would grow in the old folder, too.
        growing = {self._home / ROWS, self._home / ORIGINAL / SOURCE} if self.own else {self._home / ROWS}
        for path in sorted(self._home.rglob("*")):
            target = ready / path.relative_to(self._home)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            elif path in growing:
                shutil.copyfile(path, target)
            else:
                link_or_copy(path, target)


class _Addition:
    """Writes one more row into the laid out folder of a dataset."""

    def __init__(self, dataset: _New | _Known, ready: Path) -> None:
        self._dataset, self._ready = dataset, ready
        self._media = 0

    def add(self, conversation: Conversation) -> tuple[int, dict[str, Any]]:
        """How many rows there are then, and the entry."""
        info = parse_entry(self._ready.parent, self._dataset.name, self._dataset.entry)
        composer = Composer(info, pictures=self._dataset.own)
        row = composer.compose(conversation, self._place)
        entry = {**self._dataset.entry, "columns": composer.columns}
        self._require_readable(row, entry)
        _append(self._ready / ROWS, row)
        recipe = replace(
            self._dataset.recipe,
            registered=self._dataset.recipe.registered + 1,
            media=self._dataset.recipe.media + self._media,
        )
        write_recipe(self._ready, self._kept(recipe, row) if self._dataset.own else _with_added(recipe))
        return recipe.registered, entry

    def _kept(self, recipe: Recipe, row: dict[str, Any]) -> Recipe:
        """The row also goes to the original, so that nothing is lost when the dataset is mapped anew."""
        bare = {
            key: [_without_folder(each) for each in value] if key in ("images", "videos") else value
            for key, value in row.items()
        }
        original = self._ready / ORIGINAL / SOURCE
        _append(original, bare)
        data = original.read_bytes()
        date = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        digest = hashlib.sha256(data).hexdigest()
        return replace(recipe, rows=recipe.rows + 1, sha256=digest, bytes=len(data), date=date)

    def _place(self, media: Media) -> Any:
        if media.frames:
            return [self._place(each) for each in media.frames]
        data = media.data if media.path is None else media.path.read_bytes()
        if data is None:
            raise ValueError("a medium is neither a file nor bytes nor frames")
        suffix = PurePath(media.name).suffix.lower() if media.path else ".png"
        name = f"{hashlib.sha256(data).hexdigest()[:24]}{suffix}"
        target = self._ready / MEDIA / name
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            target.write_bytes(data)
            self._media += 1
        return f"{MEDIA}/{name}"

    def _require_readable(self, row: dict[str, Any], entry: dict[str, Any]) -> None:
        """Raises UserError unless the row is read as a row of the dataset: nothing useless is ever added."""
        info = parse_entry(
            self._ready.parent, self._ready.name, {**entry, "file_name": f"{self._ready.name}/{ROWS}"}
        )
        found = RowReader(info, Reading()).read(Item(1, json.loads(json.dumps(row))))
        if not isinstance(found, Row):
            proposal = "corrections"
            raise UserError(
                "correct_shape", field="name", name=self._dataset.name, reason=found.text, proposal=proposal
            )


def _with_added(recipe: Recipe) -> Recipe:
    return replace(recipe, added=recipe.added + 1)


def _without_folder(name: Any) -> Any:
    if isinstance(name, list):
        return [_without_folder(each) for each in name]
    return str(name).removeprefix(f"{MEDIA}/")


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        file.flush()
        os.fsync(file.fileno())
