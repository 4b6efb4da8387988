"""The loss of whole rows, each by itself: the same tokens as in training, on the models that answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from trainer.dataset.labels import IGNORED
from trainer.dataset.render import Rendered
from trainer.model.generation import Seen

# Logits of so many numbers are made at once (256 MB in fp32).
MOST_LOGITS = 2**26


class Loss(NamedTuple):
    """The mean loss of a row's `tokens` trained tokens; None where it is no number."""

    mean: float | None
    tokens: int


def losses(model: Any, rows: Sequence[Rendered], pad: int, seen: Seen | None = None) -> list[Loss]:
    """The loss of each row in one padded batch; with `mixed` adapters the first rows are the base's.

    Raises what the model raises.
    """
    own = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = own.device
    width = max(len(row.input_ids) for row in rows)
    ids = torch.tensor([row.input_ids + [pad] * (width - len(row.input_ids)) for row in rows])
    labels = torch.tensor([row.labels + [IGNORED] * (width - len(row.labels)) for row in rows])[:, 1:]
    lengths = torch.tensor([[len(row.input_ids)] for row in rows])
    keep = (labels != IGNORED).any(0).nonzero().squeeze(1)
    targets = labels[:, keep].to(device)
    ids = ids.to(device)
    with torch.inference_mode():
        logits = own(
            input_ids=ids,
            attention_mask=(torch.arange(width)[None] < lengths).long().to(device),
            logits_to_keep=keep.to(device),
            use_cache=False,
            **(seen.inputs(ids) if seen else {}),
        ).logits
        each = cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(targets.shape)
        sums, counts = each.sum(1).tolist(), (targets != IGNORED).sum(1).tolist()
    return [
        Loss(total / max(count, 1) if math.isfinite(total) else None, int(count))
        for total, count in zip(sums, counts, strict=True)
    ]


def shares(rows: Sequence[Rendered], vocabulary: int) -> list[range]:
    """The rows in order in parts whose logits fit together; a row that is too large by itself is a part of its own."""
    found: list[range] = []
    begin, most = 0, 0
    for number, row in enumerate(rows):
        span = len(row.labels) - next(at for at, label in enumerate(row.labels) if label != IGNORED)
        most = max(most, span)
        if number > begin and (number - begin + 1) * most * vocabulary > MOST_LOGITS:
            found.append(range(begin, number))
            begin, most = number, span
    return [*found, range(begin, len(rows))] if rows else []
