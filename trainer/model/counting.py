"""How many numbers a parameter holds, also where several of them share a byte."""

from __future__ import annotations

import math
from typing import Any


def numbers(parameter: Any) -> int:
    """The numbers of a weight as the model was made: bitsandbytes packs two of 4 bits into one byte, DeepSpeed's ZeRO-3
    leaves a process only its share of them."""
    if hasattr(parameter, "ds_numel"):
        return int(parameter.ds_numel)
    shape = getattr(getattr(parameter, "quant_state", None), "shape", None)
    # DeepSpeed leaves a process only its part of a weight.
    return int(getattr(parameter, "ds_numel", parameter.numel()) if shape is None else math.prod(shape))


def parameters(model: Any) -> int:
    """All numbers of a model's parameters."""
    return sum(numbers(each) for each in model.parameters())
