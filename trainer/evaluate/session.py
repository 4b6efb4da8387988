"""Rows answered batch by batch on loaded sides, scored beside that, and written down as they are done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from trainer import device as accelerator
from trainer.config import RunConfig
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Row, RowProblem
from trainer.errors import UserError, Values
from trainer.evaluate import scores
from trainer.evaluate.answering import Answer, Answerer
from trainer.evaluate.batches import Size
from trainer.evaluate.items import Item, Voice, prepare
from trainer.evaluate.losses import Loss
from trainer.evaluate.progress import Progress
from trainer.evaluate.records import Record, RowLog, joined
from trainer.evaluate.scores import Tally
from trainer.events import Note
from trainer.model.memory import give_back, is_out_of_memory
from trainer.model.sides import Side

# Rows that are ready at once, and among which those of like length are put together.
WINDOW = 1024
Tell = Callable[[Note], None]


@dataclass
class Spent:
    """Seconds and batches of answering and of measuring, and rows that were cut or not measured."""

    answering_s: float = 0.0
    measuring_s: float = 0.0
    batches: int = 0
    cut: int = 0
    unmeasured: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Of two passes over the same rows: their times together; rows that both have cut are counted once."""
        return Spent(
            self.answering_s + other.answering_s, self.measuring_s + other.measuring_s, self.batches + other.batches,
            max(self.cut, other.cut), max(self.unmeasured, other.unmeasured),
        )  # fmt: skip


@dataclass
class _Open:
    """A row under way: its answers and losses by the number of the side."""

    item: Item
    answers: dict[int, Answer] = field(default_factory=dict)
    losses: dict[int, Loss] = field(default_factory=dict)


