"""One attempt at a run, from its first event to its last, whatever happens in between."""

from __future__ import annotations

import errno
import gc
import logging
import sys
import threading
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
from trainer.paths import RunFolder

if TYPE_CHECKING:
    from trainer.evaluate.judge import Judge

Emit = Callable[[Event], None]
Stop = Callable[[], bool]
Run = Callable[[RunConfig, Emit, Stop], Finished | Stopped]
Task = Callable[[Emit, Stop], Finished | Stopped]
Ending = Finished | Stopped | Failed

LOGGERS = ("trainer", "transformers", "trl", "peft", "accelerate", "datasets")
# Room kept free for the last words of a run that fills the disk.
RESERVE_BYTES = 64 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger("trainer.run")


def run_stage(config: RunConfig, emit: Emit, stop: Stop, judge: Judge | None = None) -> Finished | Stopped:
    """The training stage that the config names, an evaluation or an export; their libraries are imported at the first call.

    `judge` comes from the start of this process and stands in no file; a config may only wish that it is asked.
    """
    launch.warm_up(*((launch.EVALUATION,) if config.task == "eval" else ()))
    if config.task == "export":
        from trainer.export.run import run_export

        return run_export(config, emit, stop)
    if config.task == "eval":
        from trainer.evaluate.run import run_eval

        return run_eval(config, emit, stop, judge)
    from trainer.train.sft import run_sft

    # Both learn by the same loss; what a row is, and which of its tokens are trained, the rooms below know.
    stages: dict[str, Run] = {"sft": run_sft, "pt": run_sft}
    ending = stages[config.data.stage](config, emit, stop)
    if config.evaluate.do_predict and isinstance(ending, Finished):
        return _evaluate(config, ending, emit, stop, judge)
    return ending


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

    with _log_file(folder), _reserve(folder) as free_reserve:
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
def _log_file(folder: RunFolder) -> Iterator[None]:
    """Adds to log.txt what the libraries say in this thread; other threads may train or chat at the same time."""
    thread = threading.get_ident()
    handler = logging.FileHandler(folder.log, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: record.thread == thread)
    # A full disk must not print a traceback per line to the terminal; the run itself reports it.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in LOGGERS]
    own = logging.getLogger("trainer")
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)
    for each in loggers:
        each.addHandler(handler)
    try:
        yield
    finally:
        for each in loggers:
            each.removeHandler(handler)
        handler.close()


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
