"""What a run will be like, before it is started: rows, steps, seconds, and which placeholders the data have."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.doctor import count_steps
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.info import choose
from trainer.dataset.ingest.cupboard import ROWS
from trainer.dataset.ingest.recipe import read_recipe
from trainer.dataset.load import load_rows
from trainer.errors import UserError
from trainer.jobs import launch
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import locate_data, model_folder
from trainer.options import DataOptions
from webui import form

PLACEHOLDERS = {"identity_name": "{{name}}", "identity_author": "{{author}}"}
# A larger file is not read while somebody types: it would take seconds. What is known of it stands in its recipe, if it
# has one; else its rows are counted by the preview, or when the run starts.
MOST_BYTES = 8 << 20
KEPT = 16
RUNS_FRESH_S = 10.0


class Counted(NamedTuple):
    """Rows to train on, to evaluate on and unusable ones; the options whose placeholder occurs in the data."""

    train: int
    evaluation: int
    unusable: int
    filled: frozenset[str]


class Look(NamedTuple):
    """`rows` and `steps` are None while they are not known, `seconds` where no run on this machine says it.

    `unfilled` are options without a purpose for these data; `problem` says why the data cannot be read.
    """

    rows: int | None = None
    unusable: int = 0
    steps: int | None = None
    seconds: float | None = None
    unfilled: frozenset[str] = frozenset()
    problem: UserError | None = None


class Outlook:
    """Answers for the forms of one server, and remembers what it has counted."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = Lock()
        self._counted: OrderedDict[Any, Counted] = OrderedDict()
        self._paces: dict[tuple[str, str], float] = {}
        self._paced_at = float("-inf")

    def look(self, values: Mapping[str, Any]) -> Look:
        """What the form's values lead to. Never raises: what is wrong with them is said when they are used."""
        config, whole = form.read_leniently(values)
        if not config.data.dataset:
            return Look(unfilled=frozenset(PLACEHOLDERS))
        try:
            counted = self.count(config)
        except UserError as error:
            return Look(unfilled=frozenset(PLACEHOLDERS), problem=error)
        except OSError:
            return Look()
        if counted is None:
            return Look()
        # With packing the lengths of the rows decide.
        steps = (
            count_steps(counted.train, _of_all_processes(config)).total
            if whole and not config.data.packing and config.data.stage == "sft"
            else None
        )
        pace = self._pace(model_folder(config.model.model_name_or_path), config.method.finetuning_type)
        seconds = pace * steps * _rows_a_step(_of_all_processes(config)) if pace and steps else None
        unfilled = frozenset(PLACEHOLDERS) - counted.filled
        return Look(counted.train, counted.unusable, steps, seconds, unfilled)

    def count(self, config: RunConfig) -> Counted | None:
        """Rows of the datasets; None where only reading large files or the hub could tell. Raises UserError, OSError."""
        data = DataOptions(
            dataset=config.data.dataset,
            dataset_dir=locate_data(config.data.dataset_dir, self._jobs.root),
            eval_dataset=config.data.eval_dataset,
            max_samples=config.data.max_samples,
            val_size=config.data.val_size,
            mix_strategy=config.data.mix_strategy,
            interleave_probs=config.data.interleave_probs,
            stage=config.data.stage,
        )
        infos = choose(data.dataset_dir, (*data.dataset, *data.eval_dataset), data.stage)
        if any(info.hub for info in infos):
            # Nothing is downloaded while somebody types.
            return None
        files = [file for info in infos for file in _files(info.path)]
        stats = [path.stat() for path in files]
        if sum(stat.st_size for stat in stats) > MOST_BYTES:
            return _noted(data, infos)
        key = (data, config.train.seed, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))
        with self._lock:
            if key not in self._counted:
                rows = load_rows(data, config.train.seed)
                self._counted[key] = Counted(
                    len(rows.train), len(rows.evaluation), len(rows.problems), _filled(files)
                )
                while len(self._counted) > KEPT:
                    self._counted.popitem(last=False)
            self._counted.move_to_end(key)
            return self._counted[key]

    def _pace(self, model: str, method: str) -> float | None:
        """Seconds for a row in the newest finished run with this model and method."""
        with self._lock:
            if time.monotonic() - self._paced_at > RUNS_FRESH_S:
                self._paces = _paces(self._jobs)
                self._paced_at = time.monotonic()
            return self._paces.get((model, method))


def _paces(jobs: Jobs) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for job in reversed(jobs.list()):
        rows = job.facts.step * _rows_a_step(_of_all_processes(job.config))
        if job.task == "train" and job.state == "finished" and rows and job.facts.seconds > 0:
            found[job.model, job.method] = job.facts.seconds / rows
    return found


def _of_all_processes(config: RunConfig) -> RunConfig:
    """The config of one process whose step has the rows that all processes have together."""
    try:
        processes = launch.plan(launch.page_config(config)).all
    except UserError:
        # Devices that are not there are told at the start.
        return config
    return config.with_values(
        gradient_accumulation_steps=config.train.gradient_accumulation_steps * processes
    )


def _rows_a_step(config: RunConfig) -> int:
    return config.train.per_device_train_batch_size * config.train.gradient_accumulation_steps


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]


def _noted(data: DataOptions, infos: Sequence[DatasetInfo]) -> Counted | None:
    """The rows that were registered; None where a dataset was not, or where only the rows tell how many there will be."""
    if data.mix_strategy != "concat" or data.val_size or data.eval_dataset:
        return None
    rows = 0
    for info in infos:
        recipe = read_recipe(info.path.parent) if info.path.name == ROWS else None
        if recipe is None or recipe.name != info.name or info.num_samples is not None:
            return None
        rows += min(recipe.registered, data.max_samples or recipe.registered)
    return Counted(rows, 0, 0, frozenset())


def _filled(files: list[Path]) -> frozenset[str]:
    texts = [path.read_bytes() for path in files]
    return frozenset(
        name for name, mark in PLACEHOLDERS.items() if any(mark.encode() in text for text in texts)
    )
