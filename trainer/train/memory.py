"""Memory: how much a run has taken, and giving everything back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer import device

MB = 1024 * 1024


class Meter:
    """The peak memory of the run: the device's on a GPU, else that of this process while it was looked at."""

    def __init__(self) -> None:
        self._peak = 0.0
        device.reset_peak()

    def peak_mb(self) -> float:
        now = device.peak_memory() / MB if device.is_accelerated() else resident_bytes() / MB
        self._peak = max(self._peak, now)
        return round(self._peak, 1)


def resident_bytes() -> int:
    """The memory of this process that lies in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * 4096


@contextmanager
def frozen_garbage() -> Iterator[None]:
    """Inside, the collector passes over everything that exists already: it would walk the whole model in vain."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def give_back() -> None:
    """Frees what nobody refers to any more, on the device and in RAM."""
    gc.collect()
    device.empty_cache()
    if sys.platform == "linux":
        # Freed memory stays with the C library's allocator otherwise: ten runs would look like a leak.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
