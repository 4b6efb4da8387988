"""One evaluation, from its config to its files: rows answered by base and tuned, scored, and put into a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer import device as accelerator
from trainer.config import RunConfig, require_task
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.load import REASONS_TOLD
from trainer.errors import UserError
from trainer.evaluate import judging, records, report, scores, trained
from trainer.evaluate.judge import Judge
from trainer.evaluate.judging import Judging
from trainer.evaluate.passes import Passes, Work, sides_of
from trainer.evaluate.places import Places, places_of, require_there
from trainer.evaluate.records import RowLog
from trainer.evaluate.results import results_of
from trainer.evaluate.rows import label_of, rows_of
from trainer.evaluate.scores import Tally
from trainer.events import Event, Finished, Note, Stopped
from trainer.model.memory import give_back, is_out_of_memory
from trainer.model.voices import BASE, TUNED
from trainer.paths import RunFolder

Emit = Callable[[Event], None]
Stop = Callable[[], bool]


def run_eval(config: RunConfig, emit: Emit, stop: Stop, judge: Judge | None = None) -> Finished | Stopped:
    """Answers, measures and scores the rows that `config` names, in the folder `config.train.output_dir`.

    `emit` receives every event but the last, which is returned; `stop` is asked between phases and while answers are
    written. Rows that the folder holds already are not answered again. `judge` is asked when `config` wishes it.
    Raises UserError for what a person can mend.
    """
    try:
        return _Run(config, emit, stop, judge).run()
    except Exception as error:
        if isinstance(error, UserError) or not is_out_of_memory(error):
            raise
    finally:
        give_back()
    # Raised outside the handler: the first error's traceback would keep the model in memory.
    raise UserError("evaluate_memory", device=accelerator.name())


class _Run:
    """The phases of one evaluation."""

    def __init__(self, config: RunConfig, emit: Emit, stop: Stop, judge: Judge | None) -> None:
        self.config = config
        self.emit = emit
        self.stop = stop
        self.judge = judge
        self.folder = RunFolder(Path(config.train.output_dir))
        self.log = RowLog(self.folder.rows)
        self.begun = time.monotonic()
        self.told: list[Note] = []

    def run(self) -> Finished | Stopped:
        """Raises UserError for what a person can mend."""
        config = self.config
        require_task(config)
        self.folder.path.mkdir(parents=True, exist_ok=True)
        for note in config.notes:
            self.emit(note)
        require_there(
            [Path(each) for each in config.model.adapter_name_or_path], sum(1 for _ in self.log.read())
        )
        places = places_of(config)
        for note in places.notes:
            self._tell(note)
        self._phase("evaluate_rows")
        chosen = rows_of(config)
        self._tell_rows(chosen.rows)
        passes = Passes(config, self.folder, self.tally, self.emit, self._tell, self.stop)
        try:
            work = passes.work(places.plan, chosen.rows)
        except UserError:
            # What is done is worth something, whatever keeps the rest from being done.
            if any(self.log.read()):
                self._finish(Work(sides_of(places.plan), stopped=True), len(chosen.rows), Judging())
            raise
        self._tell_work(work, len(chosen.rows), chosen.problems)
        self._tell_trained(places, chosen.rows)
        return self._finish(work, len(chosen.rows), self._judged(work, chosen.rows))

    def _seconds(self) -> float:
        return round(time.monotonic() - self.begun, 3)

    def _phase(self, code: str, **values: str | int | float) -> None:
        self.emit(Note(code=code, values=values))

    def _tell(self, note: Note) -> None:
        """A note that stands in the report, too."""
        self.told.append(note)
        self.emit(note)

    def _warn(self, code: str, **values: str | int | float) -> None:
        self._tell(Note(code=code, values=values, level="warning"))

    def _tell_rows(self, rows: Sequence[Row]) -> None:
        labels = [label_of(row.conversation) for row in rows]
        if missing := labels.count(None):
            self._warn("evaluate_no_label", count=missing, rows=len(rows))
        wanted = self.config.evaluate.score_as
        known = [label for label in labels if label is not None]
        self.tally = Tally(scores.recognise(known) if wanted == "auto" else wanted)

    def _tell_work(self, work: Work, rows: int, problems: Sequence[RowProblem]) -> None:
        left_out = [*problems, *work.problems]
        if left_out:
            reasons = " ".join(problem.text for problem in left_out[:REASONS_TOLD])
            self._warn("evaluate_left_out", count=len(left_out), rows=rows + len(problems), reasons=reasons)
        if work.spent.cut:
            self._warn("evaluate_cut", count=work.spent.cut, rows=rows, limit=work.longest)
        if work.spent.unmeasured:
            cutoff = self.config.data.cutoff_len
            self._warn("evaluate_loss_left_out", count=work.spent.unmeasured, rows=rows, cutoff=cutoff)
        if work.stopped:
            done = sum(1 for _ in self.log.read())
            self._warn("evaluate_stopped", done=done, total=rows)

    def _tell_trained(self, places: Places, rows: Sequence[Row]) -> None:
        for path in places.checkpoints:
            if not path.is_dir():
                self._warn("evaluate_removed", path=str(path))
        for note in trained.notes(rows, places.checkpoints, self.config.data.dataset_dir):
            self._tell(note)

    def _judged(self, work: Work, rows: Sequence[Row]) -> Judging:
        if not self.config.evaluate.judge or work.stopped:
            return Judging()
        if self.judge is None:
            self._warn("judge_none")
            return Judging()
        self._phase("judge_asking")
        found = judging.judged(records.in_order(self.log), rows, self.judge, self.stop)
        for note in found.notes:
            self._tell(note)
        return found

    def _finish(self, work: Work, total: int, judged: Judging) -> Finished | Stopped:
        rows, compares = records.in_order(self.log), BASE in work.sides
        found, new = report.build(
            self.tally, rows, work.sides, total, work.stopped, self.told, judged.verdict
        )
        for note in new:
            self.emit(note)
        records.write_report(self.folder, found)
        if self.config.evaluate.do_predict:
            records.write_predictions(self.folder, rows, compares)
        records.write_results(self.folder, results_of(self.config.evaluate, found, work, len(rows)))
        path = str(self.folder.path)
        if work.stopped or judged.stopped:
            return Stopped(step=len(rows), seconds=self._seconds(), path=path)
        self.folder.side.unlink(missing_ok=True)
        return Finished(step=len(rows), seconds=self._seconds(), path=path, eval_loss=found["loss"][TUNED])
