"""Which accelerators this machine has, asked in the background: torch takes seconds to come, a page must not wait for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from trainer.device import Facts
from trainer.jobs import launch

# Free memory changes while others compute; between two looks it may be this old.
FRESH_S = 5.0


def look_around() -> Sequence[Facts]:
    """Every accelerator with its memory now. Imports torch, which takes seconds the first time."""
    return launch.listed_devices()


class Survey:
    """What is known of the accelerators, kept for all pages of a server. `look` finds them and may take seconds."""

    def __init__(self, look: Callable[[], Sequence[Facts]] = look_around) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._known: tuple[Facts, ...] | None = None
        self._at = float("-inf")
        self._looking: threading.Thread | None = None

    @property
    def known(self) -> tuple[Facts, ...] | None:
        """What was found at the last look; empty without accelerators, None before the first look has ended."""
        with self._lock:
            return self._known

    @property
    def looking(self) -> bool:
        """Whether a look is going on."""
        with self._lock:
            return self._looking is not None

    def refresh(self) -> None:
        """Looks again, unless that was done a moment ago or is being done. Returns at once."""
        with self._lock:
            if self._looking is None and time.monotonic() - self._at > FRESH_S:
                self._looking = threading.Thread(target=self._find, name="survey", daemon=True)
                self._looking.start()

    def _find(self) -> None:
        found: tuple[Facts, ...] | None = None
        try:
            found = tuple(self._look())
        except Exception:
            # A driver that does not answer is no reason to keep anybody from training on what is there.
            logging.getLogger(__name__).exception("the accelerators could not be listed")
        with self._lock:
            self._known = found if found is not None else self._known or ()
            self._at = time.monotonic()
            self._looking = None
