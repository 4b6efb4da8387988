"""What models take of pictures and videos beside the ids, of several rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def merge(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The inputs of several rows as those of one batch: one after another, shorter ones filled up with zeros.

    So do the processors themselves when they are given several rows: models pass over pictures of zeros, or know the
    size of each.
    """
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        if isinstance(values[0], torch.Tensor):
            merged[name] = torch.cat(_as_large(values)) if values[0].ndim else torch.stack(values)
        else:
            merged[name] = [each for value in values for each in value]
    return merged


def _as_large(values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    shape = [max(sizes) for sizes in zip(*(each.shape[1:] for each in values), strict=True)]
    made = []
    for each in values:
        if list(each.shape[1:]) == shape:
            made.append(each)
            continue
        larger = each.new_zeros((each.shape[0], *shape))
        larger[tuple(slice(size) for size in each.shape)] = each
        made.append(larger)
    return made
