"""Real training behind the queue: killed and resumed, failed and followed, ten times without a leak."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.jobs.fake import until, wait
from tests.train.tiny import save_data, save_model
from trainer.config import RunConfig
from trainer.events import EventLog, Failed, Started, Step, current
from trainer.jobs.job import Job, Known
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import Found
from trainer.paths import REPOSITORY, RunFolder

Settings = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a tiny model and rows."""
    folder = tmp_path_factory.mktemp("workspace")
    save_model(folder / "tiny")
    (folder / "data").mkdir()
    save_data(folder / "data")
    return folder


@pytest.fixture(scope="module")
def jobs(root: Path) -> Iterator[Jobs]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = Jobs(root)
    yield made
    made.close()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def flat(root: Path) -> Settings:
    return {
        "model_name_or_path": str(root / "tiny"), "dataset": "rows", "cutoff_len": 128, "max_steps": 12,
        "per_device_train_batch_size": 4, "logging_steps": 1, "save_steps": 5, "learning_rate": 0.01,
        "lora_dropout": 0.1, "compute_type": "fp32",
    }  # fmt: skip


def losses(job: Job) -> dict[int, float]:
    events = current(EventLog(job.folder.events).read().events)
    return {event.step: event.loss for event in events if isinstance(event, Step) and event.loss is not None}


@pytest.mark.timeout(900)
def test_a_killed_run_is_resumed_as_if_nothing_had_happened(jobs: Jobs, root: Path, flat: Settings) -> None:
    whole = wait(jobs, jobs.submit(RunConfig.from_flat({**flat, "output_dir": "whole"})).id, "finished")
    away = root / "away"
    save_data_into(away)
    (away / "settings.json").write_text(json.dumps({**flat, "output_dir": "killed"}))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.held_server", str(away), str(away / "settings.json"), "8"],
        cwd=REPOSITORY, stdin=subprocess.PIPE,
    )  # fmt: skip
    folder = RunFolder(away / "saves" / "tiny" / "lora" / "killed")
    try:
        until(lambda: any(getattr(event, "step", 0) == 8 for event in EventLog(folder.events).read().events))
    finally:
        process.kill()
        process.communicate()
    killed = Known(Found("tiny/lora/killed", folder)).job([])
    assert killed.state == "interrupted" and killed.result == folder.path / "checkpoint-5"
    restarted = Jobs(away)
    try:
        restarted.resume(killed.id)
        resumed = wait(restarted, killed.id, "finished")
    finally:
        restarted.close()
    started = [event for event in EventLog(folder.events).read().events if isinstance(event, Started)]
    assert [event.resumed_from for event in started] == [0, 5]
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-5)
    assert list(losses(resumed)) == list(range(1, 13))
    logged = [json.loads(line)["current_steps"] for line in folder.trainer_log.read_text().splitlines()]
    assert sorted(set(logged)) == list(range(1, 13)) == [step for step in logged if step <= 12][-12:]


def save_data_into(workspace: Path) -> None:
    (workspace / "data").mkdir(parents=True)
    save_data(workspace / "data")


def test_a_run_stopped_before_its_first_checkpoint_starts_again(jobs: Jobs, flat: Settings) -> None:
    job = jobs.submit(
        RunConfig.from_flat({**flat, "output_dir": "stopped", "max_steps": 100000, "save_steps": 100000})
    )
    until(lambda: jobs.get(job.id).facts.step >= 2)
    jobs.stop(job.id)
    stopped = wait(jobs, job.id, "stopped")
    assert stopped.result and (stopped.result / "adapter_model.safetensors").exists()
    reached = stopped.facts.step
    jobs.resume(job.id)
    until(lambda: jobs.get(job.id).facts.step > reached)
    jobs.stop(job.id)
    again = wait(jobs, job.id, "stopped")
    steps = list(losses(again))
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > reached


def test_a_failed_run_says_its_sentence_and_the_next_one_trains(
    jobs: Jobs, root: Path, flat: Settings
) -> None:
    missing = RunConfig.from_flat(
        {**flat, "model_name_or_path": str(root / "nothing"), "output_dir": "fails"}
    )
    failed = wait(jobs, jobs.submit(missing).id, "failed")
    assert isinstance(failed.facts.ending, Failed) and "nothing" in failed.facts.ending.text
    assert "Traceback" not in failed.folder.log.read_text()
    next_one = RunConfig.from_flat({**flat, "output_dir": "follows", "max_steps": 2})
    assert wait(jobs, jobs.submit(next_one).id, "finished").facts.step == 2


@pytest.mark.timeout(900)
def test_ten_runs_leave_the_memory_of_two(jobs: Jobs, flat: Settings) -> None:
    taken: list[int] = []
    for number in range(10):
        config = RunConfig.from_flat({**flat, "output_dir": f"run-{number}", "max_steps": 2, "save_steps": 2})
        wait(jobs, jobs.submit(config).id, "finished")
        until(lambda: jobs.current() is None)
        taken.append(psutil.Process().memory_info().rss)
    assert taken[-1] <= 1.1 * taken[1], taken
