"""Which accelerators this machine has, asked in the background: torch takes seconds to come, a page must not wait for it.

`python -m trainer.jobs.survey` lists all that a process sees, as JSON.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from trainer import device
from trainer.device import Facts
from trainer.jobs import launch

# Free memory changes while others compute; between two looks it may be this old.
FRESH_S = 5.0
# A driver that does not answer for so long is not waited for.
PATIENCE_S = 120.0


class Accelerator(NamedTuple):
    """`name` is what the option `devices` calls it: the number, or the driver's own name, in the person's environment."""

    name: str
    facts: Facts


def look_around() -> list[Accelerator]:
    """Every accelerator with its memory now. Imports torch, which takes seconds the first time."""
    launch.warm_up()
    names = launch.visible()
    # All but the first one are hidden from this process, so another one has to look.
    found = _look_elsewhere(launch.with_all_devices()) if len(names) > 1 else device.listed()
    return [Accelerator(name, facts) for name, facts in zip(names or ("0",), found, strict=False)]


def _look_elsewhere(environment: Mapping[str, str]) -> list[Facts]:
    words = [sys.executable, "-m", "trainer.jobs.survey"]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return [Facts(*each) for each in json.loads(done.stdout.splitlines()[-1])]


class Survey:
    """What is known of the accelerators, kept for all pages of a server. `look` finds them and may take seconds."""

    def __init__(self, look: Callable[[], Sequence[Accelerator]] = look_around) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._known: tuple[Accelerator, ...] | None = None
        self._at = float("-inf")
        self._looking: threading.Thread | None = None

    @property
    def known(self) -> tuple[Accelerator, ...] | None:
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
        found: tuple[Accelerator, ...] | None = None
        try:
            found = tuple(self._look())
        except Exception:
            # A driver that does not answer is no reason to keep anybody from training on what is there.
            logging.getLogger(__name__).exception("the accelerators could not be listed")
        with self._lock:
            self._known = found if found is not None else self._known or ()
            self._at = time.monotonic()
            self._looking = None


if __name__ == "__main__":
    print(json.dumps(device.listed()))
