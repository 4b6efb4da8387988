"""Rows read and rendered while they are trained, again and again, for data larger than memory or patience.

The order depends on the files, the options and the seed alone. A run that goes on in the middle reads the rows before
it once more and renders none of them: which ones the renderer refused is kept with the checkpoint.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from trainer.dataset.blocks import in_blocks
from trainer.dataset.cache import seen_by
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.gather import gather, require_some
from trainer.dataset.info import choose
from trainer.dataset.load import load_rows, no_rows, notes_of, rows_of
from trainer.dataset.mix import Mixing, mix_streams
from trainer.dataset.render import Rendered, Renderer
from trainer.dataset.table import RowTable, table_of
from trainer.errors import UserError
from trainer.events import Note
from trainer.options import DataOptions

# So many rows are rendered ahead of the training.
AT_ONCE = 64
STATE = "stream.json"
Identity = tuple[str, str, int]


class Drawn(NamedTuple):
    """A row in its turn: `epoch` counts from 0 how often all of them have been read."""

    epoch: int
    row: Row


class Stream:
    """The endless rows of `dataset`; the first `val_size` of them are held back in every epoch.

    `problems` are the rows that cannot be used, each once, as far as they have been read. Raises UserError when a
    dataset is not registered or its file cannot be read, and when no row can be used.
    """

    def __init__(self, renderer: Renderer, data: DataOptions, seed: int, hub: Hub = "huggingface") -> None:
        self._renderer = renderer
        given = choose(data.dataset_dir, data.dataset, data.stage)
        # Samples of an exact number need to know all rows.
        self._infos = [replace(info, num_samples=None) for info in given]
        self._data = data
        self._seed = seed
        self._hub: Hub = hub
        self._held: list[Row] = []
        self._known: dict[int, RowProblem] | None = None
        self._refused: dict[int, RowProblem] = {}
        self._found: dict[Identity, RowProblem] = {}
        self._held = head(self._infos, self._read, data, seed)
        self._inside = {_identity(row) for row in self._held}
        self.notes = notes_of(self._infos)
        if whole := [info.name for info in given if info.num_samples is not None]:
            self.notes.append(Note(code="stream_all_rows", values={"names": ", ".join(whole)}))

    @property
    def problems(self) -> list[RowProblem]:
        return list(self._found.values())

    def evaluation(self) -> dict[str, RowTable]:
        """The rows held back, or those of `eval_dataset`, rendered; in parts as `Gathered.parts`."""
        data = self._data
        if data.eval_dataset:
            plain = replace(
                data, eval_dataset=(), val_size=0, streaming=False, mix_strategy="concat", interleave_probs=()
            )
            groups = (
                [(name,) for name in data.eval_dataset] if data.eval_on_each_dataset else [data.eval_dataset]
            )
            return {
                names[0] if data.eval_on_each_dataset else "": self._gathered(replace(plain, dataset=names))
                for names in groups
            }
        if not data.eval_on_each_dataset:
            return {"": self._rendered(self._held)} if self._held else {}
        own = {info.name: [row for row in self._held if row.dataset == info.name] for info in self._infos}
        return {name: self._rendered(rows) for name, rows in own.items() if rows}

    def _gathered(self, data: DataOptions) -> RowTable:
        found = gather(self._renderer, data, self._seed, self._hub)
        self._note(found.problems)
        return found.train

    def _rendered(self, rows: Sequence[Row]) -> RowTable:
        good: list[Rendered] = []
        refused: list[RowProblem] = []
        found = self._renderer.render_many(row.conversation for row in rows)
        for row, each in zip(rows, found, strict=True):
            if isinstance(each, Unusable):
                refused.append(_problem(row, each))
            else:
                good.append(each)
        self._note(refused)
        table = table_of(good)
        require_some(self._renderer, table, refused, self._data.dataset)
        return in_blocks(table, self._data)

    def _note(self, problems: Iterable[RowProblem]) -> None:
        for each in problems:
            self._found.setdefault((each.dataset, each.file, each.number), each)

    def _read(self, info: DatasetInfo) -> Iterator[Row]:
        for each in rows_of(info, self._data, self._hub):
            if isinstance(each, Row):
                yield seen_by(self._renderer, each)
            else:
                self._note((each,))

    def first(self) -> Rendered:
        """The first row that can be used. Raises UserError when there is none."""
        return next(each for each in self.rendered() if each is not None)

    def _drawn(self) -> Iterator[Drawn]:
        for epoch in count():
            mixing = Mixing.of(self._data, self._seed + epoch, len(self._infos))
            mixed = mix_streams([partial(self._read, info) for info in self._infos], mixing)
            train = (row for row in mixed if _identity(row) not in self._inside)
            empty = True
            for row in shuffled(train, self._data.buffer_size, random.Random(self._seed + epoch)):
                empty = False
                yield Drawn(epoch, row)
            if empty:
                raise no_rows(self._data.dataset, self.problems)

    def rendered(self, skip: int = 0) -> Iterator[Rendered | None]:
        """The rows as tokens, without an end; the first `skip` that can be used come as None.

        Raises UserError when all rows of an epoch are refused, or cut so that no answer is whole.
        """
        self._refused = {}
        drawn = enumerate(self._drawn())
        # Whether the epoch had a row with a whole answer.
        epoch, some = 0, False
        while skip and self._known is not None:
            place, (epoch, _) = next(drawn)
            if place in self._known:
                self._refuse(place, self._known[place])
            else:
                skip -= 1
                some = True
                yield None
        seen: list[Rendered] = []
        refused: list[RowProblem] = []
        while batch := list(islice(drawn, AT_ONCE)):
            found = self._renderer.render_many(row.conversation for _, (_, row) in batch)
            for (place, (now, row)), each in zip(batch, found, strict=True):
                if now > epoch and not some:
                    require_some(self._renderer, table_of(seen), refused, self._data.dataset)
                if now > epoch:
                    epoch, some, seen, refused = now, False, [], []
                if isinstance(each, Unusable):
                    problem = _problem(row, each)
                    self._refuse(place, problem)
                    refused += [problem] * (not some)
                    continue
                some = some or each.whole
                seen = [] if some else [*seen, each]
                yield None if skip else each
                skip = max(0, skip - 1)

    def _refuse(self, place: int, problem: RowProblem) -> None:
        self._refused[place] = problem
        self._note((problem,))

    def save(self, folder: Path) -> None:
        """Keeps with a checkpoint which rows were refused so far."""
        refused = [
            [place, each.dataset, each.number, each.code, each.values, each.file]
            for place, each in self._refused.items()
        ]
        (folder / STATE).write_text(json.dumps(refused), encoding="utf-8")

    def restore(self, folder: Path) -> None:
        """Reads what `save` kept. Without it the rows before a checkpoint are rendered once more to know."""
        try:
            found = json.loads((folder / STATE).read_text(encoding="utf-8"))
            self._known = {int(place): RowProblem(*rest) for place, *rest in found}
        except (OSError, ValueError, TypeError):
            self._known = None


def head(
    infos: Sequence[DatasetInfo], read: Callable[[DatasetInfo], Iterator[Row]], data: DataOptions, seed: int
) -> list[Row]:
    """The first `val_size` rows in the order in which a stream mixes its datasets. Raises UserError for too few."""
    size = int(data.val_size)
    mixed = mix_streams([partial(read, info) for info in infos], Mixing.of(data, seed, len(infos)))
    found: dict[Identity, Row] = {}
    for row in mixed if size else ():
        found.setdefault(_identity(row), row)
        if len(found) > size:
            return list(found.values())[:size]
    if size:
        raise UserError("data_val_too_large", field="val_size", value=size, count=size, rows=len(found))
    return []


class Held(NamedTuple):
    """The rows that a training holds back for evaluation; `problems` are those on the way that cannot be used."""

    rows: list[Row]
    problems: list[RowProblem]


def held_back(data: DataOptions, seed: int, hub: Hub = "huggingface") -> Held:
    """The rows that a training with these options holds back, whether it streams or not. Raises what `load_rows` does."""
    if not data.streaming:
        found = load_rows(data, seed, hub)
        return Held(found.evaluation, found.problems)
    problems: list[RowProblem] = []
    infos = [replace(info, num_samples=None) for info in choose(data.dataset_dir, data.dataset, data.stage)]
    rows = head(infos, lambda info: _usable(rows_of(info, data, hub), problems), data, seed)
    return Held(rows, problems)


def trained_on(data: DataOptions, seed: int, hub: Hub = "huggingface") -> Iterable[Row]:
    """The rows that a training with these options learns from, whether it streams or not; of a stream each once."""
    if not data.streaming:
        return load_rows(data, seed, hub).train
    held = {_identity(row) for row in held_back(data, seed, hub).rows}
    infos = choose(data.dataset_dir, data.dataset, data.stage)
    return (
        row for info in infos for row in _usable(rows_of(info, data, hub), []) if _identity(row) not in held
    )


def _usable(rows: Iterable[Row | RowProblem], problems: list[RowProblem]) -> Iterator[Row]:
    for each in rows:
        if isinstance(each, Row):
            yield each
        else:
            problems.append(each)


def shuffled(rows: Iterable[Row], size: int, chance: random.Random) -> Iterator[Row]:
    """The rows in an order by chance; a row comes at most `size` places before its turn."""
    held: list[Row] = []
    for row in rows:
        if len(held) < size:
            held.append(row)
            continue
        place = chance.randrange(size)
        yield held[place]
        held[place] = row
    chance.shuffle(held)
    yield from held


def _identity(row: Row) -> Identity:
    return row.dataset, row.file, row.number


def _problem(row: Row, found: Unusable) -> RowProblem:
    return RowProblem(row.dataset, row.number, found.code, found.values, row.file)
