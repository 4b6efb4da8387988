"""The rows passed through the models: by both sides at once where they fit into memory, else by one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from trainer import device as accelerator
from trainer.config import RunConfig
from trainer.dataset.conversation import Row, RowProblem
from trainer.errors import UserError
from trainer.evaluate.progress import Progress
from trainer.evaluate.records import Record, RowLog
from trainer.evaluate.rows import label_of, question_of
from trainer.evaluate.scores import Tally
from trainer.evaluate.session import Session, Spent
from trainer.events import Event, Note, Started
from trainer.model.counting import parameters
from trainer.model.memory import give_back
from trainer.model.quantization import wanted
from trainer.model.sides import Loader, Plan, Side
from trainer.model.voices import BASE, TUNED
from trainer.paths import RunFolder

Emit = Callable[[Event], None]


@dataclass
class Work:
    """What was done: by which sides, whether all of it, in which time, and what could not be done."""

    sides: list[str]
    stopped: bool = False
    preparation_s: float = 0.0
    longest: int = 0
    spent: Spent = field(default_factory=Spent)
    problems: list[RowProblem] = field(default_factory=list)


class Passes:
    """One attempt at the rows of a run's folder."""

    def __init__(
        self, config: RunConfig, folder: RunFolder, tally: Tally, emit: Emit, tell: Callable[[Note], None],
        stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._config, self._folder, self._tally = config, folder, tally
        self._emit, self._tell, self._stop = emit, tell, stop

    def work(self, plan: Plan, rows: Sequence[Row]) -> Work:
        """Answers what the folder does not hold yet. Raises UserError when not even one model fits into memory."""
        name = self._config.model.model_name_or_path
        self._emit(Note(code="evaluate_model", values={"name": name}))
        work = Work(sides_of(plan))
        log = RowLog(self._folder.rows)
        done = _kept(log, rows, work.sides)
        try:
            sides = self._load(plan, work)
        except UserError as error:
            if error.code != "chat_no_room" or len(plan.models) < 2:
                raise
        else:
            self._start(sides, len(rows), len(done), work)
            self._pass(sides, rows, log, done, work)
            return work
        self._in_turn(plan, rows, log, done, work)
        return work

    def _load(self, plan: Plan, work: Work) -> tuple[Side, ...]:
        begun, config = time.monotonic(), self._config
        loader = Loader(
            config.data.template, config.model.trust_remote_code, config.data, config.method.compute_type,
            wanted(config.model),
        )  # fmt: skip
        sides = loader.load(plan)
        work.preparation_s += time.monotonic() - begun
        # A model that stands alone is the one in question.
        return (replace(sides[0], name=TUNED),) if len(sides) == 1 else sides

    def _in_turn(self, plan: Plan, rows: Sequence[Row], log: RowLog, done: list[Record], work: Work) -> None:
        """First the tuned side answers everything, then the base what the tuned one has answered."""
        self._tell(Note(code="evaluate_in_turn"))
        aside = RowLog(self._folder.side)
        before = _kept(aside, rows, [TUNED])
        (tuned,) = self._load(replace(plan, mode="tuned"), work)
        self._start((tuned,), len(rows), len(done), work)
        self._pass((tuned,), rows, aside, before, work, share=0.5)
        del tuned
        give_back()
        if work.stopped:
            return
        (base,) = self._load(Plan(plan.base, "base"), work)
        base = replace(base, name=BASE)
        first = {record["row"]: record for record in aside.read()}
        self._pass((base,), rows, log, done, work, first=first, share=0.5)

    def _start(self, sides: Sequence[Side], rows: int, done: int, work: Work) -> None:
        model = sides[-1].model
        self._emit(
            Started(
                task="eval", total_steps=rows, rows=rows, trained_tokens=0, trainable=0,
                parameters=parameters(model), device=accelerator.name(),
                precision=str(model.dtype).removeprefix("torch."), resumed_from=done,
            )
        )  # fmt: skip
        if done:
            self._emit(Note(code="evaluate_resumed", values={"done": done, "total": rows}))

    def _pass(
        self, sides: Sequence[Side], rows: Sequence[Row], log: RowLog, done: Sequence[Record], work: Work,
        first: dict[int, Record] | None = None, share: float = 1.0,
    ) -> None:  # fmt: skip
        names = [side.name for side in sides]
        for record in done:
            for name in names:
                self._tally.add(name, record["scores"][name])
        before = share * (len(done) + len(first or ()))
        device = sides[-1].model.device
        progress = Progress(self._emit, self._tally, names, len(rows), before, device, share)
        session = Session(self._config, sides, log, self._tally, progress, self._tell, self._stop, first)
        passed = {record["row"] for record in done}
        left = [(place, row) for place, row in enumerate(rows) if place not in passed]
        if first is not None:
            left = [each for each in left if each[0] in first]
        work.stopped = session.work(left)
        progress.tell()
        work.longest, work.spent = session.longest, work.spent + session.spent
        work.problems += session.problems


def sides_of(plan: Plan) -> list[str]:
    """The names of the sides that answer."""
    return [BASE, TUNED] if plan.mode == "compare" else [TUNED]


def _kept(log: RowLog, rows: Sequence[Row], sides: Sequence[str]) -> list[Record]:
    """What these sides have answered of these very rows in an earlier attempt; anything else leaves the file."""
    known: dict[int, Record] = {}
    for record in log.read():
        is_whole = set(record.get("scores", ())) == set(sides)
        if is_whole and 0 <= record["row"] < len(rows) and _same(record, rows[record["row"]]):
            known[record["row"]] = record
    log.keep(set(known))
    return list(known.values())


def _same(record: Record, row: Row) -> bool:
    asked, label = question_of(row.conversation), label_of(row.conversation)
    return (row.dataset, row.number, label, asked) == tuple(
        record.get(name) for name in ("dataset", "number", "label", "question")
    )
