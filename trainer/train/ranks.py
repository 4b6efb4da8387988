"""The processes that train a run together, as each of them sees the others.

What they tell each other beside gradients (whether to stop, how many tokens were trained) goes over the processor, so
that no accelerator has to be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch import distributed

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError, UserErrors, problems_of
from trainer.events import Event
from trainer.train.checkpoints import Makers
from trainer.train.engine import Engine, engine_of

Result = TypeVar("Result")
STOPPED = "stopped"


def is_joined() -> bool:
    """Whether this process was started as one of several."""
    return distributed.is_available() and distributed.is_initialized()


class ElsewhereError(Exception):
    """Another process cannot go on, and says itself why."""


class StoppedElsewhere(Exception):
    """The work was stopped; raised by the first process it ends the others in the same way."""


@dataclass(frozen=True)
class Ranks:
    """This process is `number` of `count`; `group` is how it talks to the others."""

    number: int = 0
    count: int = 1
    group: Any = None

    @classmethod
    def here(cls) -> Ranks:
        """Those of this process. All of them must call it, in the same order as everything else here."""
        if not is_joined():
            return cls()
        count = distributed.get_world_size()
        group = distributed.new_group(backend="gloo") if count > 1 else None
        return cls(distributed.get_rank(), count, group)

    def engine(self, config: RunConfig) -> Engine:
        """What moves the gradients between them."""
        return engine_of(config, self.count if is_joined() else None)

    def makers(self, engine: Engine) -> Makers:
        """What a checkpoint says of those who wrote it."""
        return Makers(engine.name, engine.stage, self.count)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.number == 0

    def telling(self, emit: Callable[[Event], None]) -> Callable[[Event], None]:
        """`emit` of the process that tells; what the others have to say is the same."""
        return emit if self.first else lambda _: None

    def shared(self, value: Result) -> Result:
        """The first process's value, for all."""
        if self.count == 1:
            return value
        held = [value if self.first else None]
        distributed.broadcast_object_list(held, src=0, group=self.group, device=torch.device("cpu"))
        return held[0]  # type: ignore[return-value]

    def agreed(self, ask: Callable[[], bool]) -> bool:
        """What the first process answers; the others are not asked."""
        if self.count == 1:
            return ask()
        answer = torch.tensor([int(self.first and ask())])
        distributed.broadcast(answer, src=0, group=self.group)
        return bool(answer.item())

    def sums(self, *numbers: float) -> list[float]:
        """Each number, summed over all processes."""
        if self.count == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total, group=self.group)
        return [float(each) for each in total]

    def most(self, number: float) -> float:
        """The largest of the processes' numbers."""
        if self.count == 1:
            return number
        largest = torch.tensor([number], dtype=torch.float64)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=self.group)
        return float(largest.item())

    def wait(self) -> None:
        """Goes on when all processes have come here."""
        if self.count > 1:
            distributed.barrier(group=self.group)

    def from_first(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, which the first process alone does. Its UserError is raised in all of them."""
        return self._heard(work)[0]

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """`work` done by the first process, then by the others, which find what the first one has left behind."""
        if self.count == 1:
            return work()
        held: list[Result] = []

        def do() -> None:
            held.append(work())

        self._heard(do)
        result = held[0] if self.first else work()
        self.wait()
        return result

    def _heard(self, work: Callable[[], Result]) -> list[Result]:
        if self.count == 1:
            return [work()]
        nothing: tuple[list[Any], str, Any] = ([], "", None)
        if not self.first:
            mistakes, ended, result = self.shared(nothing)
            if mistakes:
                raise UserErrors([UserError(code, field=field, **values) for code, field, values in mistakes])
            if ended == STOPPED:
                raise StoppedElsewhere
            if ended:
                raise ElsewhereError(ended)
            return [result]
        try:
            result = work()
        except UserError as error:
            self.shared(([(each.code, each.field, each.values) for each in problems_of(error)], "", None))
            raise
        except BaseException as error:
            self.shared(([], STOPPED if isinstance(error, StoppedElsewhere) else type(error).__name__, None))
            raise
        self.shared(([], "", result))
        return [result]


def take_part(config: RunConfig, count: int) -> RunConfig:
    """Lets this process talk to the `count` that were started together; returns the settings of the first of them."""
    timeout = timedelta(seconds=config.train.ddp_timeout)
    engine = engine_of(config, count)
    if device.is_accelerated():
        PartialState(timeout=timeout)
    elif engine.name in ("deepspeed", "fsdp"):
        # accelerate's own way to a processor leaves both of them out, so that it is told of the backend alone.
        PartialState(cpu=False, backend="gloo", timeout=timeout)
    else:
        PartialState(cpu=True, timeout=timeout)
    if engine.name == "fsdp" and not device.is_accelerated():
        # It looks for FSDP only beside kinds of accelerators; nothing is asked of this one, the device stays the CPU.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU
    ranks = Ranks.here()
    flat = ranks.shared(config.to_flat())
    return config if ranks.first else RunConfig.from_flat(flat)


@contextmanager
def joined(config: RunConfig, count: int) -> Iterator[RunConfig]:
    """Inside, this process has taken part as in `take_part`."""
    try:
        yield take_part(config, count)
    finally:
        if is_joined():
            distributed.destroy_process_group()
