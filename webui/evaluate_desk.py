"""What the Evaluate tab asks and does, without gradio: whom it can test, on which rows, and the runs it starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.info import are_texts, load_info
from trainer.errors import UserError, UserErrors, problems_of
from trainer.jobs.job import Job
from trainer.jobs.place import locate_data
from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui.evaluate_judge import GUARD
from webui.outlook import Outlook
from webui.partner import TOP, Partner, Top, choices, partner, value_of

# Rows to be asked: those that a run has held back, or all of the datasets that are named.
HELD, NAMED = "held", "named"
ROWS = (HELD, NAMED)
# Settings below the fold. Their values on the page begin with what the options propose.
JUDGE = "judge"
ADVANCED = (
    "max_samples", "per_device_eval_batch_size", "max_new_tokens", "temperature", "top_p", "seed", "cutoff_len",
    *(name for name, info in options().items()
      if info.panel == "predict" and name not in ("do_predict", "compare_base")),
)  # fmt: skip
MOST_CHOSEN = 6


class Wanted(NamedTuple):
    """What the left column says. `chosen` are values of the menu of runs, `advanced` the settings below the fold."""

    chosen: Sequence[str]
    rows: str
    datasets: Sequence[str]
    compare: bool
    guard: bool
    advanced: Mapping[str, Any]
    top: Top


@dataclass(frozen=True)
class Outcome:
    """The runs that a press has queued, or the mistakes because of which there are none."""

    jobs: tuple[Job, ...] = ()
    problems: tuple[UserError, ...] = ()


class Forecast(NamedTuple):
    """What an evaluation will be: the names of who answers, rows in all and the seconds they take, where known."""

    names: tuple[str, ...]
    sides: int
    data: tuple[str, ...]
    rows: int | None
    seconds: float | None
    seen: bool
    problem: UserError | None = None


class Keeps(NamedTuple):
    """Where the rows come from that a training has held back; `other` when they are whole datasets of their own."""

    data: tuple[str, ...]
    other: bool


class EvaluateDesk:
    """Everything that the left column asks of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._outlook = Outlook(workspace.jobs)

    # Menus

    def runs(self, lang: str) -> list[tuple[str, str]]:
        """The menu of runs and checkpoints, trainings only: the top bar's choice, then the newest first."""
        first, *others = choices(self.workspace.jobs, lang)
        trainings = {job.id for job in self._trainings()}
        return [first, *(each for each in others if each[1].partition("@")[0] in trainings)]

    def datasets(self) -> list[str]:
        """The datasets that can be asked."""
        try:
            return list(load_info(locate_data("data", self.workspace.root)))
        except UserError:
            return []

    def evaluations(self, lang: str, more: Sequence[Job] = (), without: str = "") -> list[tuple[str, str]]:
        """Evaluations to be laid over one another, newest first, `more` among them although they have no rows yet."""
        listed = [job for job in self.workspace.jobs.list() if job.task == "eval" and job.facts.step > 0]
        known = {job.id: job for job in (*more, *listed) if job.id != without}
        return [(_label(job), job.id) for job in known.values()]

    def own(self, jobs: Sequence[Job]) -> list[Job]:
        """The runs without those of the guard set, unless there is nothing else."""
        return [job for job in jobs if asked(job.config) != (GUARD,)] or list(jobs)

    def value_of(self, run: str) -> str:
        """The menu's value for what a training has to offer, its result or its newest checkpoint."""
        job = self._job(run)
        return value_of(job) if job and job.result else run

    def held_by(self, chosen: Sequence[str]) -> Keeps | None:
        """What the first of the chosen runs has kept from itself."""
        job = self._job(chosen[0]) if chosen else None
        if job is None or not holds_back(job):
            return None
        data = job.config.data
        return Keeps(data.eval_dataset or data.dataset, bool(data.eval_dataset))

    def proposal(self) -> tuple[str, str, tuple[str, ...]]:
        """What the tab opens with: the newest training that has ended, on what it has held back, or on its data."""
        newest = next((job for job in self._trainings() if job.state == "finished"), None)
        return self.suited(newest.id) if newest else (TOP, NAMED, tuple(self.datasets()[:1]))

    def suited(self, whom: str) -> tuple[str, str, tuple[str, ...]]:
        """The run or checkpoint with the rows that suit it: those held back where there are some, else its data."""
        job = self._job(whom)
        if job is None:
            return whom, NAMED, ()
        named = job.config.data.eval_dataset or job.config.data.dataset
        return whom, HELD if holds_back(job) else NAMED, named

    def _trainings(self) -> list[Job]:
        return [job for job in self.workspace.jobs.list() if job.task == "train"]

    def _job(self, whom: str) -> Job | None:
        try:
            return self.workspace.jobs.get(whom.partition("@")[0]) if whom else None
        except UserError:
            return None

    # What will happen

    def forecast(self, wanted: Wanted) -> Forecast:
        """What the settings lead to. Never raises: what is wrong is said when they are used."""
        try:
            configs = self._configs(wanted)
        except UserError as error:
            return Forecast((), 1, (), None, None, False, problems_of(error)[0])
        names = tuple(self._partner(each, wanted.top).name for each in _whom(wanted))
        first = configs[0]
        compared = first.evaluate.compare_base and _is_tuned(first)
        data = tuple(dict.fromkeys(name for each in configs for name in asked(each)))
        counted = [self._rows(each) for each in configs]
        rows = sum(each or 0 for each in counted) if all(each is not None for each in counted) else None
        pace = self._pace(first)
        seconds = rows * pace if rows is not None and pace else None
        return Forecast(names, 2 if compared else 1, data, rows, seconds, self._is_seen(wanted))

    def _rows(self, config: RunConfig) -> int | None:
        data = config.data
        try:
            found = self._outlook.count(config.splitting())
        except (UserError, OSError):
            return None
        if found is None:
            return None
        if not data.val_size:
            return found.evaluation if data.eval_dataset else found.train
        return min(found.evaluation, data.max_samples or found.evaluation)

    def _pace(self, config: RunConfig) -> float | None:
        """Seconds for a row in the newest finished evaluation of this model, base beside tuned as now."""
        for job in self.workspace.jobs.list():
            same = (
                job.task == "eval"
                and job.config.model.model_name_or_path == config.model.model_name_or_path
                and job.config.evaluate.compare_base == config.evaluate.compare_base
            )
            if same and job.state == "finished" and job.facts.step and job.facts.seconds > 0:
                return job.facts.seconds / job.facts.step
        return None

    def _is_seen(self, wanted: Wanted) -> bool:
        """Whether a run is asked what it was trained on."""
        if wanted.rows == HELD:
            return False
        trained = {
            name for each in wanted.chosen if (job := self._job(each)) for name in job.config.data.dataset
        }
        return bool(trained & set(wanted.datasets))

    # Starting

    def start(self, wanted: Wanted, token: str) -> Outcome:
        """Queues an evaluation for each chosen run, and one of the guard set for each where that is wished.

        The same token gives the same runs.
        """
        try:
            configs = self._configs(wanted)
            jobs = [
                self.workspace.jobs.submit(each, f"{token}-{place}" if token else "")
                for place, each in enumerate(configs)
            ]
        except UserError as error:
            return Outcome(problems=problems_of(error))
        except Exception as error:
            logging.getLogger(__name__).exception("a press on the page failed")
            return Outcome(problems=(UserError("page_unexpected", reason=type(error).__name__),))
        return Outcome(tuple(jobs))

    def _configs(self, wanted: Wanted) -> list[RunConfig]:
        """The settings of every run, the person's rows before the guard set. Raises UserErrors."""
        whom = _whom(wanted)
        if len(whom) > MOST_CHOSEN:
            raise UserError("page_many_runs", field="runs", most=MOST_CHOSEN)
        own = [self._config(each, wanted, guard=False) for each in whom]
        guards = [self._config(each, wanted, guard=True) for each in whom] if wanted.guard else []
        return [*own, *guards]

    def _config(self, whom: str, wanted: Wanted, *, guard: bool) -> RunConfig:
        found = self._partner(whom, wanted.top)
        job = self._job(whom)
        flat: dict[str, Any] = {
            "model_name_or_path": found.model, "adapter_name_or_path": list(found.checkpoints),
            "template": found.template, "hub": found.hub, "do_predict": True, "do_train": False,
            "compare_base": bool(wanted.compare),
            "finetuning_type": job.method if job else wanted.top.method,
            **_media(found),
            **{name: None if value == "" else value for name, value in wanted.advanced.items()},
        }  # fmt: skip
        if guard:
            flat |= {"eval_dataset": [GUARD]}
        elif wanted.rows == HELD:
            flat |= _held(job)
        elif wanted.datasets:
            flat |= {"eval_dataset": list(wanted.datasets)}
        else:
            raise UserError("page_no_rows", field="datasets")
        if job is not None and job.config.data.dataset_dir != "data":
            flat["dataset_dir"] = job.config.data.dataset_dir
        texts = job is not None and job.config.data.stage == "pt" and wanted.rows == HELD
        if not guard and (texts or self._are_texts(flat)):
            # A text asks nothing that could be answered: how well it is foreseen is measured.
            flat |= {"stage": "pt", "packing": False, "do_predict": False, "do_eval": True}
        return _read(flat)

    def _are_texts(self, flat: Mapping[str, Any]) -> bool:
        names = flat.get("eval_dataset") or flat.get("dataset") or ()
        try:
            return are_texts(locate_data(flat.get("dataset_dir", "data"), self.workspace.root), names)
        except UserError:
            return False

    def _partner(self, whom: str, top: Top) -> Partner:
        return partner(self.workspace.jobs, whom, top)


