"""What will be trained, to look at before it is: rows as the model sees them, and counts.

Needs a tokenizer, no model. The first page reads and renders its own rows only, so that it comes at once whatever the
size of the file; counting everything is a call of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.info import choose
from trainer.dataset.load import load_rows, names_of
from trainer.dataset.rows import read_rows
from trainer.options import DataOptions

if TYPE_CHECKING:
    from trainer.dataset.render import Renderer, Tokens


class Piece(NamedTuple):
    """Text of neighbouring tokens that are alike. `special`: tokens such as the end of a turn."""

    text: str
    trained: bool
    special: bool


@dataclass(frozen=True)
class RowView:
    """One row. `input_ids` and `labels` are those of training; they and `pieces` are empty for a row with a problem.

    `cut`: the row is longer than the cutoff by `length` less the number of its ids.
    """

    dataset: str
    number: int
    pieces: tuple[Piece, ...] = ()
    input_ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    trained: int = 0
    length: int = 0
    cut: bool = False
    problem: RowProblem | None = None


class Page(NamedTuple):
    """Some rows in the order of the files, usable or not, and whether there are more after them."""

    rows: list[RowView]
    more: bool


class Steps(NamedTuple):
    """Optimiser steps on one device."""

    per_epoch: int
    total: int


@dataclass(frozen=True)
class Totals:
    """Counts over all rows. Tokens are those of one epoch, after cutting; `longest` is before.

    `steps` is None with packing, where the lengths of the rows decide.
    """

    rows: int
    evaluation: int
    problems: tuple[RowProblem, ...]
    tokens: int
    trained: int
    longest: int
    cut: int
    steps: Steps | None


def preview(tokenizer: Any, data: DataOptions, page: int = 1, size: int = 10) -> Page:
    """Page `page` (from 1) of the rows that are read from `dataset`, `size` rows each.

    Rows held back for evaluation are among them; drawing by `num_samples` is left out. Raises UserError as training
    would: dataset not registered, file that cannot be read, template that does not fit.
    """
    from trainer.dataset.render import Renderer

    renderer = Renderer(tokenizer, data.template, data)
    infos = choose(data.dataset_dir, data.dataset)
    found = chain.from_iterable(read_rows(info, names_of(data), data.max_samples) for info in infos)
    start = (page - 1) * size
    rows = list(islice(found, start, start + size + 1))
    return Page([_view(renderer, row) for row in rows[:size]], len(rows) > size)


def count(tokenizer: Any, config: RunConfig) -> Totals:
    """What training with this config would see, all rows rendered. Raises UserError where training would not start."""
    from trainer.dataset.render import Renderer, render_all

    data = config.data
    renderer = Renderer(tokenizer, data.template, data)
    rows = load_rows(data, config.train.seed)
    train = render_all(renderer, rows.train)
    held = render_all(renderer, rows.evaluation) if rows.evaluation else None
    return Totals(
        rows=len(train.rows),
        evaluation=len(held.rows) if held else 0,
        problems=(*rows.problems, *train.problems, *(held.problems if held else ())),
        tokens=sum(len(row.input_ids) for row in train.rows),
        trained=train.trained,
        longest=train.longest,
        cut=train.cut,
        steps=None if data.packing else count_steps(len(train.rows), config),
    )


def count_steps(rows: int, config: RunConfig) -> Steps:
    """Steps for `rows` rows without packing, counted as transformers' trainer counts them."""
    train = config.train
    batches = math.ceil(rows / train.per_device_train_batch_size)
    per_epoch = max(1, math.ceil(batches / train.gradient_accumulation_steps))
    total = train.max_steps if train.max_steps > 0 else math.ceil(train.num_train_epochs * per_epoch)
    return Steps(per_epoch, total)


def _view(renderer: Renderer, row: Row | RowProblem) -> RowView:
    from trainer.dataset.chat_template import Unusable

    if isinstance(row, RowProblem):
        return RowView(row.dataset, row.number, problem=row)
    try:
        tokens = renderer.explain(row.conversation)
    except Unusable as unusable:
        problem = RowProblem(row.dataset, row.number, unusable.code, unusable.values)
        return RowView(row.dataset, row.number, problem=problem)
    rendered = tokens.rendered
    return RowView(
        row.dataset,
        row.number,
        tuple(_pieces(tokens, renderer.special_ids)),
        tuple(rendered.input_ids),
        tuple(rendered.labels),
        rendered.trained,
        rendered.length,
        rendered.cut,
    )


def _pieces(tokens: Tokens, special_ids: frozenset[int]) -> Iterator[Piece]:
    """The row's text in pieces; where something was cut out, a piece ends."""
    text, offsets = tokens.text, tokens.offsets
    kinds = [
        (label >= 0, each in special_ids)
        for each, label in zip(tokens.rendered.input_ids, tokens.rendered.labels, strict=True)
    ]
    breaks = [
        place
        for place in range(1, len(offsets))
        if kinds[place] != kinds[place - 1] or offsets[place][0] > offsets[place - 1][1]
    ]
    at = 0
    for first, end in pairwise((0, *breaks, len(offsets))):
        start, stop = offsets[first][0], offsets[end - 1][1]
        # Tokens that share a character (bytes of one sign) share its place in the text: it is shown once.
        if shown := text[max(start, at) : stop]:
            yield Piece(shown, *kinds[first])
        at = stop
