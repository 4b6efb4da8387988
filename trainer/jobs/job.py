"""One run as everybody sees it: what its folder and the queue say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.config import RunConfig, Task, read_file
from trainer.errors import UserError
from trainer.events import Failed, Finished
from trainer.jobs.owner import live_owner
from trainer.jobs.place import Found, model_folder, newest_checkpoint
from trainer.jobs.tally import Facts, Tally
from trainer.paths import RunFolder

State = Literal["queued", "starting", "running", "stopping", "finished", "stopped", "failed", "interrupted"]
ACTIVE: tuple[State, ...] = ("starting", "running", "stopping")
RESUMABLE: tuple[State, ...] = ("stopped", "failed", "interrupted")


@dataclass(frozen=True)
class Job:
    """A run at one moment. `id` is its path below saves/.

    `place` is 1 for the next in the queue and 0 outside it; `likely_start_s` is a guess, None where nothing is known.
    `problem` is the sentence for settings that cannot be read; `config` is then the default one.
    """

    id: str
    folder: RunFolder
    config: RunConfig
    state: State
    facts: Facts
    created_at: float
    place: int = 0
    likely_start_s: float | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.folder.path.name

    @property
    def model(self) -> str:
        return model_folder(self.config.model.model_name_or_path)

    @property
    def method(self) -> str:
        return self.config.method.finetuning_type

    @property
    def task(self) -> Task:
        """What it is for: "train", "eval" for an evaluation, or "export"."""
        return self.config.task

    @property
    def datasets(self) -> tuple[str, ...]:
        data = self.config.data
        return data.eval_dataset or data.dataset if self.task == "eval" else data.dataset

    @property
    def active(self) -> bool:
        """Whether a process works on it now."""
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE

    @property
    def result(self) -> Path | None:
        """The folder that can be chatted with: the run's own when it is finished, else its newest checkpoint.

        An evaluation leaves none, and an export has a list of its own.
        """
        if self.task != "train":
            return None
        return self.folder.path if self.state == "finished" else newest_checkpoint(self.folder)


class Known:
    """What is remembered of one run between two looks, so that a look costs a few `stat` calls."""

    def __init__(self, found: Found) -> None:
        self._id, self._folder = found
        self._tally = Tally(self._folder)
        self._written = -1
        self._config = RunConfig()
        self._problem = ""

    def job(self, waiting: Sequence[str]) -> Job:
        """The run now; `waiting` are the ids in the queue. Raises OSError when it has been removed."""
        stat = self._folder.config.stat()
        if stat.st_mtime_ns != self._written:
            self._read_settings()
            self._written = stat.st_mtime_ns
        state = self._state(waiting)
        facts = self._tally.facts()
        return Job(self._id, self._folder, self._config, state, facts, stat.st_mtime, problem=self._problem)

    def _read_settings(self) -> None:
        try:
            self._config, self._problem = load_settings(self._folder), ""
        except UserError as error:
            self._config, self._problem = RunConfig(), error.text

    def _state(self, waiting: Sequence[str]) -> State:
        owner = live_owner(self._folder)
        # The events are read after the owner: an attempt that ends in between is seen with its ending.
        self._tally.refresh()
        tally = self._tally
        if owner and not (tally.ending and tally.ended_at >= owner.events):
            if self._folder.stop.exists():
                return "stopping"
            return "running" if tally.started_at >= owner.events else "starting"
        if not owner and self._id in waiting:
            return "queued"
        if tally.ending is None:
            return "interrupted"
        if isinstance(tally.ending, Finished):
            return "finished"
        return "failed" if isinstance(tally.ending, Failed) else "stopped"


def load_settings(folder: RunFolder) -> RunConfig:
    """The settings of a run. Raises UserError when its config.yaml cannot be read."""
    try:
        return RunConfig.from_flat(read_file(folder.config))
    except UserError as error:
        reason = str(error).partition("\n")[0]
        raise UserError("settings_broken", folder=str(folder.path), reason=reason) from error
