"""A run is a fact on disk: processes come and go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.jobs.fake import FakeRun, config, register_data, until, wait
from trainer.errors import UserError
from trainer.events import EventLog, Started, Step, current
from trainer.jobs.job import Job, Known
from trainer.jobs.jobs import Jobs
from trainer.jobs.owner import Owner, claim, live_owner, owner_file
from trainer.jobs.place import Found
from trainer.jobs.queue import Queue
from trainer.paths import REPOSITORY, RunFolder

LONG, SHORT = "Sprout/lora/long", "Sprout/lora/short"


@contextmanager
def server(root: Path, *runs: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.server", str(root), *runs],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextmanager
def here(root: Path, run: FakeRun) -> Iterator[Jobs]:
    jobs = Jobs(root, run=run)
    try:
        yield jobs
    finally:
        run.gate.set()
        jobs.close()


def look(root: Path, run_id: str) -> Job:
    """A run as its files tell it, without a server that would go on with the queue."""
    found = Found(run_id, RunFolder(root / "saves" / run_id))
    return Known(found).job(Queue(root / "queue").ids())


def steps_of(job: Job) -> list[int]:
    return [e.step for e in current(EventLog(job.folder.events).read().events) if isinstance(e, Step)]


def test_a_killed_server_leaves_an_interrupted_run_and_its_queue(tmp_path: Path) -> None:
    register_data(tmp_path)
    with server(tmp_path, "long=100000", "short=2") as process:
        until(lambda: look(tmp_path, LONG).facts.step >= 5)
        assert look(tmp_path, LONG).state == "running"
        assert look(tmp_path, SHORT).state == "queued"
        process.kill()
        process.wait()
    assert look(tmp_path, LONG).state == "interrupted"
    assert look(tmp_path, SHORT).state == "queued"
    with here(tmp_path, FakeRun()) as jobs:
        wait(jobs, SHORT, "finished")
        assert jobs.get(LONG).state == "interrupted" and jobs.current() is None
    with server(tmp_path):
        reached = look(tmp_path, LONG).facts.step
        with here(tmp_path, FakeRun()) as jobs:
            jobs.resume(LONG)
            until(lambda: jobs.get(LONG).facts.step > reached)
            jobs.stop(LONG)
            stopped = wait(jobs, LONG, "stopped")
    steps = steps_of(stopped)
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 5


def test_two_servers_share_one_queue_and_one_accelerator(tmp_path: Path) -> None:
    register_data(tmp_path)
    run = FakeRun()
    with server(tmp_path, "long=100000"), here(tmp_path, run) as jobs:
        wait(jobs, LONG, "running")
        on = jobs.current()
        assert on and on.id == LONG
        short = jobs.submit(config("short", max_steps=3))
        assert (short.state, short.place) == ("queued", 1)
        until(lambda: (jobs.get(SHORT).likely_start_s or 0) > 0)
        assert run.configs == []
        jobs.stop(LONG)
        wait(jobs, LONG, "stopped")
        finished = wait(jobs, SHORT, "finished")
    events = EventLog(finished.folder.events).read().events
    assert sum(isinstance(event, Started) for event in events) == 1
    assert steps_of(finished) == [1, 2, 3]


def test_closing_a_server_stops_its_run_with_a_checkpoint_and_keeps_the_queue(tmp_path: Path) -> None:
    register_data(tmp_path)
    run = FakeRun()
    run.gate.clear()
    with here(tmp_path, run) as jobs:
        wait(jobs, jobs.submit(config("long", max_steps=5)).id, "running")
        jobs.submit(config("short"))
        jobs.close()
    stopped = look(tmp_path, LONG)
    assert stopped.state == "stopped" and stopped.result == stopped.folder.path / "checkpoint-1"
    assert look(tmp_path, SHORT).state == "queued"


def test_an_owner_is_a_process_not_a_number(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    claim(folder)
    owner = live_owner(folder)
    assert owner and owner.lives()
    with pytest.raises(UserError) as caught:
        claim(folder)
    assert caught.value.code == "run_is_on"
    assert not Owner(owner.pid, owner.started - 60, 0).lives()
    for broken in ("", "[]", '{"pid": 1}', "{"):
        owner_file(folder).write_text(broken)
        assert live_owner(folder) is None


def test_leftovers_of_a_crash_are_harmless(tmp_path: Path) -> None:
    register_data(tmp_path)
    trash = tmp_path / "saves" / ".trash-1"
    trash.mkdir(parents=True)
    (trash / "config.yaml").write_text("")
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "queue.json").write_text('["Sprout/lora/gone", "../../etc", "Sprout/lora/short"]')
    run = FakeRun()
    with here(tmp_path, run) as jobs:
        wait(jobs, jobs.submit(config("short")).id, "finished")
        until(lambda: not trash.exists())
        (tmp_path / "queue" / "queue.json").write_text("{")
        wait(jobs, jobs.submit(config("next")).id, "finished")
