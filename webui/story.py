"""What a page knows of a run: its events folded into curves, answers and facts of bounded size.

A fold of the same events gives the same story whatever the portions in which they arrive, so a page that watched from
the start and one that was opened in the middle show the same curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod

from trainer.events import (
    FINAL,
    Evaluated,
    Event,
    EventLog,
    Note,
    Predicted,
    Sample,
    Saved,
    Started,
    Step,
    Written,
    current,
)
from webui.plot import MOST_POINTS, Point, next_smooth, thin

_MOST_KEPT = 4 * MOST_POINTS
_MOST_ANSWERS = 24
_MOST_NOTES = 200
# Notes with such codes say what is going on now; they are passed over once it is done.
_PHASE = ("phase_", "export_phase_")
_PHASES = (
    "evaluate_rows", "evaluate_model", "evaluate_answering", "evaluate_measuring", "judge_asking", "receipt_prompts",
    "receipt_replaying",
)  # fmt: skip
# Notes with such codes say what the rows answered so far are like: a run that goes on ends with new ones.
_OF_ROWS = ("evaluate_stopped", "answers_", "score_zero", "rows_without_label")


@dataclass(frozen=True)
class Story:
    """`loss` and `smooth` hold a point per logged loss, the longest curves thinned; `count` and `mean` go on from there.

    `predicted` is how far an evaluation is, whose earlier attempts took `earlier_s` seconds, `written` how far an export. `final` is how the run ended, None while it goes on. `answers` are in the order in which they were given. `phase` is
    what is being done when no steps are.
    """

    started: Started | None = None
    last: Step | None = None
    loss: tuple[Point, ...] = ()
    smooth: tuple[Point, ...] = ()
    count: int = 0
    mean: float | None = None
    lr: tuple[Point, ...] = ()
    grad_norm: tuple[Point, ...] = ()
    evaluation: tuple[Point, ...] = ()
    parts: tuple[tuple[str, tuple[Point, ...]], ...] = ()
    tokens_per_s: float | None = None
    memory_mb: float | None = None
    answers: tuple[Sample, ...] = ()
    notes: tuple[Note, ...] = ()
    phase: Note | None = None
    saved: Saved | None = None
    predicted: Predicted | None = None
    earlier_s: float = 0.0
    written: Written | None = None
    final: Event | None = None


def told(story: Story, events: Iterable[Event]) -> Story:
    """The story with more events. They must not begin anew in the middle of it: `follow` sees to that."""
    draft = _Draft(story)
    for event in events:
        draft.take(event)
    return draft.story()


@dataclass(frozen=True)
class Cursor:
    """How far a page has read a run: whole lines up to the byte `offset`, folded into `story`."""

    offset: int = 0
    story: Story = Story()


def follow(cursor: Cursor, log: EventLog) -> Cursor:
    """The cursor after what is new in the log; the same object when nothing is.

    A run that went on from a checkpoint undoes what came after it, so then the whole log is read once more; the same when
    the file has become shorter, because a run has begun anew in its folder.
    """
    if cursor.offset and (not log.path.exists() or log.path.stat().st_size < cursor.offset):
        cursor = Cursor()
    batch = log.read(cursor.offset)
    if batch.offset == cursor.offset:
        return cursor
    begins = [event for event in batch.events if isinstance(event, Started)]
    if begins and cursor.offset:
        batch = log.read(0)
        return Cursor(batch.offset, told(Story(), current(batch.events)))
    return Cursor(batch.offset, told(cursor.story, current(batch.events)))


class _Draft:
    """A story while events are added to it."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._loss, self._smooth = list(story.loss), list(story.smooth)
        self._lr, self._grad_norm = list(story.lr), list(story.grad_norm)
        self._parts = {name: list(points) for name, points in story.parts}
        self._evaluation, self._answers, self._notes = (
            list(story.evaluation),
            list(story.answers),
            list(story.notes),
        )

    def story(self) -> Story:
        return replace(
            self._story,
            loss=tuple(self._loss),
            smooth=tuple(self._smooth),
            lr=tuple(self._lr),
            grad_norm=tuple(self._grad_norm),
            evaluation=tuple(self._evaluation),
            parts=tuple((name, tuple(points)) for name, points in self._parts.items()),
            answers=tuple(self._answers),
            notes=tuple(self._notes),
        )

    @singledispatchmethod
    def take(self, event: Event) -> None:
        """An ending, or an event of a newer version."""
        if isinstance(event, FINAL):
            self._story = replace(self._story, final=event)

    @take.register
    def _(self, event: Started) -> None:
        earlier_s = 0.0
        if event.task == "eval" and event.resumed_from and self._story.predicted:
            earlier_s = self._story.earlier_s + self._story.predicted.elapsed_s
            self._notes = [each for each in self._notes if not each.code.startswith(_OF_ROWS)]
        self._story = replace(self._story, started=event, final=None, written=None, earlier_s=earlier_s)

    @take.register
    def _(self, event: Step) -> None:
        story = self._story
        if event.loss is not None:
            count = story.count + 1
            mean = next_smooth(story.mean, event.loss, count)
            _add(self._loss, event.step, event.loss)
            _add(self._smooth, event.step, mean)
            story = replace(story, count=count, mean=mean)
        if event.lr is not None:
            _add(self._lr, event.step, event.lr)
        if event.grad_norm is not None:
            _add(self._grad_norm, event.step, event.grad_norm)
        self._story = replace(
            story,
            last=event,
            tokens_per_s=story.tokens_per_s if event.tokens_per_s is None else event.tokens_per_s,
            memory_mb=story.memory_mb if event.memory_mb is None else event.memory_mb,
        )

    @take.register
    def _(self, event: Evaluated) -> None:
        _add(self._evaluation, event.step, event.loss)
        for name, loss in event.parts.items():
            _add(self._parts.setdefault(name, []), event.step, loss)

    @take.register
    def _(self, event: Sample) -> None:
        self._answers.append(event)
        given = [each for each in self._answers if each.prompt == event.prompt]
        if len(given) > _MOST_ANSWERS:
            dropped = {id(each) for each in given[1:-1:2]}
            self._answers = [each for each in self._answers if id(each) not in dropped]

    @take.register
    def _(self, event: Predicted) -> None:
        memory_mb = self._story.memory_mb if event.memory_mb is None else event.memory_mb
        self._story = replace(self._story, predicted=event, memory_mb=memory_mb)

    @take.register
    def _(self, event: Written) -> None:
        memory_mb = self._story.memory_mb if event.memory_mb is None else event.memory_mb
        self._story = replace(self._story, written=event, memory_mb=memory_mb)

    @take.register
    def _(self, event: Saved) -> None:
        self._story = replace(self._story, saved=event)

    @take.register
    def _(self, event: Note) -> None:
        if event.code.startswith(_PHASE) or event.code in _PHASES:
            self._story = replace(self._story, phase=event)
            return
        known = any(each.code == event.code and each.values == event.values for each in self._notes)
        if not known and len(self._notes) < _MOST_NOTES:
            self._notes.append(event)


def _add(points: list[Point], x: float, y: float) -> None:
    points.append(Point(float(x), float(y)))
    if len(points) > _MOST_KEPT:
        points[:] = thin(points, _MOST_KEPT // 2)


def answers_by_prompt(answers: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The answers to each prompt, the prompts in the order in which they were first asked."""
    found: dict[str, list[Sample]] = {}
    for answer in answers:
        found.setdefault(answer.prompt, []).append(answer)
    return found
