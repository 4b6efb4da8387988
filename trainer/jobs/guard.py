"""A process that must not outlive the one that started it: killed, a server or torchrun cannot say good-bye."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

import psutil

LOOK_S = 0.5
_PR_SET_PDEATHSIG = 1
# The kernel counts a process's start in ticks since boot, and the boot time may be corrected by a second.
_SAME_START_S = 2.0


class Starter(NamedTuple):
    """A process by number and start, in seconds since the epoch: numbers are used again."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Starter:
        """The process that has the number now."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, text: str) -> Starter:
        """What `str` wrote. Raises ValueError for anything else."""
        pid, _, started = text.partition(":")
        return cls(int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.pid}:{self.started}"

    def lives(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def die_with_parent() -> None:
    """Linux ends this process when the thread that started it ends; elsewhere `watch` alone has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def watch(starters: list[Starter], end: Callable[[], None]) -> None:
    """Calls `end` from a thread of its own as soon as one of `starters` is gone."""

    def look() -> None:
        asleep = threading.Event()
        while all(each.lives() for each in starters):
            asleep.wait(LOOK_S)
        end()

    threading.Thread(target=look, name="guard", daemon=True).start()


def end_at_once() -> None:
    """Ends this process, whatever it is doing: no lock of a library can hold it up."""
    os.kill(os.getpid(), signal.SIGKILL)
