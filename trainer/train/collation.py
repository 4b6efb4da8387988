"""Rows of tokens -> one batch: flattened into a single sequence, or padded to the longest row.

Both carry the same facts beside the tensors: `keep`, the positions whose logits are needed, `targets`, what these
should predict, and how many tokens there are and are trained (known here, so that no device is waited for).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypedDict

import torch

from trainer.dataset.conversation import Media
from trainer.train.seeing import Eyes, Seen

IGNORED = -100


class Item(TypedDict):
    """What one place of a batch holds: a row, or several rows that were packed one after another.

    `media` are the pictures and videos of each row.
    """

    input_ids: list[int]
    labels: list[int]
    seq_lengths: list[int]
    media: list[tuple[Media, ...]]


def single(input_ids: list[int], labels: list[int], media: tuple[Media, ...] = ()) -> Item:
    return {
        "input_ids": input_ids,
        # The first token of a row is never predicted; flattened, the row before it would have to.
        "labels": [IGNORED, *labels[1:]],
        "seq_lengths": [len(input_ids)],
        "media": [media],
    }


def join(items: Sequence[Item]) -> Item:
    return {
        "input_ids": [token for item in items for token in item["input_ids"]],
        "labels": [label for item in items for label in item["labels"]],
        "seq_lengths": [length for item in items for length in item["seq_lengths"]],
        "media": [media for item in items for media in item["media"]],
    }


def untrained(seen: Seen) -> Item:
    """A row of which nothing is learned."""
    return single(list(seen.ids), [IGNORED] * len(seen.ids), tuple(seen.media))


def _showing(items: Sequence[Item], picture: Item | None) -> Sequence[Item]:
    """The items, with `picture` behind them when they show none themselves."""
    if picture is None or any(media for item in items for media in item["media"]):
        return items
    return [*items, picture]


def _seen(item: Item) -> list[Seen]:
    """The rows of a place, apart."""
    ends = list(accumulate(item["seq_lengths"]))
    starts = [0, *ends[:-1]]
    ids = item["input_ids"]
    return [
        Seen(ids[start:end], media) for start, end, media in zip(starts, ends, item["media"], strict=True)
    ]


def _facts(labels: torch.Tensor, tokens: int) -> dict[str, Any]:
    """`labels` is (rows, tokens); the logits at a position predict the label of the next one."""
    ahead = labels[:, 1:]
    trained = ahead != IGNORED
    keep = trained.any(0).nonzero().squeeze(1)
    return {"keep": keep, "targets": ahead[:, keep], "tokens": tokens, "trained": int(trained.sum())}


@dataclass(frozen=True)
class Flattened:
    """One sequence of all rows; positions restart with each row.

    `multiple` rounds the length up (1: not at all) with tokens that form a row of their own: under bf16 a CPU
    prepares its kernels anew for every length it has not seen. `flash` adds what flash-attention's kernels read,
    `eyes` under `later` what a vision model takes. A batch without a picture gets the row `picture`, if there is one:
    of several processes none may leave out the part that sees while others wait for it there.
    """

    pad_id: int
    multiple: int = 1
    flash: bool = False
    eyes: Eyes | None = None
    picture: Item | None = None

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        tokens = sum(len(item["input_ids"]) for item in items)
        whole = join(_showing(items, self.picture))
        spare = -len(whole["input_ids"]) % self.multiple
        lengths = (*whole["seq_lengths"], *((spare,) if spare else ()))
        labels = torch.tensor([whole["labels"] + [IGNORED] * spare])
        batch = {
            "input_ids": torch.tensor([whole["input_ids"] + [self.pad_id] * spare]),
            "labels": labels,
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
            **_facts(labels, tokens),
        }
        if self.eyes:
            rest = [Seen([self.pad_id] * spare)] if spare else []
            batch["later"] = self.eyes.later([*_seen(whole), *rest], flattened=True)
        return batch | (self._kernel_facts(lengths) if self.flash else {"row_lengths": lengths})

    @staticmethod
    def _kernel_facts(lengths: tuple[int, ...]) -> dict[str, Any]:
        bounds = torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32)
        longest = max(lengths)
        return {
            "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest,
        }  # fmt: skip


@dataclass(frozen=True)
class Padded:
    """As many sequences as rows, all as long as the longest, for models that cannot be flattened."""

    pad_id: int
    eyes: Eyes | None = None
    picture: Item | None = None

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        tokens = sum(len(item["input_ids"]) for item in items)
        items = _showing(items, self.picture)
        longest = max(len(item["input_ids"]) for item in items)

        def rows(name: str, filler: int) -> torch.Tensor:
            return torch.tensor([item[name] + [filler] * (longest - len(item[name])) for item in items])  # type: ignore[literal-required]

        labels = rows("labels", IGNORED)
        lengths = torch.tensor([[len(item["input_ids"])] for item in items])
        seen = [row for item in items for row in _seen(item)]
        later = {"later": self.eyes.later(seen, flattened=False)} if self.eyes else {}
        return {
            "input_ids": rows("input_ids", self.pad_id),
            "attention_mask": (torch.arange(longest)[None] < lengths).long(),
            "labels": labels,
            **_facts(labels, tokens),
            **later,
        }


Collator = Flattened | Padded
