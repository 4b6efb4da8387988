"""Weights that DeepSpeed's ZeRO-3 has split up over processes: their sizes, and a moment in which they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def rows_of(weight: Any) -> int:
    """The rows that a weight has when it is whole."""
    return int(getattr(weight, "ds_shape", weight.shape)[0])


def whole(weights: Sequence[torch.Tensor]) -> AbstractContextManager[Any]:
    """Inside, each process holds the weights whole; what the first one writes there is afterwards that of all."""
    split = [each for each in weights if hasattr(each, "ds_shape")]
    if not split:
        return nullcontext()
    import deepspeed

    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(split, modifier_rank=0)
    return gathered
