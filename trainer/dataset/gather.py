"""The rows of a run as tokens: chosen, mixed and parted, out of datasets that are rendered one by one and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainer.dataset.blocks import gathered_in_blocks
from trainer.dataset.cache import Origin, Source, rendered_source
from trainer.dataset.conversation import RowProblem
from trainer.dataset.entry import Hub
from trainer.dataset.load import choose_rows, chosen, no_rows, notes_of
from trainer.dataset.mix import Places
from trainer.dataset.render import Renderer
from trainer.dataset.table import RowTable
from trainer.errors import UserError
from trainer.events import Note
from trainer.options import DataOptions


@dataclass(frozen=True)
class Gathered:
    """Rows as tokens. `parts` has one part under the name "", or with eval_on_each_dataset one for each dataset.

    Each problem is a row that was chosen and cannot be used. `notes` are what the person should know of the data.
    """

    train: RowTable
    parts: dict[str, RowTable]
    problems: list[RowProblem]
    notes: list[Note] = field(default_factory=list)


def gather(
    renderer: Renderer,
    data: DataOptions,
    seed: int,
    hub: Hub = "huggingface",
    folder: Path | None = None,
    breathe: Callable[[], None] = lambda: None,
) -> Gathered:
    """The same rows as `load_rows`, rendered; `folder` is where rendered datasets are kept.

    `breathe` is called now and then while rows are rendered, and may end the work by raising.
    Raises UserError when `load_rows` would, when no row can be used, and when all are cut and no answer is whole.
    """
    train, evaluation = chosen(data)
    infos = [*train, *evaluation]
    sources = [rendered_source(renderer, Origin(info, data, seed, hub), folder, breathe) for info in infos]
    for names, own in ((data.dataset, sources[: len(train)]), (data.eval_dataset, sources[len(train) :])):
        if names and not any(len(each.places) for each in own):
            raise no_rows(names, [problem for each in own for problem in each.unreadable])
    choice = choose_rows(train, evaluation, [len(each.places) for each in sources], data, seed)
    problems = [problem for each in sources for problem in each.unreadable]
    table, refused = _table(sources, choice.train)
    require_some(renderer, table, refused, data.dataset)
    parts: dict[str, RowTable] = {}
    for name, places in choice.parts.items():
        part, unfit = _table(sources, places)
        require_some(renderer, part, unfit, [name] if name else data.eval_dataset or data.dataset)
        parts[name] = part
        refused += unfit
    found = Gathered(table, parts, [*problems, *refused], notes_of(infos))
    return gathered_in_blocks(found, data)


def _table(sources: Sequence[Source], chosen_rows: Places) -> tuple[RowTable, list[RowProblem]]:
    """The chosen rows that can be used, and the reasons of the others, once for each row."""
    order = chosen_rows.copy()
    refused: list[RowProblem] = []
    for number, source in enumerate(sources):
        inside = np.flatnonzero(order[:, 0] == number)
        rows = order[inside, 1]
        order[inside, 1] = source.places[rows]
        refused += [source.refused[row] for row in dict.fromkeys(rows[source.places[rows] < 0].tolist())]
    return RowTable([each.block for each in sources], order[order[:, 1] >= 0]), refused


def require_some(
    renderer: Renderer, table: RowTable, refused: Sequence[RowProblem], names: Sequence[str]
) -> None:
    """Raises UserError when no row can be used, or when all are cut so that no answer is whole."""
    if table.whole:
        return
    cut = [int(problem.values["length"]) for problem in refused if problem.code == "row_cut"]
    if not (len(table) or cut):
        raise no_rows(names, refused)
    lengths = cut + ([table.shortest, table.longest] if len(table) else [])
    raise UserError(
        "data_all_cut",
        field="cutoff_len",
        rows=len(table) + len(cut),
        cutoff=renderer.cutoff,
        shortest=min(lengths),
        longest=max(lengths),
    )
