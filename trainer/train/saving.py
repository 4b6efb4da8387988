"""TRL's trainer with checkpoints that are written aside, and that bring the sums of the whole run along."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import nn
from transformers.trainer_utils import rotate_checkpoints
from trl.trainer.sft_trainer import SFTTrainer

from trainer.errors import UserError
from trainer.model.load import no_progress_bar
from trainer.train.adapters import put_back, save_adapter
from trainer.train.checkpoints import STATE, Progress, fitting, part_folder
from trainer.train.engine import Engine, without_tied
from trainer.train.flow import Flow
from trainer.train.ranks import Ranks
from trainer.train.shaping import save_record


class SavingTrainer(SFTTrainer):
    """SFTTrainer whose checkpoints get their name when they are whole, and hold nothing that is pickled but numbers."""

    # Wider in transformers: here they are always there, and of these kinds.
    model: Any
    args: Any
    processing_class: Any
    train_dataset: Any
    trained_tokens: int
    begun: float
    progress: Progress
    ranks: Ranks
    engine: Engine

    def shared_loss(self) -> float:
        """The loss summed since the last one that was logged."""
        return float(self._tr_loss)

    def require_finite(self, loss: torch.Tensor | float) -> None:
        """Raises UserError when the loss is not a number any more."""
        value = float(loss)
        if value != value or value in (float("inf"), float("-inf")):
            raise UserError(
                "loss_not_finite", field="learning_rate", loss=str(value), step=self.state.global_step + 1
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with fitting(resume_from_checkpoint, adapter=is_peft_model(self.model)):
            if not put_back(self.model, Path(resume_from_checkpoint)):
                super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if not put_back(self.model, Path(str(self.state.best_model_checkpoint))):
            super()._load_best_model()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        with fitting(checkpoint, adapter=is_peft_model(self.model)):
            super()._load_optimizer_and_scheduler(checkpoint)

    def restore_progress(self, progress: Progress) -> None:
        """Goes on with the sums of an earlier part of the run, from the step of its checkpoint."""
        self.progress = progress
        self._tr_loss += progress.window_loss
        self._total_loss_scalar = progress.total_loss
        self._globalstep_last_logged = progress.last_logged

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Weights, config and tokenizer; not the pickled arguments that transformers adds, which nobody may load."""
        if not self.args.should_save:
            return
        folder = output_dir or self.args.output_dir
        if is_peft_model(self.model):
            save_adapter(
                self.model,
                Path(folder),
                without_tied(self.model, state_dict),
                last=output_dir in (None, self.args.output_dir),
            )
            save_record(self.model, Path(folder))
        else:
            with no_progress_bar():
                self.model.save_pretrained(folder, state_dict=without_tied(self.model, state_dict))
        self.processing_class.save_pretrained(folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes a checkpoint aside and renames it when it is whole. Raises UserError when the loss is no number."""
        self.require_finite(self._tr_loss)
        run = Path(self.args.output_dir)
        step = self.state.global_step
        part, whole = part_folder(run, step), run / f"checkpoint-{step}"
        if self.ranks.first:
            shutil.rmtree(part, ignore_errors=True)
        self.ranks.wait()
        self.store_flos()
        try:
            self._write_checkpoint(part, run)
        except BaseException:
            # On a full disk half a checkpoint would take the room that is left.
            shutil.rmtree(part, ignore_errors=True)
            raise
        self.ranks.wait()
        if self.ranks.first:
            shutil.rmtree(whole, ignore_errors=True)
            part.rename(whole)
            rotate_checkpoints(
                str(run), self.args.save_total_limit, self.state.best_model_checkpoint, use_mtime=True
            )
        self.ranks.wait()

    def _write_checkpoint(self, part: Path, run: Path) -> None:
        self.save_model(str(part), _internal_call=True)
        best = run / f"checkpoint-{self.state.best_global_step}"
        now = self.state.best_global_step == self.state.global_step
        if self.state.best_global_step and (now or best.is_dir()):
            self.state.best_model_checkpoint = str(best)
        self.ranks.wait()
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(str(part))
            self._save_scaler(str(part))
            self._save_rng_state(str(part))
        progress = self.current_progress()
        if not self.ranks.first:
            return
        if isinstance(self.train_dataset, Flow):
            self.train_dataset.stream.save(part)
        self.ranks.makers(self.engine).write(part)
        progress.write(part)
        self.state.save_to_json(str(part / STATE))

    def current_progress(self) -> Progress:
        """The sums of the run as they are now."""
        return Progress(
            window_loss=self.shared_loss(),
            last_logged=self._globalstep_last_logged,
            total_loss=self._total_loss_scalar,
            trained_tokens=self.progress.trained_tokens + self.trained_tokens,
            elapsed_s=self.progress.elapsed_s + time.monotonic() - self.begun,
        )

    def save_now(self) -> None:
        """A checkpoint of the last whole step, unless there is one already."""
        there = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
        if self.state.global_step and self.ranks.agreed(lambda: not there.is_dir()):
            self._save_checkpoint(self.model, None)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
