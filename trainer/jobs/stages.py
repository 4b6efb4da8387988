"""Which function trains which stage."""

from __future__ import annotations

from collections.abc import Callable

from trainer.config import RunConfig
from trainer.events import Event, Finished, Stopped

Train = Callable[[RunConfig, Callable[[Event], None], Callable[[], bool]], Finished | Stopped]


def stage_of(config: RunConfig) -> Train:
    """The training that `stage` names; its libraries are imported here."""
    from trainer.train.sft import run_sft

    # Both learn by the same loss; what a row is, and which of its tokens are trained, the rooms below know.
    stages: dict[str, Train] = {"sft": run_sft, "pt": run_sft}
    return stages[config.data.stage]
