"""Memory: how much a run has taken, whether activations fit, and giving everything back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from transformers.modeling_utils import PreTrainedModel

from trainer import device
from trainer.model.load import Precision

MB = 1024 * 1024
# Kept free for what no estimate sees: kernels' workspaces, fragments, other programs.
SPARE = 0.15


class Meter:
    """The peak memory of the run: the device's on a GPU, else that of this process while it was looked at."""

    def __init__(self) -> None:
        self._peak = 0.0
        device.reset_peak()

    def peak_mb(self) -> float:
        now = device.peak_memory() / MB if device.is_accelerated() else resident_bytes() / MB
        self._peak = max(self._peak, now)
        return round(self._peak, 1)


def resident_bytes() -> int:
    """The memory of this process that lies in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * 4096


def free_bytes() -> int:
    """Memory that is free on the device, or in RAM; a very large number where the system does not tell."""
    if device.is_accelerated():
        return device.free_memory()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return facts["MemAvailable"] * 1024
    except (OSError, ValueError, IndexError, KeyError):
        return 1 << 60


class Estimate(NamedTuple):
    """Bytes that a run needs beyond what is taken already, without checkpointing, and those that are free."""

    need: int
    free: int

    @property
    def too_much(self) -> bool:
        return self.need > self.free * (1 - SPARE)


def estimate(model: PreTrainedModel, precision: Precision, tokens: int, trained: int) -> Estimate:
    """What a run on batches of `tokens` tokens, `trained` of them with a loss, needs besides the loaded model.

    Per layer and token some 34 vectors of the hidden width are kept in 16 bits (Korthikanti et al., arXiv 2205.05198,
    without the quadratic part, which the attention kernels avoid), twice that in 32 bits; the MLP's share of 16 grows
    with its real width. On top: logits with their gradient in fp32, gradients and two moments of what is trained.
    """
    config = model.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * width
    size = 2 if precision.autocast or precision.name == "pure_bf16" else 4
    per_token = layers * (18 * width + 4 * inner) * size
    logits = 3 * trained * config.vocab_size * 4
    learned = sum(each.numel() * each.element_size() for each in model.parameters() if each.requires_grad)
    return Estimate(tokens * per_token + logits + 3 * learned, free_bytes())


@contextmanager
def frozen_garbage() -> Iterator[None]:
    """Inside, the collector passes over everything that exists already: it would walk the whole model in vain."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def give_back() -> None:
    """Frees what nobody refers to any more, on the device and in RAM."""
    gc.collect()
    device.empty_cache()
    if sys.platform == "linux":
        # Freed memory stays with the C library's allocator otherwise: ten runs would look like a leak.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
