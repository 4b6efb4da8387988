"""Which process works on a run: a small file in its folder, true only as long as that process lives."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from trainer.errors import UserError
from trainer.events import FINAL, EventLog
from trainer.jobs.guard import Starter
from trainer.paths import RunFolder, write_atomic


@dataclass(frozen=True)
class Owner:
    """`started` is the start of the process in seconds since the epoch: a process number alone is used again.

    `events` is how many events the run had before this attempt; an ending among them belongs to an earlier one.
    """

    pid: int
    started: float
    events: int

    def lives(self) -> bool:
        """Whether that very process still runs."""
        return Starter(self.pid, self.started).lives()


def owner_file(folder: RunFolder) -> Path:
    """Where the owner of a run is written down."""
    return folder.path / "owner.json"


def live_owner(folder: RunFolder) -> Owner | None:
    """The process that works on the run now, or None."""
    try:
        owner = Owner(**json.loads(owner_file(folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return owner if owner.lives() else None


def is_busy(folder: RunFolder) -> bool:
    """Whether a process works on the run and has not told yet how it ended."""
    owner = live_owner(folder)
    if owner is None:
        return False
    events = EventLog(folder.events).read().events
    return not any(isinstance(event, FINAL) for event in events[owner.events :])


def claim(folder: RunFolder) -> None:
    """Makes this process the owner and forgets an old wish to stop. Raises UserError while another one works on it."""
    if is_busy(folder):
        raise UserError("run_is_on", field="output_dir", folder=str(folder.path))
    pid = os.getpid()
    events = len(EventLog(folder.events).read().events)
    folder.stop.unlink(missing_ok=True)
    owner = Owner(pid, psutil.Process(pid).create_time(), events)
    write_atomic(owner_file(folder), json.dumps(asdict(owner)))


def release(folder: RunFolder) -> None:
    """The run is over for this process; another one may have taken it up already."""
    owner = live_owner(folder)
    if owner is None or owner.pid == os.getpid():
        owner_file(folder).unlink(missing_ok=True)
        folder.stop.unlink(missing_ok=True)
