"""Several runs one after another in the same processes, which take seconds to start: torchrun starts this module.

`python -m tests.train.cases FOLDER`: `cases.json` in the folder holds the settings by name; each run's events are left in
`<name>.jsonl`, the sentence of one that is refused in `<name>.error`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

ENGINES = ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP", "FSDP_STATE_DICT_TYPE")


def main(folder: Path) -> None:
    from trainer.config import RunConfig
    from trainer.errors import UserError
    from trainer.events import Event, EventLog
    from trainer.jobs import launch
    from trainer.jobs.sharing import settle_engine
    from trainer.train.ranks import take_part
    from trainer.train.sft import run_sft

    torch.set_num_threads(1)
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for name, flat in cases.items():
        log = EventLog(folder / f"{name}.jsonl")

        def emit(event: Event, log: EventLog = log) -> None:
            if launch.rank_number() == 0:
                log.append(event)

        for each in ENGINES:
            os.environ.pop(each, None)
        config = settle_engine(RunConfig.from_flat(flat))
        launch.settle_rank(config)
        try:
            emit(run_sft(take_part(config, launch.rank_count()), emit, lambda: False))
        except UserError as error:
            if launch.rank_number() == 0:
                (folder / f"{name}.error").write_text(error.text, encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
