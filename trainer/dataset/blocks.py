"""Texts as the rows of a pre-training: joined and cut into blocks of the cutoff, or each by itself; nothing is lost.

LLaMA-Factory drops what does not fill a block, for every thousand texts; here the last block is shorter instead, and a
text that is longer than the cutoff goes on in the next row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.render import Rendered
from trainer.dataset.table import RowTable

if TYPE_CHECKING:
    from trainer.dataset.gather import Gathered
    from trainer.options import DataOptions

Integers = NDArray[np.int64]


def packs_rows(data: DataOptions) -> bool:
    """Whether several rows share a place of a batch; the blocks of a pre-training are full already."""
    return data.packing and data.stage != "pt"


def cuts(sizes: Sequence[int] | Integers, size: int, joined: bool) -> Integers:
    """Where rows begin and end among the tokens of all texts one after another, shape (rows, 2).

    Every row has `size` tokens but the last, of everything when texts are `joined`, else of each text. A single token
    that is left over could be predicted from nothing: it gets company from the row before.
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    if joined:
        lengths = lengths.sum(keepdims=True) if len(lengths) else lengths
    ends = np.cumsum(lengths)
    counts = -(-lengths // size)
    last = np.cumsum(counts) - 1
    place = np.arange(counts.sum()) - np.repeat(last + 1 - counts, counts)
    starts = np.repeat(ends - lengths, counts) + place * size
    stops = np.minimum(starts + size, np.repeat(ends, counts))
    lonely = last[(counts > 1) & (lengths % size == 1)]
    starts[lonely] -= 1
    stops[lonely - 1] -= 1
    return np.stack([starts, stops], axis=1)


class Blocks(RowTable):
    """The rows of a pre-training out of a table of texts, made when they are asked for."""

    def __init__(self, texts: RowTable, size: int, joined: bool) -> None:
        self.texts, self.joined = texts, joined
        self._cuts = cuts(texts.sizes, size, joined)
        self._ends = np.cumsum(texts.sizes)

    def __len__(self) -> int:
        return len(self._cuts)

    def __iter__(self) -> Iterator[Rendered]:
        return (self._block(place) for place in range(len(self)))

    def __getitem__(self, place: int | slice) -> Rendered | list[Rendered]:  # type: ignore[override]
        if isinstance(place, slice):
            return [self._block(each) for each in range(*place.indices(len(self)))]
        return self._block(range(len(self))[place])

    def _block(self, place: int) -> Rendered:
        ids = self._tokens(place).tolist()
        return Rendered(ids, list(ids), len(ids) - 1, len(ids), False, True)

    def _tokens(self, place: int) -> NDArray[np.int32]:
        start, stop = self._cuts[place].tolist()
        text = int(np.searchsorted(self._ends, start, side="right"))
        parts = []
        while start < stop:
            end = int(self._ends[text])
            begin = end - int(self.texts.sizes[text])
            parts.append(self.texts.tokens(text, start - begin, min(stop, end) - begin))
            start, text = end, text + 1
        return np.concatenate(parts)

    def _facts(self, name: str) -> Integers:
        sizes = self.sizes
        return {"trained": sizes - 1, "cut": sizes * 0, "whole": sizes * 0 + 1, "length": sizes}[name]

    @cached_property
    def sizes(self) -> Integers:
        """Tokens of each row."""
        found: Integers = self._cuts[:, 1] - self._cuts[:, 0]
        return found

    def update(self, digest: hashlib._Hash) -> None:
        """As a table's."""
        for place in range(len(self)):
            tokens = self._tokens(place)
            digest.update(len(tokens).to_bytes(8, "little"))
            digest.update(tokens.tobytes())


def in_blocks(table: RowTable, data: DataOptions) -> RowTable:
    """The rows of a run out of what was rendered: the table itself, or for a pre-training its blocks."""
    return Blocks(table, data.cutoff_len, data.packing) if data.stage == "pt" else table


def gathered_in_blocks(found: Gathered, data: DataOptions) -> Gathered:
    """The same, for all rows of a run."""
    parts = {name: in_blocks(part, data) for name, part in found.parts.items()}
    return replace(found, train=in_blocks(found.train, data), parts=parts)


def flow_in_blocks(texts: Iterable[Rendered], data: DataOptions) -> Iterator[Rendered]:
    """As `Blocks`, of texts that come one by one, maybe without an end."""
    size = data.cutoff_len
    if data.packing:
        tokens = (token for text in texts for token in text.input_ids)
        held = list(islice(tokens, size))
        while held:
            after = list(islice(tokens, size))
            if len(after) == 1:
                after = [held.pop(), *after]
            yield _row(held)
            held = after
        return
    for text in texts:
        for start, stop in cuts([len(text.input_ids)], size, joined=False).tolist():
            yield _row(text.input_ids[start:stop])


def _row(ids: list[int]) -> Rendered:
    return Rendered(ids, list(ids), len(ids) - 1, len(ids), False, True)
