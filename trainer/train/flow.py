"""A stream of rows as TRL's trainer draws from it, and what is told of its rows on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import IterableDataset
from transformers import TrainerCallback

from trainer.dataset.blocks import flow_in_blocks
from trainer.dataset.load import REASONS_TOLD
from trainer.dataset.packing import fit, fit_in_order
from trainer.dataset.stream import Stream
from trainer.events import Note
from trainer.options import DataOptions
from trainer.train.collation import IGNORED, Item, join, single

PACKED = 1000
# Stands for a row that was trained before a resume: the trainer passes over it without looking.
PASSED = single([0], [IGNORED])


class Flow(IterableDataset[Item]):
    """The rows of a stream as places of a batch; the first `passed` of them are empty.

    With a `capacity` in tokens several rows share a place, packed out of PACKED rows at a time, neighbours only when
    `in_order`; `texts` are the options of a pre-training, whose texts are cut into blocks. How many places came before
    a resume depends on the lengths of their rows, so that these are rendered once more.
    """

    def __init__(
        self,
        stream: Stream,
        capacity: int | None = None,
        in_order: bool = False,
        texts: DataOptions | None = None,
    ) -> None:
        self.stream = stream
        self.passed = 0
        self._capacity = capacity
        self._fit = fit_in_order if in_order else fit
        self._texts = texts

    def __iter__(self) -> Iterator[Item]:
        if self._texts is not None:
            yield from self._blocks(self._texts)
            return
        if self._capacity is not None:
            yield from self._packed(self._capacity)
            return
        for row in self.stream.rendered(self.passed):
            yield PASSED if row is None else single(row.input_ids, row.labels, row.media)

    def _blocks(self, texts: DataOptions) -> Iterator[Item]:
        rows = (row for row in self.stream.rendered() if row is not None)
        for place, row in enumerate(flow_in_blocks(rows, texts)):
            yield PASSED if place < self.passed else single(row.input_ids, row.labels)

    def _packed(self, capacity: int) -> Iterator[Item]:
        rows = (row for row in self.stream.rendered() if row is not None)
        left = self.passed
        while held := list(islice(rows, PACKED)):
            for place in self._fit([len(row.input_ids) for row in held], capacity):
                left -= 1
                singles = [single(held[row].input_ids, held[row].labels, held[row].media) for row in place]
                yield PASSED if left >= 0 else join(singles)


class ProblemTeller(TrainerCallback):
    """Tells of rows that cannot be used: each time their number has doubled, and at the end."""

    def __init__(self, stream: Stream, emit: Callable[[Note], None]) -> None:
        self._stream = stream
        self._emit = emit
        self._told = 0

    def _tell(self, least: int) -> None:
        problems = self._stream.problems
        if len(problems) < max(least, 1):
            return
        self._told = len(problems)
        reasons = " ".join(each.text for each in problems[:REASONS_TOLD])
        values: dict[str, str | int | float] = {"count": len(problems), "reasons": reasons}
        self._emit(Note(code="stream_rows_left_out", values=values, level="warning"))

    def on_log(self, *_: Any, **__: Any) -> None:
        self._tell(2 * self._told)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._tell(self._told + 1)
