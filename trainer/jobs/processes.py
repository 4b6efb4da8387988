"""A run in processes of its own: started with torchrun, listened to, and ended together, however they end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Event, EventLog, Failed, Finished, Note, Stopped
from trainer.jobs import launch
from trainer.jobs.exchange import Exchange
from trainer.jobs.guard import Starter
from trainer.jobs.plan import Plan
from trainer.paths import RunFolder

LOOK_S = 0.2
# How long nothing may be heard of processes that were asked to stop: they write a checkpoint, which may be large.
STOP_S = 600.0
# How long they may take to obey SIGTERM before SIGKILL.
TERM_S = 30.0

logger = logging.getLogger("trainer.run")


class Together:
    """The processes of one run on this machine. `close` ends whatever is left of them."""

    def __init__(self, plan: Plan, exchange: Exchange, output: IO[bytes] | None) -> None:
        self._exchange = exchange
        self._told = 0
        self._process = subprocess.Popen(
            [*plan.argv, str(exchange.path)],
            env=launch.environment_with(plan),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )

    def run(self, emit: Callable[[Event], None], stop: Callable[[], bool], ask: Callable[[], None]) -> int:
        """Passes on what the first process tells until all have ended; returns torchrun's exit status.

        `ask` is called once when `stop` says so; processes of which nothing is heard for too long are then ended.
        """
        heard = time.monotonic()
        asked = False
        while (status := self._poll()) is None:
            if self._listen(emit):
                heard = time.monotonic()
            if not asked and stop():
                ask()
                asked, heard = True, time.monotonic()
            if asked and time.monotonic() - heard > STOP_S:
                logger.error("the processes do not stop: they are ended")
                return self.close()
        self._listen(emit)
        return status

    def _poll(self) -> int | None:
        try:
            return self._process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            return None

    def _listen(self, emit: Callable[[Event], None]) -> bool:
        batch = self._exchange.events.read(self._told)
        for event in batch.events:
            emit(event)
        moved, self._told = batch.offset > self._told, batch.offset
        return moved

    def close(self) -> int:
        """Asks whatever still runs to end, then ends it; returns torchrun's exit status."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(TERM_S)
        # Processes of torchrun lie in sessions of their own; they notice that it is gone and end themselves.
        return self._process.wait()


def run_together(
    plan: Plan, config: RunConfig, emit: Callable[[Event], None], stop: Callable[[], bool]
) -> Finished | Stopped:
    """As `run_sft`, in the processes that `plan` names. Raises UserError for how they failed."""
    folder = RunFolder(Path(config.train.output_dir))
    folder.path.mkdir(parents=True, exist_ok=True)
    exchange = Exchange.of(folder)
    if config.train.resume_from_checkpoint:
        # Its checkpoint may be of a step that was done after the server was killed.
        for event in exchange.untold(EventLog(folder.events)):
            emit(event)
    exchange.open(config, Starter.of(os.getpid()))
    values: dict[str, str | int | float] = {
        "processes": plan.processes,
        "nodes": plan.nodes,
        "engine": plan.engine,
    }
    emit(Note(code="processes_started", values=values))
    try:
        with folder.log.open("ab") as output:
            together = Together(plan, exchange, output)
            try:
                status = together.run(emit, stop, folder.stop.touch)
            finally:
                together.close()
        ending = exchange.ending()
        if ending is None and status == 0 and plan.nodes > 1:
            emit(Note(code="node_helped"))
            return Finished(step=0, seconds=0.0, path="")
        if ending is None or status:
            raise _mistake(exchange, status)
        return ending
    finally:
        exchange.close()


def help_along(plan: Plan, config: RunConfig, folder: Path) -> int:
    """The processes of a machine that is not the first one: the run itself lies elsewhere. Returns the exit status."""
    exchange = Exchange(folder)
    exchange.open(config, Starter.of(os.getpid()))
    together = Together(plan, exchange, None)
    try:
        return together.run(lambda _: None, lambda: False, lambda: None)
    finally:
        together.close()
        exchange.close()


def _mistake(exchange: Exchange, status: int) -> UserError:
    """What the process that failed first has to say, or what the system has done to it."""
    killed = [each for each in exchange.seen() if each.get("signal") not in ("", "SIGTERM", None)]
    if killed:
        return UserError("process_killed", rank=int(killed[0]["rank"]), signal=str(killed[0]["signal"]))
    for _, reason in _causes_first(exchange.reasons()):
        return UserError(reason.code, field="", **reason.values)
    return UserError("processes_ended", status=status)


def _causes_first(reasons: list[tuple[int, Failed]]) -> list[tuple[int, Failed]]:
    """A process that has lost another one says so, too; what it says is a consequence."""

    def is_consequence(reason: Failed) -> bool:
        said = str(reason.values.get("message", "")).lower()
        return reason.code == "job_unexpected" and any(word in said for word in LOST)

    return sorted(reasons, key=lambda each: is_consequence(each[1]))


LOST = ("connection closed by peer", "connection reset", "gloo", "nccl", "another process")
