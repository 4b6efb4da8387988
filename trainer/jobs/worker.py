"""The thread that works on the runs in the queue, one at a time."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import EventLog, Finished, Note, Stopped
from trainer.jobs import launch
from trainer.jobs.job import load_settings
from trainer.jobs.owner import claim, release
from trainer.jobs.place import ready
from trainer.jobs.queue import Queue
from trainer.jobs.work import Emit, Run, Stop, work
from trainer.paths import RunFolder, safe_path

# Another server on the same workspace may add to the queue, or leave the accelerator, without a word.
LOOK_S = 1.0

logger = logging.getLogger(__name__)


def with_trust(config: RunConfig, trust: bool) -> RunConfig:
    """Whether code of a model runs is decided where the server was started, whatever a page or its files say."""
    if config.model.trust_remote_code == trust:
        return config
    changed = config.with_values(trust_remote_code=trust)
    return changed if trust else replace(changed, notes=(*changed.notes, Note(code="note_trust")))


class Worker:
    """Takes runs from `queue` as long as it is not closed; `own` is the folder it works in now, or None."""

    def __init__(self, root: Path, queue: Queue, run: Run, trust: bool) -> None:
        self.own: RunFolder | None = None
        self._root = root
        self._saves = root / "saves"
        self._queue = queue
        self._run = run
        self._trust = trust
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)

    def start(self) -> None:
        """Begins with what waits already."""
        self._thread.start()

    def wake(self) -> None:
        """Says that something was queued."""
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Stops the run that is on and waits at most `timeout_s` for its checkpoint."""
        self._closing.set()
        self._wake.set()
        with self._lock:
            if self.own:
                self.own.stop.touch()
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        for left in self._saves.glob(".trash-*"):
            shutil.rmtree(left, ignore_errors=True)
        while not self._closing.is_set():
            worked = False
            try:
                worked = bool(self._queue.ids()) and self._work_on_next()
            except OSError as error:
                logger.error("the queue cannot go on: %s", error)
            if not worked:
                self._wake.wait(LOOK_S)
                self._wake.clear()

    def _work_on_next(self) -> bool:
        """Works on the first waiting run to its end; False when there is none or another server has the accelerator."""
        with self._queue.accelerator() as free:
            folder = self._claim_next() if free else None
            if folder is None:
                return False
            try:
                work(
                    lambda emit, stop: self._train(folder, emit, stop),
                    EventLog(folder.events),
                    folder.stop.exists,
                )
            finally:
                with self._lock:
                    self.own = None
                    release(folder)
        return True

    def _claim_next(self) -> RunFolder | None:
        """The first waiting run that is there and that nobody works on; those before it leave the queue."""
        with self._lock, self._queue.changing() as waiting:
            while waiting and not self._closing.is_set():
                try:
                    folder = RunFolder(safe_path(self._saves, waiting[0]))
                    if folder.config.exists():
                        claim(folder)
                        self.own = folder
                        return folder
                except UserError as error:
                    logger.warning("%s", error.text)
                finally:
                    waiting.pop(0)
        return None

    def _train(self, folder: RunFolder, emit: Emit, stop: Stop) -> Finished | Stopped:
        config = launch.page_config(with_trust(load_settings(folder), self._trust))
        return self._run(ready(config, folder, self._root), emit, stop)
