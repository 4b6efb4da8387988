"""How many rows are answered at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import Qwen2Config

from trainer.evaluate import batches
from trainer.evaluate.batches import Size

SMALL = Qwen2Config(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2)


def sizes(rows: int, fixed: int | None = None, fits: int = 1 << 40) -> list[int]:
    """The batches of so many rows, of which at most `fits` find room."""
    config = SimpleNamespace(get_text_config=lambda: SMALL)
    size = Size(
        fixed, SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32, config=config), sides=2
    )
    left: list[Any] = [SimpleNamespace(size=20)] * rows
    found = []
    while left:
        batch = left[: size.fitting(left, 64)]
        found.append(len(batch))
        if len(batch) > fits:
            assert size.halve(len(batch))
            continue
        if len(batch) == size.now:
            size.grow()
        left = left[len(batch) :]
    return found


def test_few_rows_come_first_and_then_as_many_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "free_bytes", lambda device: 1 << 40)
    assert sizes(200) == [8, 64, 64, 64] and sizes(5) == [5] and sizes(70, fixed=32) == [32, 32, 6]
    # What did not fit is not tried again.
    assert sizes(200, fits=40) == [8, 64, *[32] * 6]
    assert sizes(9, fits=3) == [8, 4, 2, 2, 2, 2, 1]


def test_memory_that_is_known_to_be_short_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "free_bytes", lambda device: 40 << 20)
    found = sizes(200)
    assert 1 <= max(found) < 64 and sum(found) == 200
    monkeypatch.setattr(batches, "free_bytes", lambda device: 0)
    assert sizes(3) == [1, 1, 1]
