"""Several runs one after another in the same processes, which take seconds to start: torchrun starts this module.

`python -m tests.train.cases FOLDER`: `cases.json` in the folder holds the settings by name; each run's events are left in
`<name>.jsonl`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch


def main(folder: Path) -> None:
    from trainer.config import RunConfig
    from trainer.events import EventLog
    from trainer.jobs import launch
    from trainer.jobs.sharing import settle_engine

    torch.set_num_threads(1)
    rank, count = launch.rank_number(), launch.rank_count()
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for name, flat in cases.items():
        config = settle_engine(RunConfig.from_flat(flat))
        launch.settle_rank(config)
        from trainer.train.ranks import take_part
        from trainer.train.sft import run_sft

        log = EventLog(folder / f"{name}.jsonl")
        emit = log.append if rank == 0 else (lambda _: None)
        ending = run_sft(take_part(config, count), emit, lambda: False)
        emit(ending)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
