"""The process in which a run lives: what it leaves as it was, and what it says of itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from accelerate.state import AcceleratorState, GradientState

from trainer import device
from trainer.model.counting import numbers, parameters
from trainer.model.load import Precision
from trainer.train.rows import RunRows


@contextmanager
def untouched() -> Iterator[None]:
    """Leaves random generators and shared states as they were: a run lives in a thread of a server."""
    python, arrays, tensors = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
        torch.set_rng_state(tensors)
        torch.use_deterministic_algorithms(deterministic)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def facts(data: RunRows, model: Any, precision: Precision) -> dict[str, Any]:
    """What Started says of a run."""
    return {
        "rows": data.count,
        "trained_tokens": data.trained_tokens,
        "parameters": parameters(model),
        "trainable": sum(numbers(each) for each in model.parameters() if each.requires_grad),
        "device": device.name(),
        "precision": precision.name,
    }