class Session:
    """Works on rows until all are done or somebody stops it.

    `first` are the rows as the other side has answered them, where the two do so one after the other.
    """

    def __init__(
        self, config: RunConfig, sides: Sequence[Side], log: RowLog, tally: Tally, progress: Progress, tell: Tell,
        stop: Callable[[], bool], first: Mapping[int, Record] | None = None,
    ) -> None:  # fmt: skip
        self._config, self._log, self._tally, self._progress = config, log, tally, progress
        self._tell = tell
        self._asked = stop
        self._first = first or {}
        self._names = [side.name for side in sides]
        self._answerer = Answerer(sides, config.generate, config.train.seed)
        self._size = Size(config.train.per_device_eval_batch_size, sides[-1].model, len(sides))
        self._voices = [Voice(side.renderer, self._longest(side)) for side in sides]
        self._open: dict[int, _Open] = {}
        self._scored: deque[Future[Record]] = deque()
        self._stopped = False
        self.spent = Spent()
        self.problems: list[RowProblem] = []

    @property
    def longest(self) -> int:
        """The longest prompt that every side takes."""
        return min(voice.longest for voice in self._voices)

    def _longest(self, side: Side) -> int:
        """Half the context may be the question's when the answer could be longer than the other half."""
        room = min(self._config.generate.max_new_tokens, side.context // 2)
        return max(1, min(self._config.data.cutoff_len, side.context - room))

    def work(self, rows: Sequence[tuple[int, Row]]) -> bool:
        """Answers, measures and scores `rows`; returns whether it was stopped.

        Raises UserError when memory is too small for a single row, and what a model raises.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="scores") as self._pool:
            # The dictionary of the scores is large: it is read while the first answers are written.
            self._pool.submit(scores.load_dictionary)
            for start in range(0, len(rows), WINDOW):
                items = list(self._prepared(rows[start : start + WINDOW]))
                items.sort(key=lambda item: item.size, reverse=True)
                while items and not self._stop():
                    self._batch(items[: self._size.fitting(items, self._config.generate.max_new_tokens)])
                    items = [item for item in items if item.place in self._open]
                if self._stopped:
                    break
            self._write(wait=True)
        return self._stopped

    def _stop(self) -> bool:
        self._write()
        self._stopped = self._stopped or self._asked()
        return self._stopped

    def _prepared(self, rows: Sequence[tuple[int, Row]]) -> Iterator[Item]:
        for each in prepare(rows, self._voices, self._config.evaluate.do_eval):
            if isinstance(each, RowProblem):
                self._lose(each)
                continue
            self.spent.cut += any(spoken.cut for spoken in each.spoken)
            self._open[each.place] = _Open(each)
            yield each

    def _batch(self, batch: Sequence[Item]) -> None:
        """One batch; those of its rows that are done leave `_open`. Too little memory makes the next one smaller."""
        evaluate = self._config.evaluate
        for item in batch:
            self._open[item.place] = _Open(item)
        tight = False
        try:
            if evaluate.do_eval:
                self._measure(batch)
            if evaluate.do_predict:
                with self._timed("answering_s"):
                    self._answerer.answer(batch, self._stop, self._take)
            self.spent.batches += 1
        except Unusable:
            return self._drop_blind(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            tight = True
        if not tight:
            if len(batch) == self._size.now:
                self._size.grow()
            return None
        # Outside the handler: the error's frames hold what there was no room for.
        give_back()
        size = self._size.halve(len(batch))
        if not size:
            raise UserError("evaluate_memory", device=accelerator.name())
        values: Values = {"before": len(batch), "size": size}
        self._tell(Note(code="evaluate_halved", values=values, level="warning"))
        return None

    def _drop_blind(self, batch: Sequence[Item]) -> None:
        """Leaves out the rows whose pictures cannot be read any more."""
        for item in batch:
            try:
                for voice in self._voices:
                    if item.media and voice.renderer.expander:
                        voice.renderer.expander.inputs(item.media)
            except Unusable as unusable:
                row = item.row
                self._lose(RowProblem(row.dataset, row.number, unusable.code, unusable.values, row.file))
                self._open.pop(item.place, None)

    def _lose(self, problem: RowProblem) -> None:
        self.problems.append(problem)
        self._progress.lose()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            setattr(self.spent, name, getattr(self.spent, name) + time.monotonic() - begun)

    def _measure(self, batch: Sequence[Item]) -> None:
        with self._timed("measuring_s"):
            for (place, number), loss in self._answerer.measure(batch).items():
                self._open[place].losses[number] = loss
        for item in batch:
            if item.label is not None and not self._open[item.place].losses:
                self.spent.unmeasured += 1
            if not self._config.evaluate.do_predict:
                self._close(item.place)

    def _take(self, item: Item, number: int, answer: Answer) -> None:
        answers = self._open[item.place].answers
        answers[number] = answer
        if len(answers) == len(self._names):
            self._close(item.place)

    def _close(self, place: int) -> None:
        self._scored.append(self._pool.submit(self._record, self._open.pop(place)))

    def _record(self, row: _Open) -> Record:
        """The row's line; scoring it takes the time of several steps, so that a thread of its own does it."""
        item, sides = row.item, list(enumerate(self._names))
        said = {name: row.answers.get(number) for number, name in sides}
        tuned = said[self._names[-1]]
        base = said[self._names[0]] if len(sides) == 2 else None
        tokenizer = self._answerer.sides[-1].tokenizer
        return {
            **item.facts(),
            "prompt": tokenizer.decode(item.spoken[-1].prompt, skip_special_tokens=False),
            "label": item.label,
            "predict": tuned.text if tuned else None,
            "base": base.text if base else None,
            "ending": {name: each.ending for name, each in said.items() if each},
            "tokens": {name: each.tokens for name, each in said.items() if each},
            "loss": {
                name: row.losses[number].mean if number in row.losses else None for number, name in sides
            },
            "label_tokens": self._label_tokens(row),
            "scores": {name: self._scores(each, item.label) for name, each in said.items()},
        }

    def _label_tokens(self, row: _Open) -> int:
        """Of the reference, as many as were measured; else as many as it has."""
        if row.losses:
            return max(each.tokens for each in row.losses.values())
        label = row.item.label
        tokenizer = self._answerer.sides[-1].tokenizer
        return len(tokenizer(label, add_special_tokens=False)["input_ids"]) if label else 0

    def _scores(self, answer: Answer | None, label: str | None) -> dict[str, float | None]:
        kind = self._tally.kind
        if answer is None or label is None:
            return dict.fromkeys(scores.names(kind))
        return {**scores.score(kind, answer.text, label)}

    def _write(self, wait: bool = False) -> None:
        """Writes down the rows that are scored by now; with `wait` all that are done."""
        while self._scored and (wait or self._scored[0].done()):
            record = self._scored.popleft().result()
            if self._first:
                record = joined(self._first[record["row"]], record)
            self._log.append(record)
            for name in self._names:
                self._tally.add(name, record["scores"][name])
            self._progress.add()
