"""What will be trained, to look at before it is: rows as the model sees them, and counts.

Needs a tokenizer, no model. The first page reads and renders its own rows only, so that it comes at once whatever the
size of the file; counting everything is a call of its own, which keeps numbers and no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.info import choose
from trainer.dataset.rows import Reading, read_rows
from trainer.dataset.shelves import open_items
from trainer.dataset.statistics import Steps, Totals, count_steps
from trainer.dataset.views import Page, PictureView, Piece, RowView, view, view_kept
from trainer.options import DataOptions

__all__ = [
    "Page",
    "PictureView",
    "Piece",
    "RowView",
    "Steps",
    "Totals",
    "count",
    "count_steps",
    "preview",
]  # fmt: skip

Tell = Callable[[int, int, int], None]
Stop = Callable[[], bool]


def preview(
    tokenizer: Any,
    data: DataOptions,
    page: int = 1,
    size: int = 10,
    processor: Any = None,
    hub: Hub = "huggingface",
) -> Page:
    """Page `page` (from 1) of the rows that are read from `dataset`, `size` rows each.

    Rows held back for evaluation are among them; drawing by `num_samples` and taking turns are left out. Where the
    folder `tokenized_path` has rows, it is these, as a run takes them. `processor` is the model's own where it sees
    pictures. Raises UserError as training would: dataset not registered, file that
    cannot be read, template that does not fit.
    """
    from trainer.dataset.lens import Lens

    lens = Lens(tokenizer, data, processor)
    renderer, start = lens.renderer, (page - 1) * size
    if kept := lens.kept():
        name, special = Path(data.tokenized_path).name, renderer.special_ids
        views = [
            view_kept(tokenizer, special, name, number, row)
            for number, row in enumerate(kept.train[start : start + size], start + 1)
        ]
        return Page(views, start + size < len(kept.train))
    expander = _expander(processor, data)
    rows = _window(choose(data.dataset_dir, data.dataset, data.stage), data, hub, start, size + 1)
    return Page([view(renderer, row, expander) for row in rows[:size]], len(rows) > size)


def count(
    tokenizer: Any,
    config: RunConfig,
    processor: Any = None,
    *,
    sample: int | None = None,
    tell: Tell | None = None,
    stop: Stop | None = None,
) -> Totals:
    """What training with this config would see, all rows rendered; only numbers of them stay in memory.

    With `sample` at most so many rows of each dataset are looked at, and `Totals.sampled` says whether there are more.
    `tell(rows, bytes_done, bytes_total)` hears how far it is. When `stop()` is true the totals are those of the rows so
    far, `sampled`. Raises UserError where training would not start because of an option or a
    file; that no row can be used is in the totals, and a reason of `gate.holds`.
    """
    from trainer.dataset.counting import count_rows

    return count_rows(tokenizer, config, processor, sample=sample, tell=tell, stop=stop)


def _expander(processor: Any, data: DataOptions) -> Any:
    if processor is None:
        return None
    from trainer.dataset.expand import Expander

    return Expander(processor, data)


def _window(
    infos: Sequence[DatasetInfo], data: DataOptions, hub: Hub, start: int, count: int
) -> list[Row | RowProblem]:
    """`count` rows from position `start` (from 0) of the datasets together, usable or not.

    Rows before `start` are passed over without being looked at; a dataset that ends before is counted.
    """
    reading = Reading.of(data, hub)
    found: list[Row | RowProblem] = []
    for info in infos:
        limit = data.max_samples if info.num_samples is None else None
        wanted = count - len(found) if limit is None else min(count - len(found), limit - start)
        if wanted > 0:
            found += islice(read_rows(info, reading, skip=start), wanted)
        if len(found) == count:
            break
        start = 0 if found else start - _length(info, hub, limit)
    return found


def _length(info: DatasetInfo, hub: Hub, limit: int | None) -> int:
    """How many rows a dataset gives, unusable ones among them."""
    with closing(open_items(info, hub)) as items:
        return sum(1 for _ in islice(items, limit))
