"""One evaluation, from its config to its files: rows answered by base and tuned, scored, and put into a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.config import RunConfig, require_task
from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.load import REASONS_TOLD
from trainer.errors import UserError
from trainer.evaluate import records, report, scores, trained
from trainer.evaluate.places import Places, places_of, require_there
from trainer.evaluate.progress import Progress
from trainer.evaluate.records import Record, RowLog
from trainer.evaluate.rows import label_of, question_of, rows_of
from trainer.evaluate.scores import Tally
from trainer.evaluate.session import Session
from trainer.events import Event, Finished, Note, Started, Stopped
from trainer.model.memory import device_name, give_back, is_out_of_memory
from trainer.model.sides import Loader, Side
from trainer.model.voices import BASE, TUNED
from trainer.paths import RunFolder

Emit = Callable[[Event], None]
Stop = Callable[[], bool]


def run_eval(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    """Answers, measures and scores the rows that `config` names, in the folder `config.train.output_dir`.

    `emit` receives every event but the last, which is returned; `stop` is asked between phases and while answers are
    written. Rows that the folder holds already are not answered again. Raises UserError for what a person can mend.
    """
    try:
        return _Run(config, emit, stop).run()
    except Exception as error:
        if isinstance(error, UserError) or not is_out_of_memory(error):
            raise
    finally:
        give_back()
    # Raised outside the handler: the first error's traceback would keep the model in memory.
    raise UserError("evaluate_memory", device=device_name())


class _Run:
    """The phases of one evaluation."""

    def __init__(self, config: RunConfig, emit: Emit, stop: Stop) -> None:
        self.config = config
        self.emit = emit
        self.stop = stop
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
        self._phase("evaluate_model", name=config.model.model_name_or_path)
        prepared = time.monotonic()
        sides = self._sides(places)
        self.preparation_s = time.monotonic() - prepared
        return self._work(places, chosen.rows, chosen.problems, sides)

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

    def _sides(self, places: Places) -> tuple[Side, ...]:
        config = self.config
        loader = Loader(
            config.data.template, config.model.trust_remote_code, config.data, config.method.compute_type
        )
        sides = loader.load(places.plan)
        # A model that stands alone is the one in question.
        return (replace(sides[0], name=TUNED),) if len(sides) == 1 else sides

    def _done(self, rows: Sequence[Row]) -> list[Record]:
        """What an earlier attempt has answered of these very rows."""
        known = []
        for record in self.log.read():
            if record["row"] < len(rows):
                row = rows[record["row"]]
                is_same = (row.dataset, row.number, label_of(row.conversation), question_of(row.conversation))
                if is_same == tuple(record[name] for name in ("dataset", "number", "label", "question")):
                    known.append(record)
        self.log.keep({record["row"] for record in known})
        return list({record["row"]: record for record in known}.values())

    def _work(
        self, places: Places, rows: list[Row], problems: list[RowProblem], sides: tuple[Side, ...]
    ) -> Finished | Stopped:
        done = self._done(rows)
        names = [side.name for side in sides]
        for record in done:
            for name in names:
                self.tally.add(name, record["scores"][name])
        model = sides[-1].model
        self.emit(
            Started(
                task="eval", total_steps=len(rows), rows=len(rows), trained_tokens=0, trainable=0,
                parameters=sum(each.numel() for each in model.parameters()), device=device_name(),
                precision=str(model.dtype).removeprefix("torch."), resumed_from=len(done),
            )
        )  # fmt: skip
        if done:
            self._phase("evaluate_resumed", done=len(done), total=len(rows))
        progress = Progress(self.emit, self.tally, names, len(rows), len(done), model.device)
        session = Session(self.config, sides, self.log, self.tally, progress, self._tell, self.stop)
        passed = {record["row"] for record in done}
        stopped = session.work([(place, row) for place, row in enumerate(rows) if place not in passed])
        progress.tell()
        self._tell_session(session, len(rows), problems, stopped, progress.done)
        self._tell_trained(places, rows)
        return self._finish(names, session, len(rows), stopped)

    def _tell_session(
        self, session: Session, rows: int, problems: list[RowProblem], stopped: bool, done: int
    ) -> None:
        left_out = [*problems, *session.problems]
        if left_out:
            reasons = " ".join(problem.text for problem in left_out[:REASONS_TOLD])
            self._warn("evaluate_left_out", count=len(left_out), rows=rows + len(problems), reasons=reasons)
        data = self.config.data
        if session.spent.cut:
            self._warn("evaluate_cut", count=session.spent.cut, rows=rows, limit=session.longest)
        if session.spent.unmeasured:
            self._warn(
                "evaluate_loss_left_out", count=session.spent.unmeasured, rows=rows, cutoff=data.cutoff_len
            )
        if stopped:
            self._warn("evaluate_stopped", done=done, total=rows)

    def _tell_trained(self, places: Places, rows: Sequence[Row]) -> None:
        for path in places.checkpoints:
            if not path.is_dir():
                self._warn("evaluate_removed", path=str(path))
        for note in trained.notes(rows, places.checkpoints, self.config.data.dataset_dir):
            self._tell(note)

    def _finish(self, names: list[str], session: Session, total: int, stopped: bool) -> Finished | Stopped:
        rows = records.in_order(self.log)
        found, new = report.build(self.tally, rows, names, total, stopped, self.told)
        for note in new:
            self.emit(note)
        records.write_report(self.folder, found)
        if self.config.evaluate.do_predict:
            records.write_predictions(self.folder, rows, BASE in names)
        records.write_results(self.folder, self._results(found, names, session, len(rows)))
        seconds = self._seconds()
        if stopped:
            return Stopped(step=len(rows), seconds=seconds, path=str(self.folder.path))
        return Finished(
            step=len(rows), seconds=seconds, path=str(self.folder.path), eval_loss=found["loss"][TUNED]
        )

    def _results(
        self, found: Record, names: list[str], session: Session, rows: int
    ) -> dict[str, dict[str, float | None]]:
        """LLaMA-Factory's files; the base's numbers stand beside the tuned one's as base_*."""
        parts: dict[str, dict[str, float | None]] = {}
        evaluate, spent = self.config.evaluate, session.spent
        bases = [name for name in names if name == BASE]
        if evaluate.do_predict:
            means = found["sides"].get(TUNED, {})
            parts["predict"] = {f"predict_{name}": round(value, 4) for name, value in means.items()}
            for side in bases:
                own = found["sides"].get(side, {})
                parts["predict"] |= {f"{side}_{name}": round(value, 4) for name, value in own.items()}
            parts["predict"] |= records.speed("predict", spent.answering_s, rows, spent.batches)
            parts["predict"]["predict_model_preparation_time"] = round(self.preparation_s, 4)
        if evaluate.do_eval:
            parts["eval"] = {"eval_loss": found["loss"][TUNED], "eval_perplexity": found["perplexity"][TUNED]}
            for side in bases:
                parts["eval"] |= {
                    f"{side}_loss": found["loss"][side], f"{side}_perplexity": found["perplexity"][side]
                }  # fmt: skip
            parts["eval"] |= records.speed("eval", spent.measuring_s, rows, spent.batches)
            parts["eval"]["eval_model_preparation_time"] = round(self.preparation_s, 4)
        return parts
