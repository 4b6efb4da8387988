"""Commands of other programs, as the benchmarks run them: offline and without telemetry."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def run(command: list[str], result: Path | None = None) -> str:
    """What the command prints. Ends this process with both of its outputs when it fails.

    A command that has written the file `result` has not failed, whatever its exit status.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=REPOSITORY, check=False
    )
    if done.returncode and not (result and result.is_file()):
        sys.exit(f"{shlex.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout
