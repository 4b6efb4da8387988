"""The rows of a run: those to train on, those to evaluate on, and those that cannot be used."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.info import DatasetInfo, choose
from trainer.dataset.rows import read_rows
from trainer.errors import UserError
from trainer.options import DataOptions

REASONS_TOLD = 3


@dataclass(frozen=True)
class Rows:
    """Every row that was read is in exactly one of these (a dataset with num_samples may repeat or leave out rows)."""

    train: list[Row]
    evaluation: list[Row]
    problems: list[RowProblem]


def names_of(data: DataOptions) -> dict[str, str]:
    """What the placeholders in the rows become."""
    return {"name": data.identity_name, "author": data.identity_author}


def load_rows(data: DataOptions, seed: int) -> Rows:
    """The rows of `dataset`, in the order of the files, and those held back or named for evaluation.

    `seed` decides which rows are held back (`val_size`) or drawn (`num_samples`). Raises UserError when a dataset is
    not registered or its file cannot be read, when no row can be used, and when holding back leaves none to train on.
    """
    problems: list[RowProblem] = []
    train = _read_all(data, data.dataset, seed, problems)
    evaluation = _read_all(data, data.eval_dataset, seed, problems) if data.eval_dataset else []
    if data.val_size and not data.eval_dataset:
        train, evaluation = _hold_back(train, data.val_size, seed)
    return Rows(train, evaluation, problems)


def _read_all(data: DataOptions, names: Sequence[str], seed: int, problems: list[RowProblem]) -> list[Row]:
    rows: list[Row] = []
    bad: list[RowProblem] = []
    for info in choose(data.dataset_dir, names):
        for each in _read_one(info, data, seed):
            if isinstance(each, Row):
                rows.append(each)
            else:
                bad.append(each)
    if not rows:
        raise no_rows(names, bad)
    problems.extend(bad)
    return rows


def _read_one(info: DatasetInfo, data: DataOptions, seed: int) -> list[Row | RowProblem]:
    if info.num_samples is None:
        return list(read_rows(info, names_of(data), data.max_samples))
    found = list(read_rows(info, names_of(data)))
    usable = [row for row in found if isinstance(row, Row)]
    drawn = _draw(usable, info.num_samples, seed)[: data.max_samples]
    return [*drawn, *(row for row in found if isinstance(row, RowProblem))]


def _draw(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` rows at random: each at most once as long as there are enough, then some of them again."""
    if not rows:
        return []
    chance = random.Random(seed)
    drawn = chance.sample(rows, min(count, len(rows)))
    return drawn + chance.choices(rows, k=count - len(drawn))


def _hold_back(rows: list[Row], size: float, seed: int) -> tuple[list[Row], list[Row]]:
    """A share below 1, or a number of rows, at least one; both parts keep the order of the files."""
    if size >= 1 and size != int(size):
        raise UserError("data_val_size", field="val_size", value=size)
    count = int(size) if size >= 1 else max(1, round(len(rows) * size))
    if count >= len(rows):
        raise UserError("data_val_too_large", field="val_size", value=size, count=count, rows=len(rows))
    held = set(random.Random(seed).sample(range(len(rows)), count))
    return (
        [row for place, row in enumerate(rows) if place not in held],
        [row for place, row in enumerate(rows) if place in held],
    )


def no_rows(names: Sequence[str], problems: Sequence[RowProblem]) -> UserError:
    """The sentence for data of which nothing can be used, with the first reasons."""
    reasons = " ".join(problem.text for problem in problems[:REASONS_TOLD])
    return UserError(
        "data_no_rows", field="dataset", names=", ".join(names), count=len(problems), reasons=reasons
    )
