"""Whether a run's memory is enough, with the rows and the model as they are: gradient checkpointing, and a warning."""

from __future__ import annotations

from typing import Any

from trainer.config import RunConfig
from trainer.dataset.table import RowTable
from trainer.events import Note
from trainer.model.fit.activations import Batch
from trainer.model.fit.choice import formats_of
from trainer.model.fit.engine import engine_of
from trainer.model.fit.estimate import need
from trainer.model.fit.loaded import chosen_in, shape_of
from trainer.model.fit.said import gigabytes, warning
from trainer.model.fit.shape import Shape
from trainer.model.fit.weighing import SPARE, Fit, batch_of, fit, machine_of
from trainer.model.load import Precision
from trainer.train.flow import Flow
from trainer.train.items import Items


def checkpointing(
    config: RunConfig, model: Any, items: Items | Flow, precision: Precision
) -> tuple[bool, Note | None]:
    """Whether activations are computed twice: as the option says, or when memory asks for it; and what to tell."""
    choice = config.model.gradient_checkpointing
    if choice != "auto":
        return choice == "on", None
    shape = shape_of(model)
    if shape is None:
        return False, None
    machine = machine_of(config)
    formats = formats_of(precision.name, config.method.finetuning_type)
    chosen = chosen_in(model, shape, formats)
    kernels, batch = batch_of(config, shape, precision.name, machine, _batch(config, items, shape, model))
    needed = need(chosen, config, batch, kernels, engine_of(config), checkpointing=False)
    # The weights are loaded already.
    more, free = needed.total - needed.weights, min(machine.free)
    if more <= free * (1 - SPARE):
        return False, None
    return True, Note(code="checkpointing_on", values={"need": gigabytes(more), "free": gigabytes(free)})


def _batch(config: RunConfig, items: Items | Flow, shape: Shape, model: Any) -> Batch | None:
    """The longest micro-batch of these rows; None for a stream, whose rows nobody has seen."""
    if not isinstance(items, Items):
        return None
    rows = config.train.per_device_train_batch_size
    tokens, trained = items.most(rows)
    longest, _ = items.most(1)
    patches = 0
    if shape.eyes:
        token = getattr(model.config, "image_token_id", None)
        patches = shape.eyes.cells * sum(
            item["input_ids"].count(token) for item in items.longest(rows) if token is not None
        )
    return Batch(tokens, trained, rows, longest, patches)


def short_of(config: RunConfig, rows: Any) -> Note | None:
    """A warning for a run that does not fit, before its model is loaded; None where it fits or nobody knows."""
    machine = machine_of(config)
    found = fit(config, machine, _rendered(config, rows, machine))
    return warning(found) if found is not None and found.cannot else None


def _rendered(config: RunConfig, rows: Any, machine: Any) -> Batch | None:
    if not isinstance(rows, RowTable) or not len(rows) or config.data.packing:
        return None
    count = config.train.per_device_train_batch_size
    tokens, trained = Items(rows).most(count)
    longest, _ = Items(rows).most(1)
    return Batch(tokens, trained, count, longest)


def smaller_fit(config: RunConfig) -> Fit | None:
    """What to propose when memory has run out: as `fit`, and with changes in any case."""
    found = fit(config)
    return found if found is not None and found.changes else None