def _label(job: Job) -> str:
    """An evaluation in a menu: its name, what was tested and on which rows."""
    checkpoints = job.config.model.adapter_name_or_path
    tested = "/".join(Path(checkpoints[-1]).parts[-2:]) if checkpoints else job.model
    if checkpoints and not Path(checkpoints[-1]).name.startswith("checkpoint-"):
        tested = Path(checkpoints[-1]).name
    return f"{job.name} · {tested} · {', '.join(asked(job.config))}"


def _whom(wanted: Wanted) -> tuple[str, ...]:
    return tuple(wanted.chosen) or (TOP,)


def holds_back(job: Job) -> bool:
    """Whether a training has kept rows from itself."""
    return bool(job.config.data.val_size or job.config.data.eval_dataset)


def asked(config: RunConfig) -> tuple[str, ...]:
    """The datasets whose rows are asked."""
    return config.data.eval_dataset or config.data.dataset


def _is_tuned(config: RunConfig) -> bool:
    return bool(config.model.adapter_name_or_path)


def _held(job: Job | None) -> dict[str, Any]:
    """The rows that a training has held back, found again as it found them; how many are asked, and how, is the page's."""
    if job is None or not holds_back(job):
        raise UserError("page_nothing_held", field="rows")
    data = job.config.data
    if data.eval_dataset:
        return {"eval_dataset": list(data.eval_dataset)}
    return {
        "dataset": list(data.dataset), "val_size": data.val_size, "held_seed": job.config.train.seed,
        "held_samples": data.max_samples or 0, "mix_strategy": data.mix_strategy,
        "interleave_probs": list(data.interleave_probs), "streaming": data.streaming,
    }  # fmt: skip


def _media(found: Partner) -> dict[str, Any]:
    """How the run has seen pictures, what its placeholders stood for, and what it was told at first."""
    names = (
        "media_dir", "image_max_pixels", "image_min_pixels", "video_max_pixels", "video_min_pixels", "video_fps",
        "video_maxlen", "identity_name", "identity_author", "default_system", "enable_thinking", "preserve_thinking",
    )  # fmt: skip
    return {name: getattr(found.data, name) for name in names}


def _read(flat: Mapping[str, Any]) -> RunConfig:
    try:
        return RunConfig.from_flat({name: value for name, value in flat.items() if value is not None})
    except UserError as error:
        raise UserErrors(list(problems_of(error))) from error
