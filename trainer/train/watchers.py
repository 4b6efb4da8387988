"""Who looks on while a run learns, besides the page: early stopping."""

from __future__ import annotations

from collections.abc import Callable

from transformers import TrainerCallback

from trainer.config import RunConfig
from trainer.events import Note
from trainer.train.stopping import EarlyStop


def watchers(config: RunConfig, emit: Callable[[Note], None]) -> list[TrainerCallback]:
    """The callbacks that the options ask for."""
    patience = config.train.early_stopping_steps
    return [EarlyStop(patience, emit)] if patience else []
