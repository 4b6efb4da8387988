"""How far an export is: bytes written of all, told twice a second, and the question whether somebody stopped it."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from trainer.events import Event, Written

EVERY_S = 0.5
_MIB = 1024 * 1024


class ExportStopped(Exception):
    """Somebody stopped the export. Passes through all writers; what is half-written is removed behind them."""


class Progress:
    """Told by the writers of all formats. `total` is the estimate in bytes of everything that will be written."""

    def __init__(self, total: int, emit: Callable[[Event], None], stop: Callable[[], bool]) -> None:
        self._total, self._emit, self._stop = max(total, 1), emit, stop
        self._format, self._done = "", 0
        self._begun = time.monotonic()
        self._told = 0.0
        self._process = psutil.Process()
        self._last = ""

    @property
    def done(self) -> int:
        """Bytes written so far."""
        return self._done

    def begin(self, format: str) -> None:
        """The next bytes are those of `format`. Raises ExportStopped when somebody stopped."""
        self._format = format
        self.check()

    def check(self) -> None:
        """Raises ExportStopped when somebody stopped."""
        if self._stop():
            raise ExportStopped

    def wrote(self, tensor: str, nbytes: int) -> None:
        """`nbytes` more of `tensor` are written. Raises ExportStopped when somebody stopped."""
        self._done += nbytes
        self._last = tensor
        self.check()
        now = time.monotonic()
        if now - self._told >= EVERY_S:
            self._told = now
            self._tell(now)

    def aside(self) -> Progress:
        """For files that are needed on the way only: they count for nothing, and can be stopped as well."""
        return Progress(1, lambda event: None, self._stop)

    def finish(self) -> None:
        """Tells that everything is written."""
        self._total = max(self._done, 1)
        self._tell(time.monotonic())

    def _tell(self, now: float) -> None:
        elapsed = now - self._begun
        total = max(self._total, self._done)
        left = elapsed * (total - self._done) / self._done if self._done else 0.0
        self._emit(
            Written(
                format=self._format, tensor=self._last, done_bytes=self._done, total_bytes=total,
                elapsed_s=round(elapsed, 3), eta_s=round(left, 3),
                memory_mb=round(self._process.memory_info().rss / _MIB, 1),
            )
        )  # fmt: skip


class Quiet(Progress):
    """Tells nobody and is never stopped."""

    def __init__(self) -> None:
        super().__init__(1, lambda event: None, lambda: False)
