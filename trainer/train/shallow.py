"""A small copy of a model to try things with, while the weights of the model itself lie split up among processes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.integrations import deepspeed

from trainer import device

DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth")
LAYERS = 2


def shallow(model: Any) -> Any:
    """A model of the same kind and width with two layers and weights at random, in the format of `model`.

    The generator of random numbers is left as it was.
    """
    config = copy.deepcopy(model.config)
    for each in _configs(config):
        for name in DEPTHS:
            if isinstance(getattr(each, name, None), int):
                setattr(each, name, min(LAYERS, getattr(each, name)))
        if getattr(each, "layer_types", None):
            each.layer_types = list(each.layer_types)[:LAYERS]
    with torch.random.fork_rng([]), _whole():
        torch.manual_seed(0)
        found = type(model)._from_config(config, dtype=model.dtype)
    found.config._attn_implementation = model.config._attn_implementation
    return found.to(device.current())


def _configs(config: Any) -> Iterator[Any]:
    yield config
    for name in getattr(config, "sub_configs", {}):
        inner = getattr(config, name, None)
        if inner is not None:
            yield from _configs(inner)


@contextmanager
def _whole() -> Iterator[None]:
    """Inside, a new model is not split up."""
    held = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = held
