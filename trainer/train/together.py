"""The part of the trainer that minds other processes: which rows are drawn, how gradients are measured."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import nn
from transformers.trainer_pt_utils import nested_gather

from trainer.train.engine import Engine
from trainer.train.items import Items
from trainer.train.ranks import Ranks
from trainer.train.saving import SavingTrainer
from trainer.train.spread import Filled


class TogetherTrainer(SavingTrainer):
    """SavingTrainer as one of `ranks`; alone it is nothing more."""

    ranks: Ranks
    engine: Engine
    _trainable: list[nn.Parameter]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        given = self.train_dataset if train_dataset is None else train_dataset
        if self.ranks.count == 1 or not isinstance(given, Items) or sampler is None:
            return sampler
        if self.args.train_sampling_strategy == "batch_rebalance":
            return sampler
        multiple = self.args.train_batch_size * self.ranks.count
        return Filled(sampler, multiple, self.args.data_seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        if self.ranks.count == 1:
            return super()._get_eval_sampler(eval_dataset)
        multiple = self.args.eval_batch_size * self.ranks.count
        return Filled(range(len(eval_dataset)), multiple, 0)

    def _to_clip(self) -> list[nn.Parameter]:
        """What is trained: FSDP has put other tensors in its place since the trainer was made."""
        if self.engine.name == "fsdp":
            return [each for each in self.model.parameters() if each.requires_grad]
        return self._trainable

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor | float:
        norm: torch.Tensor | float = self.accelerator.clip_grad_norm_(
            self._to_clip(), self.args.max_grad_norm
        )
        return norm

    def _get_grad_norm(
        self, model: nn.Module, grad_norm: torch.Tensor | float | None = None
    ) -> torch.Tensor | float:
        if grad_norm is None:
            grad_norm = self.accelerator.clip_grad_norm_(self._to_clip(), float("inf"))
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            return float(grad_norm)
        # A tensor that is spread over processes is one number only when they put it together.
        return grad_norm.full_tensor() if hasattr(grad_norm, "full_tensor") else grad_norm

    def shared_loss(self) -> float:
        """The loss summed since the last one that was logged: the mean of what the processes have summed."""
        if self.ranks.count == 1:
            return float(self._tr_loss)
        return float(nested_gather(self._tr_loss, self.args.parallel_mode).mean())
