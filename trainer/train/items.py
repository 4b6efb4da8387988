"""Rows as places of a batch, made when they are asked for: the rows of a run may be more than memory holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from trainer.dataset.packing import fit, fit_in_order
from trainer.dataset.render import Rendered
from trainer.dataset.table import RowTable
from trainer.train.collation import IGNORED, Item, join, single

# A place without a row: several processes draw it when there are no more rows for all of them.
EMPTY = -1


class Items(Dataset[Item]):
    """What TRL's trainer draws from. With `places` each holds several rows, packed one after another."""

    def __init__(self, rows: Sequence[Rendered], places: Sequence[Sequence[int]] | None = None) -> None:
        self._rows = rows
        self._places = places

    def __len__(self) -> int:
        return len(self._rows) if self._places is None else len(self._places)

    def __getitem__(self, place: int) -> Item:
        if place == EMPTY:
            return single([0], [IGNORED])
        if self._places is None:
            return self._single(place)
        return join([self._single(row) for row in self._places[place]])

    def _single(self, place: int) -> Item:
        row = self._rows[place]
        return single(row.input_ids, row.labels, row.media)

    def longest(self, count: int) -> list[Item]:
        """The `count` longest places; fewer where there are not so many."""
        order = np.argsort(-self._sums()[0], kind="stable")[:count]
        return [self[int(place)] for place in order]

    def most(self, count: int) -> tuple[int, int]:
        """Tokens, and trained tokens, of `count` places at most: the longest, and those with the most to learn."""
        sizes, trained = self._sums()
        return tuple(int(np.sort(each)[::-1][:count].sum()) for each in (sizes, trained))  # type: ignore[return-value]

    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(self._rows, RowTable):
            sizes, trained = self._rows.sizes, self._rows.trained_each
        else:
            sizes = np.array([len(row.input_ids) for row in self._rows])
            trained = np.array([row.trained for row in self._rows])
        if self._places is None:
            return sizes, trained
        found = [(sizes[rows].sum(), trained[rows].sum()) for rows in map(list, self._places)]
        return np.array([each for each, _ in found]), np.array([each for _, each in found])


def items_of(rows: Sequence[Rendered], capacity: int | None, in_order: bool = False) -> Items:
    """Rows as places of a batch; with a `capacity` in tokens several rows share one, neighbours only when `in_order`."""
    if capacity is None:
        return Items(rows)
    lengths = rows.sizes.tolist() if isinstance(rows, RowTable) else [len(row.input_ids) for row in rows]
    return Items(rows, (fit_in_order if in_order else fit)(lengths, capacity))
