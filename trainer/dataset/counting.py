"""Counts over the rows of a run: each dataset is read and rendered once, and only numbers are kept.

Which of the rows are trained and which evaluated is decided afterwards, by the same words as for a run (`choose_rows`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.duplicates import Overlap, find_overlap, find_twins
from trainer.dataset.ledger import (
    ANSWER_CUT,
    CUT,
    ENDLESS,
    FOLDED,
    FORGOTTEN,
    MOST_PROBLEMS,
    SHORT,
    WHOLE,
    Ledger,
    Selection,
)
from trainer.dataset.lens import NO_CUTOFF, Lens
from trainer.dataset.packing import fit
from trainer.dataset.rows import Reading, read_rows
from trainer.dataset.statistics import Totals, make_histogram, padding_share, with_steps
from trainer.errors import UserError
from trainer.options import DataOptions

if TYPE_CHECKING:
    from trainer.dataset.entry import DatasetInfo
    from trainer.dataset.gather import Gathered

CHUNK, SMALL_CHUNK = 1_024, 64
# A sample of very long rows ends sooner: somebody waits for it.
SAMPLE_TOKENS = 1_000_000
Tell = Callable[[int, int, int], None]
Stop = Callable[[], bool]


def count_rows(
    tokenizer: Any,
    config: RunConfig,
    processor: Any = None,
    *,
    sample: int | None = None,
    tell: Tell | None = None,
    stop: Stop | None = None,
) -> Totals:
    """See `doctor.count`."""
    from trainer.dataset.load import chosen

    lens = Lens(tokenizer, config.data, processor)
    how = Reading.of(config.data, config.model.hub)
    kept = lens.kept()
    train, evaluation = ([], []) if kept else chosen(config.data)
    infos = (*train, *evaluation)
    meter = _Meter(tell or _nobody, sum(map(_bytes, infos)))
    reading = _Ledgering(lens, how, sample, meter, stop or _never)
    for info in infos:
        reading.read(info)
    chosen_rows = reading.take_kept(kept) if kept else _choose(reading, train, evaluation, config)
    return with_steps(_totals(reading, lens, chosen_rows, config), config)


def _nobody(rows: int, bytes_done: int, bytes_total: int) -> None:
    """Tells nobody."""


def _never() -> bool:
    return False


class _Meter:
    """Tells how far the reading is: rows, and bytes of all files."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell = tell
        self._total = total
        self._before = self._now = 0
        self._rows = 0

    def hear(self, done: int, total: int) -> None:
        """Bytes of the file that is read now."""
        self._now = done

    def rows(self, more: int) -> None:
        self._rows += more
        self._tell(self._rows, min(self._before + self._now, self._total), self._total)

    def next_file(self) -> None:
        self._before += self._now
        self._now = 0


def _bytes(info: DatasetInfo) -> int:
    """The size of a dataset's files; 0 where it is not known before they are read."""
    from trainer.dataset.files import look_into

    try:
        return 0 if info.hub else look_into(info.path).bytes
    except UserError:
        return 0


class _Ledgering:
    """Reads datasets one after another into a ledger. `starts` are the positions at which their rows begin.

    `partly` names the datasets that were not read to their ends.
    """

    def __init__(self, lens: Lens, how: Reading, sample: int | None, meter: _Meter, stop: Stop) -> None:
        self.ledger = Ledger()
        self.starts: list[int] = []
        self.problems: list[RowProblem] = []
        self.reasons: Counter[str] = Counter()
        self.partly: set[str] = set()
        self._lens, self._how = lens, how
        self._sample = sample
        self._meter = meter
        self._stop = stop
        self._stopped = False
        self._tokens = 0

    def read(self, info: DatasetInfo) -> None:
        """Raises UserError when the file as a whole cannot be read."""
        self.starts.append(len(self.ledger))
        limit = self._lens.data.max_samples if info.num_samples is None else None
        rows = read_rows(info, self._how, limit, tell=self._meter.hear)
        room, tokens = self._sample, 0
        while not self._ended(info.name):
            chunk = list(islice(rows, CHUNK if room is None else min(SMALL_CHUNK, room)))
            if not chunk:
                if room == 0 and next(rows, None) is not None:
                    self.partly.add(info.name)
                break
            before = self._tokens
            self._take(chunk)
            if room is not None:
                room -= len(chunk)
                tokens += self._tokens - before
                room = room if tokens < SAMPLE_TOKENS else 0
        self._meter.next_file()

    def _ended(self, name: str) -> bool:
        self._stopped = self._stopped or self._stop()
        if self._stopped:
            self.partly.add(name)
        return self._stopped

    def _take(self, chunk: Sequence[Row | RowProblem]) -> None:
        for each in chunk:
            if isinstance(each, RowProblem):
                self.reasons[each.code] += 1
                if len(self.problems) < MOST_PROBLEMS:
                    self.problems.append(each)
        for row, found, facts in self._lens.look([each for each in chunk if isinstance(each, Row)]):
            self.ledger.add(row, found, facts)
            self._tokens += self.ledger.lengths[-1]
        self._meter.rows(len(chunk))

    def take_kept(self, kept: Gathered) -> _Chosen:
        """Rows that are tokens already: what they say is not looked at."""
        name = Path(self._lens.data.tokenized_path).name
        ends = [0]
        for table in (kept.train, *kept.parts.values()):
            for place in range(len(table)):
                if self._ended(name) or place == self._sample:
                    self.partly.add(name)
                    break
                rendered = table[place]
                self.ledger.add_kept(name, place + 1, rendered, self._lens.kept_facts(rendered))
                if place % CHUNK == CHUNK - 1:
                    self._meter.rows(CHUNK)
            ends.append(len(self.ledger))
        return _Chosen(self.ledger.select(range(ends[1])), self.ledger.select(range(ends[1], ends[-1])))

    @property
    def counts(self) -> list[int]:
        """Readable rows of each dataset."""
        ends = [*self.starts[1:], len(self.ledger)]
        return [end - start for start, end in zip(self.starts, ends, strict=True)]


