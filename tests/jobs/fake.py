"""A quick run in place of training: it obeys the same contract, and a test decides how it goes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Event, Finished, Saved, Started, Step, Stopped
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import newest_checkpoint
from trainer.paths import RunFolder

PATIENCE_S = 240.0


def until(condition: Callable[[], bool]) -> None:
    """Waits for `condition`; fails after four minutes."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.01)


def config(name: str = "", **values: object) -> RunConfig:
    """Settings that can be submitted."""
    return RunConfig.from_flat(
        {"model_name_or_path": "Sprout", "dataset": "identity", "output_dir": name, **values}
    )


def register_data(root: Path) -> None:
    """A data folder with one dataset, `identity`."""
    (root / "data").mkdir(parents=True)
    (root / "data" / "dataset_info.json").write_text('{"identity": {"file_name": "identity.json"}}')
    (root / "data" / "identity.json").write_text('[{"instruction": "Who are you?", "output": "Momo."}]')


def wait(jobs: Jobs, run_id: str, *states: str) -> Job:
    """The job as soon as it is in one of the states."""
    until(lambda: jobs.get(run_id).state in states)
    return jobs.get(run_id)


def save_checkpoint(folder: Path, step: int) -> Path:
    """A checkpoint as far as the jobs look at one."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return path


class FakeRun:
    """Counts to `max_steps`, saves at each stop, and goes on from a checkpoint.

    While `gate` is closed it waits before its first step, still looking for the wish to stop.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.fail: BaseException | None = None
        self.configs: list[RunConfig] = []

    def __call__(
        self, config: RunConfig, emit: Callable[[Event], None], stop: Callable[[], bool]
    ) -> Finished | Stopped:
        self.configs.append(config)
        folder = Path(config.train.output_dir)
        resumed = config.train.resume_from_checkpoint
        newest = (
            newest_checkpoint(RunFolder(folder)) if resumed == "true" else Path(resumed or "checkpoint-0")
        )
        first = int(newest.name.removeprefix("checkpoint-")) if newest else 0
        total = max(config.train.max_steps, 1)
        emit(
            Started(
                total_steps=total, rows=3, trained_tokens=30, parameters=100, trainable=10, device="cpu",
                precision="fp32", resumed_from=first,
            )
        )  # fmt: skip
        for step in range(first + 1, total + 1):
            while not self.gate.is_set() and not stop():
                time.sleep(0.01)
            if stop():
                path = save_checkpoint(folder, step)
                emit(Saved(step=step, path=str(path)))
                return Stopped(step=step, seconds=1.0, path=str(path))
            if self.fail:
                raise self.fail
            emit(
                Step(
                    step=step,
                    total_steps=total,
                    epoch=step / total,
                    elapsed_s=step,
                    eta_s=total - step,
                    loss=1 / step,
                )
            )
        return Finished(step=total, seconds=float(total), path=str(folder), loss=0.5)


def mistake() -> UserError:
    """A mistake of a person."""
    return UserError("file_missing", path="rows.json")
