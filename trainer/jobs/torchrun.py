"""torchrun, with an eye on the process that started it, and a word on which process failed first.

`python -m trainer.jobs.torchrun` takes torchrun's own arguments; the last one is the folder in which a run's processes
talk to the one that watches them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from trainer.jobs.guard import Starter, end_at_once, watch
from trainer.paths import write_atomic

FAILURE = "failure.json"
STARTER = "starter"
# Workers get this long to obey SIGTERM once the starter is gone.
GRACE_S = 20.0


def main(words: list[str]) -> int:
    """Runs torchrun to its end; 0 when all processes have ended well."""
    folder = Path(words[-1])
    starter = Starter.read((folder / STARTER).read_text(encoding="utf-8"))
    watch([starter], _end)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    try:
        run(words)
    except ChildFailedError as error:
        failures = [
            {"rank": rank, "code": each.exitcode, "signal": each.signal_name() if each.exitcode < 0 else ""}
            for rank, each in error.failures.items()
        ]
        write_atomic(folder / FAILURE, json.dumps(failures))
        return 1
    except SignalException:
        return 128 + signal.SIGTERM
    return 0


def _end() -> None:
    """torchrun tells its processes when it is told itself; they also notice that it is gone."""
    os.kill(os.getpid(), signal.SIGTERM)
    import time

    time.sleep(GRACE_S)
    end_at_once()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
