"""A run lives in a thread of a server, whose process it leaves as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from accelerate.state import AcceleratorState, GradientState


@contextmanager
def untouched_process() -> Iterator[None]:
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
