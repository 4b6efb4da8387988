"""Numbers that are kept in 32 bits though the rest of a model is not: norms, and what the head hands out."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def upcast_norms(model: Any) -> int:
    """Puts the weights of normalisation layers into fp32, and returns of how many layers.

    They compute in fp32, and hand on in the format in which they were given: the layer behind them has kept its own.
    """
    found = [module for module in model.modules() if _is_norm(module)]
    for module in found:
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.float()
        module.register_forward_hook(_as_given)
    return len(found)


def upcast_logits(model: Any) -> None:
    """Makes the head hand out its logits in fp32."""
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_hook(_in_fp32)


def _is_norm(module: nn.Module) -> bool:
    """By its name, as families have norms of their own: a layer with nothing but vectors of weights."""
    own = list(module.parameters(recurse=False))
    vectors = bool(own) and all(each.ndim == 1 and each.is_floating_point() for each in own)
    return vectors and "norm" in type(module).__name__.lower() and not list(module.children())


def _as_given(_: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
    if not given or not isinstance(given[0], torch.Tensor) or not isinstance(made, torch.Tensor):
        return made
    return made.to(given[0].dtype)


def _in_fp32(_: nn.Module, __: Any, made: torch.Tensor) -> torch.Tensor:
    return made.float()
