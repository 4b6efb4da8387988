"""What happens in the loop -> events and trainer_log.jsonl; and the way in which a run is stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.errors import UserError
from trainer.events import Evaluated, Event, Saved, Started, Step
from trainer.train.checkpoints import Progress
from trainer.train.loop import RowTrainer, StopTraining
from trainer.train.memory import Meter
from trainer.train.ranks import Ranks
from trainer.train.records import TrainerLog

Emit = Callable[[Event], None]
Stop = Callable[[], bool]
# Speed is the mean over this many seconds: long enough to be calm, short enough to follow a change.
SPEED_WINDOW_S = 10.0


class Speed:
    """Trained tokens per second over the last seconds, without the time between steps (evaluation, saving)."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._seconds = 0.0
        self._tokens = 0

    def add(self, seconds: float, tokens: int) -> None:
        self._steps.append((seconds, tokens))
        self._seconds += seconds
        self._tokens += tokens
        while len(self._steps) > 1 and self._seconds - self._steps[0][0] > SPEED_WINDOW_S:
            gone, fewer = self._steps.popleft()
            self._seconds -= gone
            self._tokens -= fewer

    def per_second(self) -> float:
        return self._tokens / self._seconds if self._seconds > 0 else 0.0


class Reporter(TrainerCallback):
    """Emits Started, Step, Evaluated and Saved, writes trainer_log.jsonl, and asks `stop` after each step."""

    def __init__(
        self,
        emit: Emit,
        stop: Stop,
        log: TrainerLog,
        facts: dict[str, Any],
        resumed: Progress | None,
        ranks: Ranks | None = None,
    ) -> None:
        self._ranks = ranks or Ranks()
        self._emit = emit
        self._stop = stop
        self._log = log
        self._facts = facts
        self._resumed = resumed
        self._speed = Speed()
        self._meter = Meter()
        self._first_step = 0
        self._begun = self._step_begun = time.monotonic()
        self._tokens = 0
        self._told = -1
        self.trainer: RowTrainer | None = None
        self.stopped = False
        self.eval_loss: float | None = None

    def _trainer(self) -> RowTrainer:
        if self.trainer is None:
            raise RuntimeError("the reporter has no trainer yet")
        return self.trainer

    def elapsed_s(self) -> float:
        """Seconds of training so far, those before a resume included."""
        earlier = self._resumed.elapsed_s if self._resumed else 0.0
        return earlier + time.monotonic() - self._begun

    def _eta_s(self, state: TrainerState) -> float:
        done = state.global_step - self._first_step
        left = state.max_steps - state.global_step
        return (time.monotonic() - self._begun) / done * left if done else 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # A checkpoint's state brings the intervals of its own run; those of this one hold.
        state.compute_steps(args, state.max_steps)
        if self._resumed:
            self._trainer().restore_progress(self._resumed)
        self._first_step = state.global_step
        if state.global_step > state.max_steps:
            raise UserError(
                "checkpoint_past_end", field="resume_from_checkpoint", path=args.resume_from_checkpoint or "true",
                step=state.global_step, total=state.max_steps,
            )  # fmt: skip
        self._begun = self._step_begun = time.monotonic()
        self._emit(Started(total_steps=state.max_steps, resumed_from=state.global_step, **self._facts))
        if self._stop():
            self.stopped = control.should_training_stop = True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._step_begun = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        tokens = self._trainer().trained_tokens
        self._speed.add(time.monotonic() - self._step_begun, tokens - self._tokens)
        self._tokens = tokens
        if state.global_step >= state.max_steps:
            # The curve has an end, whatever the interval.
            control.should_log = True
        elif self._stop():
            self.stopped = control.should_training_stop = control.should_save = True
            control.should_evaluate = False
        if not control.should_log:
            self._tell_step(state, {})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        if "loss" in logs:
            self._trainer().require_finite(logs["loss"])
            self._tell_step(state, logs)
        if "loss" in logs or "eval_loss" in logs:
            tokens = state.num_input_tokens_seen
            self._log.append(state, logs, self.elapsed_s(), self._eta_s(state), tokens)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        metrics = metrics or {}
        self.eval_loss = metrics.get("eval_loss")
        if self.eval_loss is not None:
            # `eval_<dataset>_loss`, where each dataset is evaluated by itself.
            parts = {
                name.removeprefix("eval_").removesuffix("_loss"): loss
                for name, loss in metrics.items()
                if name.endswith("_loss") and name != "eval_loss"
            }
            epoch = state.epoch or 0.0
            self._emit(Evaluated(step=state.global_step, epoch=epoch, loss=self.eval_loss, parts=parts))

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step < state.max_steps and self._stop():
            self.stopped = True
            raise StopTraining

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        path = f"{args.output_dir}/checkpoint-{state.global_step}"
        self._emit(Saved(step=state.global_step, path=path))

    def _tell_step(self, state: TrainerState, logs: dict[str, float]) -> None:
        if state.global_step == self._told:
            return
        self._told = state.global_step
        grad_norm = logs.get("grad_norm")
        self._emit(
            Step(
                step=state.global_step,
                total_steps=state.max_steps,
                epoch=round(state.epoch or 0.0, 4),
                elapsed_s=round(self.elapsed_s(), 3),
                eta_s=round(self._eta_s(state), 3),
                loss=logs.get("loss"),
                lr=logs.get("learning_rate"),
                grad_norm=None if grad_norm is None else float(grad_norm),
                tokens_per_s=round(self._speed.per_second(), 1),
                memory_mb=self._ranks.most(self._meter.peak_mb()),
            )
        )
