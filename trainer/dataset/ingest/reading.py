"""Staged rows as training would read them: mapped, mended where that was asked for, their pictures looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer.dataset.conversation import Conversation, Media, Row, RowProblem
from trainer.dataset.files import Broken, Item, Tell
from trainer.dataset.info import DatasetInfo, parse_entry
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.canonical import Canonical, with_media
from trainer.dataset.ingest.media_files import MediaFiles, Outside
from trainer.dataset.ingest.mends import Field, RawRow
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.repair import Mended, mend
from trainer.dataset.ingest.unpack import Staged
from trainer.dataset.rows import Reading, RowReader
from trainer.errors import UserError, UserErrors, Values

_ADDRESSES = ("http://", "https://", "ftp://", "data:")


@dataclass(frozen=True)
class Problem:
    """What is wrong with one medium: a row sentence's code and its values."""

    code: str
    values: Values


@dataclass
class Looked:
    """What is known of media files, so that checking and registering decode each of them once."""

    found: dict[Path, Problem | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """One row of the person's table: `raw` as it would be registered (media as absolute paths), None where there is none."""

    number: int
    file: str
    raw: RawRow | None
    read: Row | RowProblem
    repairs: tuple[str, ...] = ()


class Bench:
    """Reads the rows of something staged under one plan. Raises UserErrors for a mapping that cannot be used.

    `whole` decodes every picture; without it only its header is read.
    """

    def __init__(
        self, staged: Staged, plan: Plan, limits: Limits, *, looked: Looked | None = None, whole: bool = True
    ) -> None:
        problems = plan.mapping.problems()
        if problems:
            raise UserErrors(list(problems)) if len(problems) > 1 else problems[0]
        self.tables = staged.require(plan.tables)
        self._staged, self._plan, self._limits = staged, plan, limits
        self._looked, self._whole = looked or Looked(), whole
        self.media = MediaFiles(staged)
        self.canonical = Canonical(plan.mapping)
        self.field = Field(tuple(self.canonical.names.items()), plan.mapping)
        self._readers = {name: RowReader(self._info(name), Reading()) for name in self.tables}

    def items(self, tell: Tell | None = None) -> Iterator[tuple[str, Item]]:
        """Every item of the tables, each with the table's name. `tell` gets bytes done and in all, over all tables.

        Raises UserError when a file cannot be read as a whole.
        """
        sizes = {table.name: table.bytes for table in self._staged.tables if table.name in self.tables}
        total, before = sum(sizes.values()), 0
        for name in self.tables:
            told = _shifted(tell, before, total) if tell else None
            for item in self._staged.read(name, told):
                yield name, item
            before += sizes[name]
            if tell:
                tell(before, total)

    def find(self, table: str, item: Item) -> Found:
        """The row of an item, mended when it needs that."""
        file = table if len(self.tables) > 1 else ""

        def read(raw: RawRow) -> Row | RowProblem:
            return self._read(table, raw, item.number, file)

        if isinstance(item.value, Broken) or not isinstance(item.value, dict):
            return Found(
                item.number, file, None, _at(self._readers[table].read(Item(item.number, item.value)), file)
            )
        raw = self.canonical.make(item.value)
        mended = mend(raw, read(raw), self._plan.repairs, self.field, read)
        return Found(item.number, file, mended.raw, mended.read, mended.repairs)

    def mended_by(self, found: Found, table: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the repairs would make the row usable; empty: none would."""
        if found.raw is None:
            return ()

        def read(raw: RawRow) -> Row | RowProblem:
            return self._read(table, raw, found.number, found.file)

        tried: Mended = mend(found.raw, found.read, names, self.field, read)
        return tried.repairs

    def _read(self, table: str, raw: RawRow, number: int, file: str) -> Row | RowProblem:
        try:
            placed = self.placed(table, raw)
        except Outside as outside:
            told: Values = {"field": outside.field, "name": outside.name}
            return RowProblem(self._staged.source, number, "row_media_outside", told, file)
        read = self._readers[table].read(Item(number, placed))
        if isinstance(read, Row) and (problem := self._media_problem(read.conversation)):
            read = RowProblem(read.dataset, number, problem.code, problem.values)
        if isinstance(read, RowProblem):
            # Where the upload lies for a day is nobody's business.
            values = {
                key: self.media.shown(each) if isinstance(each, str) else each
                for key, each in read.values.items()
            }
            read = replace(read, values=values)
        return _at(read, file)

    def placed(self, table: str, raw: RawRow) -> RawRow:
        """The row with the names of its media as paths where such files were staged; others stay as they are."""

        def place(value: Any, column: str) -> Any:
            if isinstance(value, dict) and not value.get("bytes"):
                value = value.get("path") or value.get("url") or value
            if not isinstance(value, str) or value.startswith(_ADDRESSES):
                return value
            found = self.media.find(table, value, column)
            return str(found) if found else value

        return with_media(raw, self._plan.mapping, self.canonical.names, place)

    def _media_problem(self, conversation: Conversation) -> Problem | None:
        for media in conversation.media:
            for each in media.frames or (media,):
                if each.path and not self._staged.beside and not self.media.holds(each.path):
                    return Problem("row_media_outside", {"field": each.kind, "name": each.path.name[:80]})
                if problem := self._looked_at(each):
                    return problem
        return None

    def _looked_at(self, media: Media) -> Problem | None:
        known = self._looked.found
        if media.path in known:
            return known[media.path]
        problem = _look(media, self._limits.megapixels, self._whole)
        if media.path and (self._whole or problem):
            known[media.path] = problem
        return problem

    def _info(self, table: str) -> DatasetInfo:
        entry = self._plan.mapping.entry(Path(table).name)
        info = parse_entry((self._staged.files / table).parent, self._staged.source, entry)
        if info.refusal:
            raise UserError(info.refusal.code, field="mapping", **info.refusal.values)
        return info


def _at(read: Row | RowProblem, file: str) -> Row | RowProblem:
    """With the name of the table it came from."""
    return read._replace(file=file) if isinstance(read, Row) else replace(read, file=file)


def _look(media: Media, megapixels: float, whole: bool) -> Problem | None:
    from trainer.dataset.chat_template import Unusable
    from trainer.dataset.media import check

    try:
        facts = check(media, whole)
    except Unusable as unusable:
        return Problem(unusable.code, unusable.values)
    if media.kind == "image" and facts.width * facts.height > megapixels * 1e6:
        values: Values = {
            "file": media.name, "width": facts.width, "height": facts.height,
            "megapixels": facts.width * facts.height // 1_000_000, "most": megapixels,
        }  # fmt: skip
        return Problem("row_image_large", values)
    return None


def _shifted(tell: Tell, before: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _: tell(before + done, total)
