"""Counts over the rows of a run: what is said of them, and how it is worked out from their lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.conversation import RowProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset.duplicates import Overlap, Twins

    Numbers = Sequence[int] | NDArray[np.int64]

BINS = 24


class Steps(NamedTuple):
    """Optimiser steps on one device."""

    per_epoch: int
    total: int


class Bin(NamedTuple):
    """`rows` rows have at least `start` and less than `end` tokens."""

    start: int
    end: int
    rows: int


@dataclass(frozen=True)
class Histogram:
    """Lengths in tokens before cutting, in bins of equal width side by side; together the bins hold every row."""

    bins: tuple[Bin, ...]
    cutoff: int

    @property
    def rows(self) -> int:
        """All rows of all bins."""
        return sum(each.rows for each in self.bins)

    @property
    def cutoff_bin(self) -> int | None:
        """The place of the bin that holds the cutoff; None where it lies beside all bins."""
        return next((at for at, each in enumerate(self.bins) if each.start <= self.cutoff < each.end), None)


@dataclass(frozen=True)
class Totals:
    """Counts over all rows of a run. Tokens are those of one epoch, after cutting; `longest` is before.

    rows: rows that are trained (`places` batches are made of: with packing several rows share one). evaluation: rows held back or named for evaluation. dropped: rows that were read and
    cannot be used, for whatever reason: `reasons` counts them by code, `problems` keeps the first of them.
    cut: rows longer than the cutoff. answers_cut: rows of which a trained answer loses tokens.
    whole: rows of which a trained answer keeps its end. endless: rows without a trained end-of-turn token;
    `ending_template` is one with which there would be some, where a template is the reason ("": none is known).
    padding_saved: the share of all tokens that padded batches of this size, in random order, would be padding (0 to 1);
    batches are flattened here where the model allows it, and do not pay it.
    duplicates, near_duplicates: among the rows that are trained, each row of a file counted once. overlap: None without
    evaluation rows. short: rows whose answers have one word at most. scripts: letters of all rows by script (see
    language.SCRIPTS). folded: rows whose system prompt becomes a part of the first question.
    forgotten: rows with thoughts that the template takes out of every answer. shortest: tokens of the
    shortest row; shortest_dropped, longest_dropped: of the rows of which the cutoff leaves nothing (0: there are none).
    sampled: only the first rows were counted; `steps` is None then. stage: "pt" for texts, which are cut into `places`.
    """

    rows: int
    evaluation: int
    problems: tuple[RowProblem, ...]
    tokens: int
    trained: int
    longest: int
    cut: int
    steps: Steps | None
    cutoff: int = 0
    dropped: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    answers_cut: int = 0
    histogram: Histogram = Histogram((), 0)
    padding_saved: float = 0.0
    duplicates: Twins | None = None
    near_duplicates: Twins | None = None
    overlap: Overlap | None = None
    short: int = 0
    scripts: Mapping[str, int] = field(default_factory=dict)
    folded: int = 0
    forgotten: int = 0
    whole: int = 0
    endless: int = 0
    ending_template: str = ""
    shortest: int = 0
    shortest_dropped: int = 0
    longest_dropped: int = 0
    pictures: int = 0
    places: int = 0
    batch: int = 1
    packing: bool = False
    template: str = ""
    datasets: tuple[str, ...] = ()
    sampled: bool = False
    stage: str = "sft"

    @property
    def read(self) -> int:
        """All rows, trained, evaluated or dropped."""
        return self.rows + self.evaluation + self.dropped

    @property
    def dropped_share(self) -> float:
        """The share of rows that were read and cannot be used, 0 to 1."""
        return self.dropped / self.read if self.read else 0.0

    @property
    def answers_cut_share(self) -> float:
        """The share of trained rows of which an answer loses tokens, 0 to 1."""
        return self.answers_cut / self.rows if self.rows else 0.0


def count_steps(rows: int, config: RunConfig) -> Steps:
    """Steps for `rows` rows (with packing: places of packed rows), counted as transformers' trainer counts them."""
    train = config.train
    batches = math.ceil(rows / train.per_device_train_batch_size)
    per_epoch = max(1, math.ceil(batches / train.gradient_accumulation_steps))
    total = train.max_steps if train.max_steps > 0 else math.ceil(train.num_train_epochs * per_epoch)
    return Steps(per_epoch, total)


def with_steps(totals: Totals, config: RunConfig) -> Totals:
    """The totals with the steps of `config`, of which only epochs, accumulation and max_steps may be new."""
    known = totals.places and not totals.sampled
    return replace(totals, steps=count_steps(totals.places, config) if known else None)


def make_histogram(lengths: Numbers, cutoff: int) -> Histogram:
    """About 24 bins, from the shortest row to the longest, of a width that reads well: 1, 2 or 5 times a power of ten."""
    import numpy as np

    if not len(lengths):
        return Histogram((), cutoff)
    given = np.asarray(lengths, dtype=np.int64)
    width = _nice(int(given.max() - given.min() + 1) / BINS)
    first = int(given.min()) // width
    counts = np.bincount(given // width - first).tolist()
    bins = (Bin(at * width, (at + 1) * width, rows) for at, rows in enumerate(counts, first))
    return Histogram(tuple(bins), cutoff)


def _nice(width: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below `width`."""
    power: int = 10 ** max(0, math.floor(math.log10(max(width, 1))))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width)


def padding_share(lengths: Numbers, batch: int) -> float:
    """The share of padding in padded batches of `batch` rows, over all orders of the rows.

    Exact: in a batch drawn at random the i-th shortest of n rows is the longest with the probability
    C(i - 1, batch - 1) / C(n, batch).
    """
    import numpy as np

    rows = np.sort(np.asarray(lengths, dtype=np.float64))
    if not len(rows):
        return 0.0
    full, rest = divmod(len(rows), batch)
    padded = full * batch * _expected_longest(rows, batch) if full else 0.0
    if rest:
        padded += rest * _expected_longest(rows, rest)
    return float(1 - rows.sum() / padded)


def _expected_longest(rows: NDArray[np.float64], batch: int) -> float:
    """The mean length of the longest of `batch` rows drawn from `rows` (sorted)."""
    import numpy as np

    ranks = np.arange(len(rows) + 1, dtype=np.float64)
    # The probability that all rows of the batch are among the i shortest.
    within = np.ones(len(rows) + 1)
    for drawn in range(batch):
        within *= np.maximum(ranks - drawn, 0) / (len(rows) - drawn)
    return float(np.diff(within) @ rows)
