"""NEFTune: uniform noise on the embeddings while training (https://arxiv.org/abs/2310.05914)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class RowNoise:
    """Noise whose size is alpha / sqrt(length * width), with each row's own length also in a flattened batch."""

    alpha: float

    @contextmanager
    def on(self, embeddings: nn.Module, batch: Mapping[str, Any]) -> Iterator[None]:
        """Inside, `embeddings` answers with noise for the rows of `batch`."""
        lengths = _lengths(batch)

        def add(_module: nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
            size = self.alpha / (lengths.to(output.device) * output.shape[-1]).sqrt()
            noise = torch.empty_like(output).uniform_(-1, 1)
            return output + noise * size.to(output.dtype)

        handle = embeddings.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()


def _lengths(batch: Mapping[str, Any]) -> torch.Tensor:
    """For each token the length of its row, shaped to be multiplied with (rows, tokens, width)."""
    if "attention_mask" in batch:
        lengths: torch.Tensor = batch["attention_mask"].sum(1, keepdim=True)[..., None].float()
        return lengths
    bounds = batch["cu_seq_lens_q"].diff() if "cu_seq_lens_q" in batch else torch.tensor(batch["row_lengths"])
    return bounds.repeat_interleave(bounds)[None, :, None].float()
