"""Bytes that an optimiser remembers for what is trained, by its name in transformers."""

from __future__ import annotations

import math
from collections.abc import Callable

from trainer.config import RunConfig
from trainer.model.fit.choice import Chosen, Held

# Moments of the size of a tensor, in its own number format.
_MOMENTS = {
    "adamw": 2, "schedule_free_radam": 2, "schedule_free_adamw": 2, "schedule_free_sgd": 1, "rmsprop": 1, "adagrad": 1,
    "lion": 1, "ademamix": 3, "stable_adamw": 2, "grokadamw": 3, "sgd": 0, "lomo": 0, "adalomo": 0, "nadam": 2,
}  # fmt: skip
# bitsandbytes keeps tensors smaller than this in 32 bits, and a scale for each block of the others.
_SMALL, _BLOCK = 4096, 256


def optimizer_bytes(chosen: Chosen, config: RunConfig) -> int:
    """What is remembered from one step to the next, on all devices together."""
    optimizer = config.optimizer
    remember = _plain(config.train.optim)
    if optimizer.use_galore:
        both = optimizer.galore_proj_type == "full"
        remember = _projected(remember, optimizer.galore_target, optimizer.galore_rank, whole=True, both=both)
    elif optimizer.use_apollo:
        remember = _projected(remember, optimizer.apollo_target, optimizer.apollo_rank, whole=False)
    elif optimizer.use_muon:
        remember = _muon
    return sum(remember(each) for each in chosen.trained)


def is_paged(name: str) -> bool:
    """Whether the optimiser's memory lies on the host and comes to the device page by page."""
    return name.startswith("paged_")


def updates_at_once(config: RunConfig) -> bool:
    """Whether each gradient is used and dropped as soon as it is there, so that all of them never lie in memory."""
    optimizer = config.optimizer
    return (
        optimizer.galore_layerwise or optimizer.apollo_layerwise or config.train.optim in ("lomo", "adalomo")
    )


def _plain(name: str) -> Callable[[Held], int]:
    family = name.removeprefix("paged_")
    if "adafactor" in family:
        return _factored
    if family.endswith(("_4bit", "_8bit")) or family == "adamw_bnb_8bit":
        moments = _moments(family)
        return lambda each: _blocks(each, moments, 1 if family.endswith("8bit") else 0.5)
    moments = _moments(family)
    # 32 bits whatever the format of the weights, as bitsandbytes keeps them.
    wide = name.startswith("paged_") or family.endswith("_32bit") or family in ("lion", "ademamix")
    return lambda each: moments * each.count * (4 if wide else each.size)


def _moments(name: str) -> int:
    return next((count for prefix, count in _MOMENTS.items() if name.startswith(prefix)), 2)


def _blocks(each: Held, moments: int, size: float) -> int:
    # transformers has embeddings remembered in 32 bits.
    if each.count < _SMALL or (each.weight.kind == "embedding" and not each.adapter):
        return moments * each.count * 4
    return int(moments * (each.count * size + 4 * -(-each.count // _BLOCK)))


def _factored(each: Held) -> int:
    """Adafactor: sums of rows and of columns, in 32 bits: https://arxiv.org/abs/1804.04235"""
    if len(each.shape) < 2:
        return each.count * 4
    *outer, last = each.shape
    return 4 * (math.prod(outer) + math.prod(outer[:-1]) * last)


def _projected(
    plain: Callable[[Held], int], target: tuple[str, ...], rank: int, *, whole: bool, both: bool = False
) -> Callable[[Held], int]:
    """GaLore (https://arxiv.org/abs/2403.03507) and APOLLO (https://arxiv.org/abs/2412.05270): both moments in few
    dimensions, beside the directions, of which in 32 bits GaLore's package keeps the `whole` decomposition.
    """

    def remember(each: Held) -> int:
        named = "all" in target or any(name in each.weight.name for name in target)
        if each.weight.kind != "linear" or not named or min(each.shape) < 2:
            return plain(each)
        short, long = sorted(each.shape)
        kept = min(rank, short)
        columns = short if whole and each.size == 4 else kept
        directions = columns * (short + (long if both else 0)) * each.size
        return plain(each.narrowed((kept, kept if both else long))) + directions

    return remember


def _muon(each: Held) -> int:
    """One momentum for matrices inside of layers, AdamW's two for everything else."""
    matrix = len(each.shape) == 2 and each.weight.kind == "linear"
    return (1 if matrix else 2) * each.count * each.size
