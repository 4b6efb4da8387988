"""A server without a page, to be killed: `python -m tests.jobs.server ROOT [NAME=STEPS ...]`. It counts slowly and saves at each step."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.jobs.fake import config as settings
from tests.jobs.fake import save_checkpoint
from trainer.config import RunConfig
from trainer.events import Finished, Started, Step, Stopped
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import newest_checkpoint
from trainer.jobs.work import Emit, Stop
from trainer.paths import RunFolder


def count(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    folder = Path(config.train.output_dir)
    newest = newest_checkpoint(RunFolder(folder))
    first = int(newest.name.removeprefix("checkpoint-")) if newest else 0
    total = config.train.max_steps
    emit(
        Started(
            total_steps=total, rows=1, trained_tokens=1, parameters=1, trainable=1, device="cpu", precision="fp32",
            resumed_from=first,
        )
    )  # fmt: skip
    for step in range(first + 1, total + 1):
        if stop():
            return Stopped(step=step - 1, seconds=0, path="")
        emit(Step(step=step, total_steps=total, epoch=0, elapsed_s=step, eta_s=total - step, loss=1 / step))
        save_checkpoint(folder, step)
        time.sleep(0.05)
    return Finished(step=total, seconds=total, path=str(folder))


if __name__ == "__main__":
    jobs = Jobs(Path(sys.argv[1]), run=count)
    for word in sys.argv[2:]:
        name, _, steps = word.partition("=")
        jobs.submit(settings(name, max_steps=int(steps)))
    print("ready", flush=True)
    sys.stdin.read()
    jobs.close()
