"""One attempt at a run, from its first event to its last, whatever happens in between."""

from __future__ import annotations

import errno
import gc
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.config import RunConfig
from trainer.errors import UserError, Values, problems_of
from trainer.events import Event, EventLog, Failed, Finished, Note, Started, Stopped
from trainer.jobs import launch
from trainer.jobs.lines import line
from trainer.jobs.log import log_file
from trainer.jobs.processes import run_together
from trainer.jobs.rank import train_as_rank
from trainer.jobs.sharing import settle_engine
from trainer.jobs.stages import stage_of
from trainer.paths import RunFolder

if TYPE_CHECKING:
    from trainer.evaluate.judge import Judge

Emit = Callable[[Event], None]
Stop = Callable[[], bool]
Run = Callable[[RunConfig, Emit, Stop], Finished | Stopped]
Task = Callable[[Emit, Stop], Finished | Stopped]
Ending = Finished | Stopped | Failed

# Room kept free for the last words of a run that fills the disk.
RESERVE_BYTES = 64 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger("trainer.run")


def run_stage(config: RunConfig, emit: Emit, stop: Stop, judge: Judge | None = None) -> Finished | Stopped:
    """The training stage that the config names, an evaluation or an export; their libraries are imported at the first call.

    `judge` comes from the start of this process and stands in no file; a config may only wish that it is asked.
    """
    if config.task == "train":
        ending = _train(config, emit, stop)
        if config.evaluate.do_predict and isinstance(ending, Finished):
            return _evaluate(config, ending, emit, stop, judge)
        return ending
    launch.warm_up(*((launch.EVALUATION,) if config.task == "eval" else ()))
    if config.task == "export":
        from trainer.export.run import run_export

        return run_export(config, emit, stop)
    from trainer.evaluate.run import run_eval

    return run_eval(config, emit, stop, judge)


def _train(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    """The training by itself: in this process, in others that it starts, or as one of those that somebody started."""
    plan = launch.plan(config)
    if launch.is_rank():
        return train_as_rank(settle_engine(config, emit), emit, stop)
    if plan.argv:
        return run_together(plan, settle_engine(config, emit), emit, stop)
    launch.warm_up()
    return stage_of(config)(config, emit, stop)


def _evaluate(
    config: RunConfig, trained: Finished, emit: Emit, stop: Stop, judge: Judge | None
) -> Finished | Stopped:
    """The evaluation that a file asks for after its training; it is the same run, in the same folder."""
    from trainer.evaluate.run import run_eval

    def tell(event: Event) -> None:
        if not isinstance(event, Started):
            emit(event)

    ending = run_eval(config.after_training(), tell, stop, judge)
    seconds = trained.seconds + ending.seconds
    if isinstance(ending, Finished):
        return replace(trained, seconds=seconds, eval_loss=trained.eval_loss or ending.eval_loss)
    return Stopped(step=trained.step, seconds=seconds, path=trained.path)


def work(task: Task, log: EventLog, stop: Stop) -> Ending:
    """Does `task` in the folder of `log` and returns how it ended, which is then also the log's last event.

    A mistake becomes `Failed` with its sentence; the traceback of an unexpected one stands in log.txt only. Afterwards
    the memory of the run is given back.
    """
    folder = RunFolder(log.path.parent)

    def emit(event: Event) -> None:
        log.append(event)
        logger.info(line(event))

    with log_file(folder), _reserve(folder) as free_reserve:
        ending = _ending(task, emit, stop)
        _give_memory_back()
        free_reserve()
        emit(ending)
    return ending


def _ending(task: Task, emit: Emit, stop: Stop) -> Ending:
    try:
        return task(emit, stop)
    except UserError as error:
        return _mistake(error, emit)
    except OSError as error:
        return _unexpected(error, "job_disk_full" if error.errno in FULL else "job_unexpected")
    # A library that calls sys.exit() must not take the worker along.
    except (Exception, SystemExit) as error:
        memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        return _unexpected(error, "job_out_of_memory" if memory else "job_unexpected")


def _mistake(error: UserError, emit: Emit) -> Failed:
    """The first of the mistakes ends the run; the others are told before it."""
    first, *others = problems_of(error)
    for other in others:
        emit(Note(code=other.code, values=other.values, level="error"))
    return Failed(code=first.code, values=first.values)


def _unexpected(error: BaseException, code: str) -> Failed:
    logger.error("".join(traceback.format_exception(error)).rstrip())
    # The frames of the failed run hold its model: without this the memory stays taken as long as the error lives.
    traceback.clear_frames(error.__traceback__)
    message = " ".join(str(error).split())
    values: Values = {"type": type(error).__name__, "message": message[:300] or "no message"}
    return Failed(code=code, values=values)


def _give_memory_back() -> None:
    """Frees what a failed run held until its frames were cleared."""
    gc.collect()
    memory = sys.modules.get("trainer.train.memory")
    if memory is not None:
        memory.give_back()


@contextmanager
def _reserve(folder: RunFolder) -> Iterator[Callable[[], None]]:
    """Room on the disk for the last event; the function given to the block frees it."""
    path = folder.path / ".reserve"

    def free() -> None:
        path.unlink(missing_ok=True)

    with suppress(OSError):
        path.write_bytes(bytes(RESERVE_BYTES))
    try:
        yield free
    finally:
        free()
