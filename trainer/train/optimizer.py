"""Optimisers: LoRA+, and the check that a named one can be used here."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from peft.optimizers import create_loraplus_optimizer
from transformers import Trainer
from transformers.training_args import OptimizerNames, TrainingArguments

from trainer.errors import UserError


def check_name(name: str) -> None:
    """Raises UserError, with the nearest name, for an optimiser that transformers does not know."""
    known = [each.value for each in OptimizerNames]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise UserError("optim_unknown", field="optim", name=name, nearest=near)


def usable(arguments: TrainingArguments) -> tuple[Any, dict[str, Any]]:
    """The optimiser's class and its arguments. Raises UserError when a package that it needs is not there."""
    try:
        return Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError, RuntimeError) as error:
        name = str(getattr(arguments.optim, "value", arguments.optim))
        raise UserError("optim_package", field="optim", name=name, reason=str(error)[:300]) from error


def lora_plus(
    model: Any, arguments: TrainingArguments, ratio: float, embedding_rate: float = 1e-6
) -> torch.optim.Optimizer:
    """The named optimiser with a learning rate `ratio` times as high for the matrices B, and one of their own for
    adapters on embeddings: https://arxiv.org/abs/2402.12354
    """
    kind, settings = usable(arguments)
    optimizer: torch.optim.Optimizer = create_loraplus_optimizer(
        model, kind, lr=settings.pop("lr"), loraplus_lr_ratio=ratio,
        loraplus_lr_embedding=embedding_rate, loraplus_weight_decay=arguments.weight_decay, **settings,
    )  # fmt: skip
    return optimizer
