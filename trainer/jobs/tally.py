"""What a run's events add up to, kept while they grow, so that a list of hundreds of runs stays cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.events import (
    FINAL,
    Evaluated,
    Event,
    EventLog,
    Failed,
    Finished,
    Predicted,
    Started,
    Step,
    Stopped,
    Written,
)
from trainer.paths import RunFolder

CURVE_POINTS = 60
Point = tuple[int, float]


@dataclass(frozen=True)
class Facts:
    """A run in numbers. `seconds` is the time spent training, `eta_s` the time left; `curve` has at most 60 points.

    Of an export the steps are bytes. Of an evaluation the steps are rows, the curve is that of the tuned side's main score, and `scores` has it by its name,
    the base's as base_<name>.
    """

    step: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    eta_s: float | None = None
    loss: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    curve: tuple[Point, ...] = ()
    ending: Finished | Stopped | Failed | None = None


def thin(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """At most `most` of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return tuple(points)
    stride = (len(points) - 1) / (most - 1)
    return tuple(points[round(place * stride)] for place in range(most))


def _place(event: Step | Predicted | Written) -> int:
    if isinstance(event, Written):
        return event.done_bytes
    return event.step if isinstance(event, Step) else event.done


class Tally:
    """The sum of one run's events so far; `refresh` reads only what is new."""

    def __init__(self, folder: RunFolder) -> None:
        self._log = EventLog(folder.events)
        self._reset()

    def _reset(self) -> None:
        self._seen: tuple[int, int, int] = (0, 0, 0)
        self._offset = 0
        self._points: list[Point] = []
        self._evaluations: list[Point] = []
        self._last: Step | Predicted | Written | None = None
        # What earlier attempts of an evaluation took; a training counts on by itself.
        self._earlier_s = 0.0
        self._evaluates = False
        self._means: dict[str, float] = {}
        self._total = 0
        self.count = 0
        self.started_at = -1
        self.ended_at = -1
        self.ending: Finished | Stopped | Failed | None = None

    def refresh(self) -> None:
        """Reads what was appended since the last call; a file that was replaced is read again from its beginning."""
        try:
            stat = self._log.path.stat()
        except OSError:
            return self._reset() if self._offset else None
        seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if seen == self._seen:
            return None
        if self._offset and (stat.st_ino != self._seen[0] or stat.st_size < self._offset):
            self._reset()
        events, self._offset = self._log.read(self._offset)
        self._seen = seen
        for event in events:
            self._take(event)
            self.count += 1
        return None

    def _take(self, event: Event) -> None:
        if isinstance(event, Started):
            limit = event.resumed_from
            self._points = [point for point in self._points if point[0] <= limit]
            self._evaluations = [point for point in self._evaluations if point[0] <= limit]
            resumed = event.task == "eval" and event.resumed_from > 0
            self._earlier_s = (
                self._earlier_s + (self._last.elapsed_s if self._last else 0.0) if resumed else 0.0
            )
            self._last, self._total, self.ending = None, event.total_steps, None
            self._evaluates = event.task == "eval"
            self.started_at = self.count
        elif isinstance(event, Step):
            self._last, self._total = event, event.total_steps
            if event.loss is not None:
                self._points.append((event.step, event.loss))
        elif isinstance(event, Written):
            self._last, self._total = event, event.total_bytes
        elif isinstance(event, Predicted):
            self._predicted(event)
        elif isinstance(event, Evaluated):
            self._evaluations.append((event.step, event.loss))
        elif isinstance(event, FINAL):
            self.ending, self.ended_at = event, self.count

    def _predicted(self, event: Predicted) -> None:
        self._means = {
            name if side == "tuned" else f"{side}_{name}": mean
            for side, means in event.scores.items()
            for name, mean in means.items()
        }
        # After a training the scores belong to it, and the rows are none of its steps.
        if self._evaluates:
            self._last, self._total = event, event.total
            self._points += [(event.done, mean) for mean in event.scores.get("tuned", {}).values()]

    def facts(self) -> Facts:
        """The run so far."""
        last, ending = self._last, self.ending
        step = _place(last) if last else self._points[-1][0] if self._points else 0
        seconds = last.elapsed_s if last else 0.0
        if isinstance(ending, (Finished, Stopped)):
            step = step if isinstance(last, Written) else ending.step
            seconds = ending.seconds
        return Facts(
            step=step,
            total_steps=self._total,
            seconds=self._earlier_s + seconds,
            eta_s=last.eta_s if last and ending is None else None,
            loss=self._points[-1][1] if self._points and not self._evaluates else None,
            scores=self._scores(),
            curve=thin(self._points, CURVE_POINTS),
            ending=ending,
        )

    def _scores(self) -> dict[str, float]:
        scores: dict[str, float] = dict(self._means)
        if isinstance(self.ending, Finished) and self.ending.loss is not None:
            scores["train_loss"] = self.ending.loss
        if self._evaluations:
            scores["eval_loss"] = self._evaluations[-1][1]
        if isinstance(self.ending, Finished) and self.ending.eval_loss is not None:
            scores["eval_loss"] = self.ending.eval_loss
        return scores