class _Chosen(NamedTuple):
    train: Selection
    evaluation: Selection


def _choose(
    reading: _Ledgering, train: Sequence[DatasetInfo], evaluation: Sequence[DatasetInfo], config: RunConfig
) -> _Chosen:
    """Raises UserError when holding back leaves no row to train on."""
    import numpy as np

    from trainer.dataset.load import choose_rows

    data, ledger = config.data, reading.ledger
    if reading.partly:
        # Of a part nobody knows how many rows are to be drawn or held back: that is what the whole count is for.
        train, evaluation = (
            [replace(each, num_samples=None) if each.name in reading.partly else each for each in infos]
            for infos in (train, evaluation)
        )
        data = replace(data, val_size=data.val_size if data.val_size < 1 else 0.0)
    if not any(reading.counts[: len(train)]):
        nothing = ledger.select(())
        return _Chosen(nothing, nothing)
    choice = choose_rows(train, evaluation, reading.counts, data, config.train.seed)
    starts = np.array(reading.starts, dtype=np.int64)

    def select(parts: Sequence[Any]) -> Selection:
        return ledger.select(
            np.concatenate(
                [np.empty(0, dtype=np.int64), *(starts[each[:, 0]] + each[:, 1] for each in parts)]
            )
        )

    return _Chosen(select([choice.train]), select(list(choice.parts.values())))


def _totals(reading: _Ledgering, lens: Lens, chosen_rows: _Chosen, config: RunConfig) -> Totals:
    train, held = chosen_rows
    ledger, cutoff = reading.ledger, config.data.cutoff_len
    problems = [*reading.problems, *train.problems, *held.problems]
    reasons = reading.reasons + train.reasons + held.reasons
    lost = [*train.cut_away, *held.cut_away]
    endless = train.having(ENDLESS)
    data, places = config.data, _places(train, config.data)
    return Totals(
        rows=len(train.usable),
        evaluation=len(held.usable),
        problems=tuple(problems[:MOST_PROBLEMS]),
        tokens=int(train.kept.sum()),
        trained=train.trained if data.stage != "pt" else int(train.kept.sum()) - places,
        longest=int(train.lengths.max(initial=0)),
        cut=train.having(CUT),
        steps=None,
        cutoff=cutoff,
        dropped=sum(reasons.values()),
        reasons=dict(reasons.most_common()),
        answers_cut=train.having(ANSWER_CUT),
        histogram=make_histogram(train.lengths, cutoff),
        padding_saved=_padding(train, config),
        duplicates=find_twins(ledger.identities, train.usable, ledger.places),
        near_duplicates=ledger.sketches.find(train.usable, ledger.identities, ledger.places),
        overlap=_overlap(ledger, train, held),
        short=train.having(SHORT),
        scripts=dict(ledger.scripts),
        folded=train.having(FOLDED),
        forgotten=train.having(FORGOTTEN),
        endless=endless,
        whole=train.having(WHOLE),
        ending_template=lens.ending_template() if endless == len(train.usable) else "",
        shortest=int(train.lengths.min(initial=NO_CUTOFF)) if len(train.usable) else 0,
        shortest_dropped=min(lost, default=0),
        longest_dropped=max(lost, default=0),
        pictures=train.pictures,
        places=places,
        batch=config.train.per_device_train_batch_size,
        packing=data.packing,
        stage=data.stage,
        template=config.data.template,
        datasets=(*config.data.dataset, *config.data.eval_dataset),
        sampled=bool(reading.partly),
    )


def _overlap(ledger: Ledger, train: Selection, held: Selection) -> Overlap | None:
    if not len(held.usable):
        return None
    return find_overlap(ledger.likenesses, train.usable, held.usable, ledger.places)


def _padding(train: Selection, config: RunConfig) -> float:
    """Blocks of joined texts are all full."""
    if config.data.stage == "pt" and config.data.packing:
        return 0.0
    return padding_share(train.kept, config.train.per_device_train_batch_size)


def _places(train: Selection, data: DataOptions) -> int:
    """What batches are made of."""
    from trainer.dataset.blocks import cuts, packs_rows

    if data.stage == "pt":
        return len(cuts(train.kept, data.cutoff_len, data.packing))
    return len(fit(train.kept.tolist(), data.cutoff_len)) if packs_rows(data) else len(train.usable)
