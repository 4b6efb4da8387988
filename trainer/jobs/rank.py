"""One of several processes that train a run together: `python -m trainer.jobs.rank FOLDER`, started by torchrun.

Ray, srun and others that start processes themselves call `train_as_rank`.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Event, Failed, Finished, Stopped
from trainer.jobs import launch
from trainer.jobs.exchange import Exchange, failed
from trainer.jobs.guard import Starter, die_with_parent, end_at_once, watch
from trainer.jobs.log import SPEAKERS
from trainer.jobs.stages import stage_of
from trainer.paths import RunFolder

logger = logging.getLogger("trainer.run")


def train_as_rank(
    config: RunConfig, emit: Callable[[Event], None], stop: Callable[[], bool]
) -> Finished | Stopped:
    """Trains `config` together with the other processes that RANK and WORLD_SIZE speak of.

    All train with the settings of the first one, which alone writes files and is asked whether to stop; `emit` of the
    others hears nothing. Every process returns how the run ended. Raises UserError as `run_sft` does.
    """
    launch.settle_rank(config)
    launch.warm_up()
    from trainer.train.ranks import joined

    with joined(config, launch.rank_count()) as shared:
        return stage_of(shared)(shared, emit, stop)


def main(words: list[str]) -> int:
    """Trains as the files in the folder say, and leaves there how it ended. 1 after a mistake, whose reason is written."""
    exchange = Exchange(Path(words[-1]))
    die_with_parent()
    watch([exchange.starter, Starter.of(os.getppid())], end_at_once)
    launch.settle_environment()
    rank = launch.rank_number()
    _speak(rank)
    try:
        config = launch.after_restart(exchange.config())
        folder = RunFolder(Path(config.train.output_dir))
        emit = exchange.events.append if rank == 0 else _hear_nothing
        ending = train_as_rank(config, emit, folder.stop.exists)
    except UserError as error:
        exchange.write_reason(rank, failed(error))
        return _end(1)
    except BaseException as error:
        logger.error("process %s: %s", rank, "".join(traceback.format_exception(error)).rstrip())
        message = " ".join(str(error).split())[:300] or "no message"
        values: dict[str, str | int | float] = {"type": type(error).__name__, "message": message}
        exchange.write_reason(rank, Failed(code="job_unexpected", values=values))
        return _end(1)
    if rank == 0:
        exchange.write_ending(ending)
    return 0


def _hear_nothing(_: Event) -> None:
    """What processes but the first have to tell is what the first one tells."""


def _speak(rank: int) -> None:
    """The libraries' words of the first process, and the errors of the others, go into the run's log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO if rank == 0 else logging.ERROR)
    for name in SPEAKERS:
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("trainer").setLevel(logging.INFO)


def _end(code: int) -> int:
    """Ends at once: others wait for this process inside a library, which must not hold up its end."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
