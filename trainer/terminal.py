"""One run in this process, told at the terminal as it goes."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from trainer.config import RunConfig
from trainer.events import Event, EventLog, Failed, Finished, Note, Predicted, Step, Written
from trainer.jobs import launch
from trainer.jobs.lines import line
from trainer.jobs.owner import claim, release
from trainer.jobs.place import (
    make_new,
    model_folder,
    open_folder,
    ready,
    require_usable,
    run_name,
    write_settings,
)
from trainer.jobs.plan import Plan
from trainer.jobs.processes import help_along
from trainer.jobs.rank import train_as_rank
from trainer.jobs.sharing import settle_engine
from trainer.jobs.work import Emit, Run, work
from trainer.paths import RunFolder

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130
# A run that logs every 500 steps still shows that it lives.
QUIET_S = 10.0
PREDICTED_S = 2.0


def perform(config: RunConfig, run: Run, out: TextIO | None = None) -> int:
    """Works on one run to its end; returns the exit status. What happens is told on `out` (stdout).

    Raises UserError for settings and folders that cannot be used.
    """
    if launch.rank_number() or (plan := launch.plan(config)).node:
        return _assist(config, None if launch.is_rank() else plan)
    return watched(config, run, out or sys.stdout)[0]


def _assist(config: RunConfig, plan: Plan | None) -> int:
    """This process, or this machine, trains a run with others; the first of them keeps its folder and tells of it."""
    if config.task != "train":
        return DONE
    settled = settle_engine(ready(config, RunFolder(Path(config.train.output_dir)), Path.cwd()))
    if plan is None:
        ending = train_as_rank(settled, lambda _: None, lambda: False)
        return DONE if isinstance(ending, Finished) else STOPPED
    with tempfile.TemporaryDirectory(prefix="tuneboard-") as folder:
        return FAILED if help_along(plan, settled, Path(folder) / "ranks") else DONE


def watched(config: RunConfig, run: Run, out: TextIO) -> tuple[int, RunFolder]:
    """As `perform`, with the run's folder."""
    require_usable(config, Path.cwd())
    folder = _folder(config)
    claim(folder)
    try:
        settled = ready(config, folder, Path.cwd())
        write_settings(folder, config)
        print(f"run: {folder.path}", file=out, flush=True)
        for note in config.notes:
            _print(note, out)
        with _stop_on_signals(folder):
            ending = work(
                lambda emit, stop: run(settled, _told(emit, out), stop),
                EventLog(folder.events),
                folder.stop.exists,
            )
    finally:
        release(folder)
    if isinstance(ending, Failed):
        print(line(ending), file=sys.stderr)
        return FAILED, folder
    _print(ending, out)
    return DONE if isinstance(ending, Finished) else STOPPED, folder


def _folder(config: RunConfig) -> RunFolder:
    """The run's folder: as given, seen from the working directory, or a new one below saves/."""
    if config.train.output_dir.strip():
        return open_folder(Path(config.train.output_dir).expanduser().absolute(), config)
    parent = (
        Path.cwd() / "saves" / model_folder(config.model.model_name_or_path) / config.method.finetuning_type
    )
    return RunFolder(make_new(parent, run_name(task=config.task)))


def _told(emit: Emit, out: TextIO) -> Emit:
    """`emit` that also prints: every event but the steps and rows without news."""
    printed_at = 0.0

    def both(event: Event) -> None:
        nonlocal printed_at
        emit(event)
        rest = QUIET_S if isinstance(event, Step) and event.loss is None else 0.0
        if isinstance(event, Predicted) and event.done < event.total:
            rest = PREDICTED_S
        if isinstance(event, Written) and event.done_bytes < event.total_bytes:
            rest = PREDICTED_S
        if not rest or time.monotonic() - printed_at >= rest:
            _print(event, out)
            printed_at = time.monotonic()

    return both


def _print(event: Event, out: TextIO) -> None:
    warning = "warning: " if isinstance(event, Note) and event.level != "info" else ""
    print(f"{warning}{line(event)}", file=out, flush=True)


@contextmanager
def _stop_on_signals(folder: RunFolder) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the run to end after its step, the second ends this process at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(STOPPED)
        asked = True
        folder.stop.touch()
        # print() must not be entered again from a handler that interrupted it.
        os.write(2, b"stopping after this step; once more ends at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
