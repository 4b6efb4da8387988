"""Rows spread over processes: all of them together take, in a step, the rows that one process would take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import RandomSampler, Sampler

from trainer.train.items import EMPTY


class Filled(Sampler[int]):
    """The places that `inner` draws, and behind them empty ones until the count is a multiple of `multiple`.

    Without it the last step of an epoch would train its first rows once more. A drawing at random is the same in every
    process, and the one that a single process would make.
    """

    def __init__(self, inner: Any, multiple: int, seed: int | None) -> None:
        self.epoch = 0
        self._seed = torch.random.initial_seed() if seed is None else seed
        if isinstance(inner, RandomSampler) and not isinstance(inner, SeedableRandomSampler):
            inner = SeedableRandomSampler(inner.data_source, data_seed=self._seed)
        self._inner = inner
        self._multiple = multiple

    def set_epoch(self, epoch: int) -> None:
        """Draws as in the epoch of that number next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._inner) // self._multiple) * self._multiple

    def __iter__(self) -> Iterator[int]:
        if hasattr(self._inner, "set_epoch"):
            self._inner.set_epoch(self.epoch)
        elif hasattr(self._inner, "generator"):
            self._inner.generator = torch.Generator().manual_seed(self._seed + self.epoch)
        yield from islice(self._inner, len(self._inner))
        yield from [EMPTY] * (len(self) - len(self._inner))
        self.epoch += 1
