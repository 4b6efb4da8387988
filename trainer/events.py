"""What happens in a run, as facts that are appended to `events.jsonl`, the only way out of a run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from trainer.errors import Values, tell


def now() -> float:
    """Seconds since the epoch, the clock of every event."""
    return time.time()


@dataclass(frozen=True, kw_only=True)
class Event:
    at: float = field(default_factory=now)


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The work is about to begin. `resumed_from` is the step of the checkpoint it goes on from, 0 for a fresh run.

    `task` is "train", or "eval" for an evaluation, whose steps are rows: `resumed_from` is how many are done already.
    Of an export ("export") `total_steps` is the number of tensors, `precision` the format in which they are written.
    """

    total_steps: int
    rows: int
    trained_tokens: int
    parameters: int
    trainable: int
    device: str
    precision: str
    resumed_from: int = 0
    task: str = "train"


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """One optimiser step. `loss` is None where it was not read (reading it would wait for the device).

    `tokens_per_s` counts trained tokens (those with a label) per second; `memory_mb` is the peak so far.
    """

    step: int
    total_steps: int
    epoch: float
    elapsed_s: float
    eta_s: float
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tokens_per_s: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """Mean loss per trained token over the evaluation rows; `parts` is that of each dataset by itself, if asked for."""

    step: int
    epoch: float
    loss: float
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Predicted(Event):
    """`done` of `total` rows of an evaluation are answered and scored; `rows_per_s` counts those of this attempt.

    `scores` holds the mean of the main score so far by side: {"tuned": {"rouge-l": 41.2}, "base": {"rouge-l": 17.0}}.
    """

    done: int
    total: int
    elapsed_s: float
    eta_s: float
    rows_per_s: float
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    memory_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Written(Event):
    """`done_bytes` of the `total_bytes` of all formats of an export are on the disk; `tensor` was the last one.

    `format` is the one that is written now, as in `export_format`. At most two a second are told.
    """

    format: str
    tensor: str
    done_bytes: int
    total_bytes: int
    elapsed_s: float
    eta_s: float
    memory_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sample(Event):
    """A greedy answer to one of the person's prompts; step 0 is the model before training.

    A prompt that names a row has its text in `question`, and in `media` the names of small pictures in the run's folder.
    """

    step: int
    prompt: str
    answer: str
    question: str = ""
    media: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint that can be loaded lies in `path`."""

    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """Something the person should know: a phase, a dropped row, an ignored option. `code` is a sentence's code."""

    code: str
    values: Values = field(default_factory=dict)
    level: str = "info"

    @property
    def text(self) -> str:
        """The English sentence."""
        sentence = tell(self.code, self.values)
        return f"{sentence.text} {sentence.hint}".strip()


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run is complete; the model or adapter lies in `path`. `loss` is the mean training loss of the whole run.

    Of an evaluation `path` is the run's folder, `step` the rows, and `eval_loss` that of the tuned side. Of an export
    `path` is the folder that was written, `step` the number of files in it.
    """

    step: int
    seconds: float
    path: str
    loss: float | None = None
    eval_loss: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stopped(Event):
    """Somebody stopped the run after `step` steps; `path` holds a loadable checkpoint, or is empty before the first step.

    Of an evaluation `path` is the run's folder, with the scores of the `step` rows that are done. Of an export nothing
    is left: `path` is empty.
    """

    step: int
    seconds: float
    path: str


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """The run ended with a mistake: `code` and `values` give its sentence."""

    code: str
    values: Values = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The English sentence with its hint on a line of its own."""
        sentence = tell(self.code, self.values)
        return f"{sentence.text}\nhint: {sentence.hint}" if sentence.hint else sentence.text


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Started, Step, Evaluated, Predicted, Written, Sample, Saved, Note, Finished, Stopped, Failed)
}
FINAL = (Finished, Stopped, Failed)


def encode(event: Event) -> str:
    """One JSON line without its newline. Fields that are None are left out."""
    facts = {name: value for name, value in asdict(event).items() if value is not None}
    return json.dumps({"kind": type(event).__name__, **facts}, ensure_ascii=False)


def decode(line: str) -> Event:
    """The event of a line that `encode` wrote; fields of a newer version are passed over. Raises ValueError otherwise."""
    facts: dict[str, Any] = json.loads(line)
    kind = KINDS.get(facts.pop("kind", ""))
    if kind is None:
        raise ValueError(f"not an event: {line[:80]}")
    known = {each.name for each in fields(kind)}
    # Of several values events hold tuples.
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
    }
    return kind(**{name: value for name, value in given.items() if name in known})


class Batch(NamedTuple):
    """New events and the byte offset to ask from next time."""

    events: list[Event]
    offset: int


class EventLog:
    """`events.jsonl` of one run: appended by the run, read by any number of pages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Event) -> None:
        """Writes one line in a single call, so that a reader or a crash sees whole lines or none."""
        with self.path.open("a+b") as file:
            if file.tell() and self._cut_short(file):
                file.write(b"\n")
            file.write(encode(event).encode() + b"\n")
            file.flush()

    @staticmethod
    def _cut_short(file: Any) -> bool:
        """Whether a crash left half a line at the end, on which a new event must not continue."""
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) != b"\n")

    def read(self, offset: int = 0) -> Batch:
        """The whole lines after `offset`. Half a line is left for the next call; a broken one is passed over."""
        if not self.path.exists():
            return Batch([], offset)
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        events: list[Event] = []
        for line in data[:end].splitlines():
            try:
                events.append(decode(line.decode()))
            except ValueError:
                continue
        return Batch(events, offset + end)


def current(events: Iterable[Event]) -> list[Event]:
    """The events without what a resume has undone: steps after the checkpoint it went on from, and earlier endings."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Started):
            limit = event.resumed_from
            kept = [e for e in kept if getattr(e, "step", 0) <= limit and not isinstance(e, FINAL)]
        kept.append(event)
    return kept
