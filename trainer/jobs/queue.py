"""Which runs wait, in which order: one small file that several servers may share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.paths import write_atomic


class Queue:
    """The ids of waiting runs in `folder/queue.json`. Every change happens under a lock that other processes see, too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "queue.json"
        self._changes = folder / "queue.lock"
        self._accelerator = folder / "accelerator.lock"

    def ids(self) -> list[str]:
        """The waiting runs, the next one first."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [str(each) for each in found] if isinstance(found, list) else []

    @contextmanager
    def changing(self) -> Iterator[list[str]]:
        """The list of ids to be changed in place; it is written when the block ends without an exception."""
        with FileLock(self._changes, thread_local=False):
            ids = self.ids()
            before = list(ids)
            yield ids
            if ids != before:
                write_atomic(self._file, json.dumps(ids, ensure_ascii=False))

    @contextmanager
    def accelerator(self) -> Iterator[bool]:
        """Whether this process has the accelerator for the block; False while another one trains on it.

        The system gives the lock back when a process dies, however it dies.
        """
        lock = FileLock(self._accelerator, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
