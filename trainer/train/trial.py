"""auto_find_batch_size: a step on the longest rows before the first one, to see how many of them fit at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.config import RunConfig
from trainer.events import Event, Note
from trainer.model.fit.choice import formats_of
from trainer.model.fit.loaded import chosen_in, shape_of
from trainer.model.fit.optimizer import optimizer_bytes, updates_at_once
from trainer.model.memory import is_out_of_memory
from trainer.train.again import Smaller, halved, several_processes, sized
from trainer.train.collation import Item
from trainer.train.items import Items
from trainer.train.loop import RowTrainer
from trainer.train.memory import give_back


class Trial(TrainerCallback):
    """Computes forward and backward with the longest rows and the optimiser's room, before training begins.

    Weights, gradients, optimiser and random numbers are afterwards as before. Raises Smaller when fewer rows fit.
    """

    def __init__(self, config: RunConfig, emit: Callable[[Event], None]) -> None:
        self._config = config
        self._emit = emit
        self.trainer: RowTrainer | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        assert self.trainer is not None
        config, trainer = self._config, self.trainer
        if reason := _why_not(config, trainer):
            self._emit(Note(code="trial_none", values={"reason": reason}))
            return
        before = config.train.per_device_train_batch_size
        fitting: RunConfig | None = config
        while fitting is not None and not _fits(trainer, fitting):
            fitting = halved(fitting)
        # Not even one row: the run says so itself.
        size = fitting.train.per_device_train_batch_size if fitting else 1
        if size == before:
            self._emit(Note(code="trial_fits", values={"size": size}))
            return
        steps = config.train.gradient_accumulation_steps
        smaller = sized(config, size, steps, before).with_values(auto_find_batch_size=False)
        after = smaller.train.gradient_accumulation_steps
        raise Smaller(
            smaller,
            Note(
                code="trial_smaller", values={"before": before, "size": size, "steps": after}, level="warning"
            ),
        )


def trials(config: RunConfig, emit: Callable[[Event], None]) -> list[Trial]:
    """The trial that the options ask for, if they do."""
    return [Trial(config, emit)] if config.train.auto_find_batch_size else []


def _why_not(config: RunConfig, trainer: RowTrainer) -> str:
    if several_processes():
        return "several processes train together"
    if not isinstance(trainer.train_dataset, Items):
        return "the rows of a stream are not known before they are trained"
    if updates_at_once(config):
        return "this optimiser changes the weights while it goes backward"
    return ""


def _fits(trainer: RowTrainer, config: RunConfig) -> bool:
    """Whether a step with so many of the longest rows has room. Any other error is raised."""
    items = trainer.train_dataset
    assert isinstance(items, Items)
    with _as_before(trainer):
        try:
            _step(trainer, items.longest(config.train.per_device_train_batch_size), config)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # Its frames hold the activations.
            error.__traceback__ = None
            fits = False
        else:
            fits = True
    give_back()
    return fits


def _step(trainer: RowTrainer, items: list[Item], config: RunConfig) -> None:
    collate: Any = trainer.data_collator
    batch = collate(items)
    remembered = _optimizer_room(trainer, config)
    trainer.training_step(trainer.model_wrapped, batch, torch.tensor(max(1, batch["trained"])))
    del remembered


def _optimizer_room(trainer: RowTrainer, config: RunConfig) -> torch.Tensor | None:
    """As much memory as the optimiser will take at its first step, unless it has it already."""
    if trainer.optimizer is not None and trainer.optimizer.state:
        return None
    shape = shape_of(trainer.model)
    if shape is None:
        return None
    chosen = chosen_in(trainer.model, shape, formats_of("fp32", config.method.finetuning_type))
    return torch.empty(optimizer_bytes(chosen, config), dtype=torch.uint8, device=trainer.args.device)


@contextmanager
def _as_before(trainer: RowTrainer) -> Iterator[None]:
    """Afterwards no gradient is left, and random numbers go on as if nothing had been."""
    python, arrays, tensors = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    place = trainer.args.device
    there = torch.get_device_module(place).get_rng_state() if place.type != "cpu" else None
    try:
        yield
    finally:
        trainer.model.zero_grad(set_to_none=True)
        random.setstate(python)
        numpy.random.set_state(arrays)
        torch.set_rng_state(tensors)
        if there is not None:
            torch.get_device_module(place).set_rng_state(there)
