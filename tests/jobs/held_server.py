"""A server that trains for real and holds still at a step: `python -m tests.jobs.held_server ROOT SETTINGS.json STEP`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from trainer.config import RunConfig
from trainer.events import Event, Finished, Step, Stopped
from trainer.jobs.jobs import Jobs
from trainer.jobs.work import Emit, Stop, run_stage


def held(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    def emit_and_hold(event: Event) -> None:
        emit(event)
        while isinstance(event, Step) and event.step == int(sys.argv[3]) and not stop():
            time.sleep(0.01)

    return run_stage(config, emit_and_hold, stop)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    jobs = Jobs(Path(sys.argv[1]), run=held)
    jobs.submit(RunConfig.from_flat(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
    sys.stdin.read()
    jobs.close()
