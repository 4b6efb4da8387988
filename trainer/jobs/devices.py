"""The accelerators of this machine, also those that are hidden from the process that asks: `python -m trainer.jobs.devices`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from trainer import device
from trainer.device import Facts

PATIENCE_S = 120


def found_in(environment: Mapping[str, str], numbers: list[str]) -> list[Facts]:
    """What a process of its own finds under `environment`, by the `numbers` that the machine gives them.

    Raises OSError or subprocess.SubprocessError when a driver does not answer.
    """
    done = subprocess.run(
        [sys.executable, "-m", "trainer.jobs.devices"],
        env=dict(environment), capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    facts = [Facts(*each) for each in json.loads(done.stdout.splitlines()[-1])]
    return [
        each._replace(number=int(number)) if number.isdigit() else each
        for each, number in zip(facts, numbers, strict=False)
    ]


if __name__ == "__main__":
    print(json.dumps(device.listed()))
