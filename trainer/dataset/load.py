"""Which rows a run gets: those to train on, those to evaluate on, and those that cannot be used.

What is chosen depends on the numbers of usable rows alone, so that rows may as well lie rendered in files: `choose_rows`
decides, `load_rows` brings the conversations, `trainer.dataset.gather` their tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.files import look_into
from trainer.dataset.info import choose
from trainer.dataset.mix import Mixing, Places, mix
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError
from trainer.events import Note
from trainer.options import DataOptions

REASONS_TOLD = 3
PLAIN = "UTF-8"


@dataclass(frozen=True)
class Rows:
    """Every row that was read is in one of these (num_samples and taking turns may repeat or leave out rows).

    `evaluation` has one part under the name "", or with eval_on_each_dataset one for each dataset; none without rows.
    """

    train: list[Row]
    parts: dict[str, list[Row]]
    problems: list[RowProblem]
    notes: list[Note] = field(default_factory=list)

    @property
    def evaluation(self) -> list[Row]:
        """All rows to evaluate on."""
        return [row for part in self.parts.values() for row in part]


class Choice(NamedTuple):
    """Rows in their order as (rows, 2): which dataset, and which of its usable rows. `parts` as in `Rows`."""

    train: Places
    parts: dict[str, Places]


def rows_of(info: DatasetInfo, data: DataOptions, hub: Hub = "huggingface") -> Iterator[Row | RowProblem]:
    """The rows of one dataset as far as the options want them, usable or not, in the order of its files."""
    return read_rows(info, Reading.of(data, hub), limit_of(info, data))


def limit_of(info: DatasetInfo, data: DataOptions) -> int | None:
    """How many rows of the files are read; where a sample is drawn, max_samples counts drawn rows instead."""
    return data.max_samples if info.num_samples is None else None


def notes_of(infos: Sequence[DatasetInfo]) -> list[Note]:
    """What a person should know of these datasets before they are trained."""
    pairs = [info.name for info in infos if info.ranking]
    notes = [Note(code="data_pairs", values={"names": ", ".join(pairs)})] if pairs else []
    for info in infos:
        encoding = "" if info.hub else look_into(info.path).encoding
        if encoding not in ("", PLAIN):
            notes.append(Note(code="data_encoding", values={"name": info.name, "encoding": encoding}))
    return notes


def chosen(data: DataOptions) -> tuple[list[DatasetInfo], list[DatasetInfo]]:
    """The datasets to train on and those to evaluate on. Raises UserError as `choose`."""
    held = choose(data.dataset_dir, data.eval_dataset, data.stage) if data.eval_dataset else []
    return choose(data.dataset_dir, data.dataset, data.stage), held


def load_rows(data: DataOptions, seed: int, hub: Hub = "huggingface") -> Rows:
    """The rows of `dataset`, in the order in which they are mixed, and those held back or named for evaluation.

    `seed` decides which rows are held back (`val_size`) or drawn (`num_samples`) and which dataset's turn it is. Raises
    UserError when a dataset is not registered or its file cannot be read, when no row can be used, and when holding
    back leaves none to train on. All rows are in memory: for a run there is `trainer.dataset.gather`.
    """
    problems: list[RowProblem] = []
    infos = chosen(data)
    found = [_read_all(each, data, hub, problems) for each in infos]
    for names, own in zip((data.dataset, data.eval_dataset), found, strict=True):
        if names and not any(own):
            raise no_rows(names, [each for each in problems if each.dataset in names])
    rows = [*found[0], *found[1]]
    choice = choose_rows(*infos, [len(each) for each in rows], data, seed)

    def take(places: Places) -> list[Row]:
        return [rows[dataset][place] for dataset, place in places.tolist()]

    parts = {name: take(places) for name, places in choice.parts.items()}
    return Rows(take(choice.train), parts, problems, notes_of([*infos[0], *infos[1]]))


def _read_all(
    infos: Sequence[DatasetInfo], data: DataOptions, hub: Hub, problems: list[RowProblem]
) -> list[list[Row]]:
    found: list[list[Row]] = []
    for info in infos:
        rows: list[Row] = []
        for each in rows_of(info, data, hub):
            if isinstance(each, Row):
                rows.append(each)
            else:
                problems.append(each)
        found.append(rows)
    return found


def choose_rows(
    train: Sequence[DatasetInfo],
    evaluation: Sequence[DatasetInfo],
    usable: Sequence[int],
    data: DataOptions,
    seed: int,
) -> Choice:
    """Which rows are trained and evaluated, from the number of usable ones of each dataset (those to evaluate last).

    Raises UserError when holding back leaves none to train on.
    """
    drawn = [
        drawn_rows(info, count, data, seed) for info, count in zip((*train, *evaluation), usable, strict=True)
    ]
    lengths = [len(each) for each in drawn]
    order = _as_drawn(mix(lengths[: len(train)], Mixing.of(data, seed, len(train))), drawn)
    first = len(train)
    named = {
        info.name: _as_drawn(_all_of(dataset, lengths[dataset]), drawn)
        for dataset, info in enumerate(evaluation, first)
    }
    if data.val_size and not evaluation:
        order, held = hold_back(order, data.val_size, seed)
        named = {info.name: held[held[:, 0] == dataset] for dataset, info in enumerate(train)}
        if not data.eval_on_each_dataset:
            return Choice(order, {"": held})
    named = {name: places for name, places in named.items() if len(places)}
    if named and not data.eval_on_each_dataset:
        named = {"": np.concatenate(list(named.values()))}
    return Choice(order, named)


def _all_of(dataset: int, count: int) -> Places:
    places = np.full((count, 2), dataset, dtype=np.int64)
    places[:, 1] = np.arange(count)
    return places


def _as_drawn(order: Places, drawn: Sequence[Places]) -> Places:
    """Places among drawn rows -> places among the usable rows of the dataset."""
    found = order.copy()
    for dataset, rows in enumerate(drawn):
        inside = np.flatnonzero(order[:, 0] == dataset)
        found[inside, 1] = rows[order[inside, 1]]
    return found


def drawn_rows(info: DatasetInfo, usable: int, data: DataOptions, seed: int) -> Places:
    """Which of its usable rows a dataset gives: all, or `num_samples` at random and of these the first `max_samples`.

    Each row is drawn at most once as long as there are enough, then some of them again.
    """
    count = info.num_samples
    if count is None or not usable:
        return np.arange(usable)
    chance = random.Random(seed)
    drawn = chance.sample(range(usable), min(count, usable))
    drawn += chance.choices(range(usable), k=count - len(drawn))
    return np.array(drawn[: data.max_samples], dtype=np.int64)


def hold_back(order: Places, size: float, seed: int) -> tuple[Places, Places]:
    """Parts the rows: a share below 1, or a number of rows, at least one, is held back; both parts keep their order.

    A row that comes several times is held back with all its copies, and counted once: what is evaluated is not trained.
    """
    if size >= 1 and size != int(size):
        raise UserError("data_val_size", field="val_size", value=size)
    _, first, number = np.unique(order, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    rows = len(first)
    count = int(size) if size >= 1 else max(1, round(rows * size))
    if count >= rows:
        raise UserError("data_val_too_large", field="val_size", value=size, count=count, rows=rows)
    held = np.zeros(rows, dtype=bool)
    held[random.Random(seed).sample(range(rows), count)] = True
    inside = held[rank[number.reshape(-1)]]
    once = np.zeros(len(order), dtype=bool)
    once[first] = True
    return order[~inside], order[inside & once]


def no_rows(names: Sequence[str], problems: Sequence[RowProblem]) -> UserError:
    """The sentence for data of which nothing can be used, with the first reasons."""
    reasons = " ".join(problem.text for problem in problems[:REASONS_TOLD])
    return UserError(
        "data_no_rows", field="dataset", names=", ".join(names), count=len(problems), reasons=reasons
    )
