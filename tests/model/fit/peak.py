"""What a training run really takes on a CPU: every storage that an operation makes, counted until it is freed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainer.train.loop import RowTrainer


class Storages(TorchDispatchMode):
    """Counts the bytes of storages that are made inside it, and the most that were alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def know(self, tensors: Iterable[torch.Tensor]) -> int:
        """Counts storages that were there before, each once; their bytes."""
        before = self.now
        for tensor in tensors:
            self._see(tensor)
        return self.now - before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return out

    def _see(self, tensor: torch.Tensor) -> None:
        if tensor.device.type == "meta":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@dataclass
class Measured:
    """Bytes: of each part, and the most at once; `computed` is the most beyond weights, optimiser and gradients kept."""

    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    computed: int = 0
    total: int = 0


def _sizes(tensors: Iterable[torch.Tensor]) -> int:
    return sum({each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in tensors}.values())


def _states(value: Any) -> Iterator[torch.Tensor]:
    """Tensors of the optimiser's memory, however deep; counters of one number are none."""
    if isinstance(value, torch.Tensor):
        yield from (value,) if value.numel() > 1 else ()
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _states(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _states(each)
    elif type(value).__name__ == "QuantState" or (
        hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in ("torch", "builtins")
    ):
        yield from _states(vars(value))


def _held(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers, and what bitsandbytes keeps beside a quantised weight."""
    yield from model.buffers()
    for each in model.parameters():
        yield each
        for name in ("quant_state", "SCB", "CB"):
            yield from _states(getattr(each, name, None))


@contextmanager
def measuring(patch: pytest.MonkeyPatch) -> Iterator[Measured]:
    """Inside, a run of `run_sft` is measured from its first step to its last."""
    found = Measured()
    train, step = RowTrainer.train, RowTrainer.training_step
    counted = Storages()

    def measured_train(self: RowTrainer, *args: Any, **kwargs: Any) -> Any:
        found.weights = counted.know(_held(self.model))
        with counted:
            result = train(self, *args, **kwargs)
        found.total = counted.most
        assert self.optimizer is not None
        found.optimizer = _sizes(_states(list(self.optimizer.state.values())))
        return result

    def measured_step(self: RowTrainer, *args: Any, **kwargs: Any) -> Any:
        before, most, counted.most = counted.now, counted.most, counted.now
        result = step(self, *args, **kwargs)
        found.computed = max(found.computed, counted.most - before)
        counted.most = max(counted.most, most)
        found.gradients = max(
            found.gradients, _sizes(each.grad for each in self.model.parameters() if each.grad is not None)
        )
        return result

    with patch.context() as inner:
        inner.setattr(RowTrainer, "train", measured_train)
        inner.setattr(RowTrainer, "training_step", measured_step)
        yield found
