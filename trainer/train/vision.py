"""The trainer of a vision model: batches whose pictures come a moment later, and a processor beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils import is_peft_model

from trainer.model.load import load_model
from trainer.train.checkpoints import fitting
from trainer.train.loop import RowTrainer
from trainer.train.seeing import Later


class VisionTrainer(RowTrainer):
    """RowTrainer for a model that sees; `processor` is saved with it."""

    def __init__(self, *, processor: Any, **arguments: Any) -> None:
        # What threads prepare cannot be handed out by another process.
        arguments["args"].dataloader_num_workers = 0
        super().__init__(**arguments)
        # Not TRL's processing class: it would look into the rows for pictures.
        self._processor = processor

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The batch on the device, with what the model sees, for which it may have to wait."""
        later: Later = inputs["later"]
        plain = {name: value for name, value in inputs.items() if name != "later"}
        prepared: dict[str, Any] = super()._prepare_inputs({**plain, **later.result()})
        return prepared

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if is_peft_model(self.model) or self.engine.splits_weights:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        with fitting(resume_from_checkpoint, adapter=False):
            self._load_renamed(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if is_peft_model(self.model) or self.engine.name in ("deepspeed", "fsdp"):
            super()._load_best_model()
        else:
            self._load_renamed(self.state.best_model_checkpoint or "")

    def _load_renamed(self, checkpoint: str) -> None:
        """Loads all weights, whose names in a file are not those in memory.

        transformers' trainer would pass over every one of them without a word.
        """
        # What is trained may be wider than the rest; copied into the model, each weight gets its own format.
        dtype = max((each.dtype for each in self.model.parameters()), key=lambda kind: kind.itemsize)
        found = load_model(Path(checkpoint), dtype, trust=self.args.trust_remote_code)
        self.model.load_state_dict(found.state_dict())

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            self._processor.save_pretrained(output_dir or self.args.output_dir)
