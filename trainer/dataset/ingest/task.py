"""Work in a thread of its own, with progress and an end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from trainer.errors import UserError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    rows: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


class Task(Generic[Result]):
    """Runs `work(tell, stop)` once, beginning at once. Every method may be called from any thread."""

    def __init__(self, work: Callable[[Callable[[Progress], None], Callable[[], bool]], Result]) -> None:
        self._work = work
        self._progress = Progress()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="ingest").start()

    @property
    def progress(self) -> Progress:
        return self._progress

    @property
    def done(self) -> bool:
        """Whether it has ended: with a result, with an error, or stopped."""
        return self._done.is_set()

    @property
    def result(self) -> Result | None:
        """What came of it; None while it is not done and when it failed or was stopped."""
        return self._result

    @property
    def error(self) -> UserError | None:
        """Why there is no result; None while it is not done."""
        if self._error is None or isinstance(self._error, UserError):
            return self._error
        return UserError("ingest_broke", reason=f"{type(self._error).__name__}: {str(self._error)[:200]}")

    def stop(self) -> None:
        """Asks it to end soon; its error is then `ingest_stopped`."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> Result:
        """The result when it is done. Raises its `error`, and TimeoutError when it takes longer than `timeout_s`."""
        if not self._done.wait(timeout_s):
            raise TimeoutError
        error = self.error
        if error is not None:
            raise error from (None if error is self._error else self._error)
        assert self._result is not None
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work(self._tell, self._stop.is_set)
        # Whatever it was, who waits must see the end; an error that is no sentence is told by its name.
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
