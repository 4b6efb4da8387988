"""Base and tuned in one batch: the first rows pass a model's adapters by, the others go through them.

PEFT's own mixed batches gather and scatter the rows of every adapter in every layer. Here rows of one side lie together,
so that a slice is enough, and rows may leave the batch on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from peft.tuners.tuners_utils import BaseTunerLayer


class Untouched:
    """How many rows at the head of the batch are the base's; may be changed between two steps."""

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows


def _layers(model: Any) -> list[Any]:
    return [each for each in model.modules() if isinstance(each, BaseTunerLayer)]


def can_mix(model: Any) -> bool:
    """Whether all adapters are plain LoRA on linear layers, one at a time: anything else is left to PEFT."""
    return all(_is_plain(each) for each in _layers(model))


def _is_plain(layer: Any) -> bool:
    active = layer.active_adapters
    if type(layer) is not Linear or len(active) != 1 or layer.merged or layer.disable_adapters:
        return False
    return active[0] not in layer.lora_variant


@contextmanager
def mixed(model: Any, untouched: Untouched) -> Iterator[None]:
    """Inside, `untouched.rows` rows of every batch are answered by the base. `can_mix` must hold."""
    layers = [each for each in _layers(model) if each.active_adapters[0] in each.lora_A]
    for layer in layers:
        layer.forward = _forward(layer, untouched)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(layer: Any, untouched: Untouched) -> Callable[..., torch.Tensor]:
    name = layer.active_adapters[0]
    base, down, up = layer.base_layer, layer.lora_A[name], layer.lora_B[name]
    scaling, dtype = layer.scaling[name], layer.lora_A[name].weight.dtype

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result: torch.Tensor = base(x, *args, **kwargs)
        rows = untouched.rows
        if rows >= len(x):
            return result
        change = up(down(x[rows:].to(dtype)))
        result[rows:].add_(change.to(result.dtype), alpha=scaling)
        return result

    return forward
