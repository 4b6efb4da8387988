"""Early stopping: the end of a training that does not get better any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.events import Note


class EarlyStop(TrainerCallback):
    """Ends the training when the evaluation loss was not lower than its lowest so far, `patience` times in a row.

    As transformers' EarlyStoppingCallback does. It counts in the curve, which a checkpoint brings along, so that a
    resumed run counts on; the count of transformers' own is lost with the process.
    """

    def __init__(self, patience: int, emit: Callable[[Note], None]) -> None:
        self._patience = patience
        self._emit = emit

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._look(state, control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._look(state, control)

    def _look(self, state: TrainerState, control: TrainerControl) -> None:
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        if not losses or control.should_training_stop:
            return
        best = min(losses)
        worse = len(losses) - 1 - losses.index(best)
        if worse >= self._patience and state.global_step < state.max_steps:
            control.should_training_stop = True
            values: dict[str, str | int | float] = {"count": worse, "best": best, "step": state.global_step}
            self._emit(Note(code="stopped_early", values=values))
