"""Runs in processes of their own, from the page's jobs and from the terminal: they are told of, stopped and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.jobs.fake import until, wait
from tests.train.tiny import save_data, save_model
from trainer.events import EventLog, Failed, Finished, Started, Step, Stopped, current
from trainer.jobs.exchange import NAME
from trainer.jobs.job import Job, Known
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import Found
from trainer.paths import REPOSITORY, RunFolder

PATIENCE_S = 600
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
def flat(root: Path) -> Settings:
    return {
        "model_name_or_path": str(root / "tiny"), "dataset": "rows", "dataset_dir": str(root / "data"), "cutoff_len": 128,
        "max_steps": 6, "per_device_train_batch_size": 2, "logging_steps": 1, "save_steps": 5, "learning_rate": 0.01,
        "compute_type": "fp32", "lr_scheduler_type": "constant",
    }  # fmt: skip


def ours(folder: Path) -> list[psutil.Process]:
    """The living processes that train in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if any(str(folder / NAME) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def ranks(folder: Path) -> list[psutil.Process]:
    """Those of them that compute."""
    return [each for each in ours(folder) if "trainer.jobs.torchrun" not in each.cmdline()]


def steps(folder: RunFolder) -> list[int]:
    return [each.step for each in current(EventLog(folder.events).read().events) if isinstance(each, Step)]


def losses(folder: Path) -> dict[int, float]:
    events = EventLog(RunFolder(folder).events).read().events
    return {each.step: each.loss for each in events if isinstance(each, Step) and each.loss is not None}


def look(root: Path, run_id: str) -> Job:
    return Known(Found(run_id, RunFolder(root / "saves" / run_id))).job([])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_outlives_what_happens_to_its_processes_and_leaves_none(root: Path, flat: Settings) -> None:
    """The server is killed, then one of the processes, then somebody stops the run from the page."""
    settings = {**flat, "nproc_per_node": 2, "output_dir": "long", "max_steps": 100000, "save_steps": 5}
    (root / "settings.json").write_text(json.dumps(settings))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.processes_server", str(root), str(root / "settings.json")],
        cwd=REPOSITORY, stdin=subprocess.PIPE,
    )  # fmt: skip
    run_id = "tiny/lora/long"
    folder = RunFolder(root / "saves" / run_id)
    try:
        until(lambda: look(root, run_id).facts.step >= 7 if folder.config.exists() else False)
        assert look(root, run_id).state == "running" and len(ranks(folder.path)) == 2
    finally:
        server.kill()
        server.communicate()
    until(lambda: not ours(folder.path))
    assert look(root, run_id).state == "interrupted"
    jobs = Jobs(root)
    try:
        reached = look(root, run_id).facts.step
        jobs.resume(run_id)
        # Steps that nobody heard are told first.
        until(lambda: jobs.get(run_id).state == "running" and jobs.get(run_id).facts.step > reached)
        until(lambda: len(ranks(folder.path)) == 2)
        os.kill(ranks(folder.path)[-1].pid, signal.SIGKILL)
        failed = wait(jobs, run_id, "failed")
        assert isinstance(failed.facts.ending, Failed) and failed.facts.ending.code == "process_killed"
        assert "SIGKILL" in failed.facts.ending.text
        until(lambda: not ours(folder.path))
        reached = failed.facts.step
        jobs.resume(run_id)
        until(lambda: jobs.get(run_id).facts.step > reached)
        jobs.stop(run_id)
        stopped = wait(jobs, run_id, "stopped")
    finally:
        jobs.close()
    assert stopped.result == folder.path / f"checkpoint-{stopped.facts.step}"
    assert not ours(folder.path) and not (folder.path / NAME).exists()
    found = steps(folder)
    assert found == list(range(1, len(found) + 1)) and len(found) > reached
    events = EventLog(folder.events).read().events
    assert sum(isinstance(each, Started) for each in events) == 3
    assert all(each.resumed_from % 5 == 0 for each in events if isinstance(each, Started))
    assert sum(isinstance(each, (Stopped, Finished)) for each in events) == 1


def _port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def _train(file: Path, environment: dict[str, str], *before: str) -> subprocess.Popen[str]:
    words = [sys.executable, *before, "-m", "trainer", "train", str(file)]
    return subprocess.Popen(
        words, cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _file(root: Path, name: str, settings: Settings) -> Path:
    file = root / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**settings, "output_dir": str(root / name)}), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_machines_and_a_launcher_of_somebody_elses_train_the_same(root: Path, flat: Settings) -> None:
    """On loopback: the second machine tells of nothing, and nobody starts torchrun inside of torchrun."""
    shared = {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _port()}
    file = _file(root, "nodes", flat)
    nodes = [_train(file, {**shared, "NODE_RANK": number}) for number in ("0", "1")]
    said = [each.communicate(timeout=PATIENCE_S)[0] for each in nodes]
    assert [each.returncode for each in nodes] == [0, 0], said
    assert "step 6/6" in said[0] and "step 6/6" not in said[1]
    other = _train(
        _file(root, "elsewhere", flat),
        {},
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
    )
    printed = other.communicate(timeout=PATIENCE_S)[0]
    assert other.returncode == 0, printed
    assert printed.count("finished: 6 steps") == 1
    alone = _train(_file(root, "alone", {**flat, "per_device_train_batch_size": 4}), {})
    assert alone.communicate(timeout=PATIENCE_S) and alone.returncode == 0
    expected = losses(root / "alone")
    assert list(expected) == [1, 2, 3, 4, 5, 6]
    for name in ("nodes", "elsewhere"):
        events = EventLog(RunFolder(root / name).events).read().events
        assert steps(RunFolder(root / name)) == [1, 2, 3, 4, 5, 6]
        assert sum(isinstance(each, Finished) for each in events) == 1
        assert losses(root / name) == pytest.approx(expected, abs=1e-4)
        logged = (root / name / "trainer_log.jsonl").read_text().splitlines()
        assert [json.loads(line)["current_steps"] for line in logged] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_mistake_in_one_of_several_processes_is_a_sentence(root: Path, flat: Settings) -> None:
    (root / "broken").mkdir()
    run = _train(
        _file(root, "wrong", {**flat, "nproc_per_node": 2, "model_name_or_path": str(root / "broken")}), {}
    )
    printed = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode == 1
    assert "Traceback" not in printed and "broken" in printed
    failed = [
        each for each in EventLog(RunFolder(root / "wrong").events).read().events if isinstance(each, Failed)
    ]
    assert len(failed) == 1
    assert not ours(root / "wrong")
