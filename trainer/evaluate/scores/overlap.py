"""What two sequences share: pieces of n items, and the longest common subsequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def grams(items: Sequence[Hashable], size: int) -> Counter[Hashable]:
    """How often each run of `size` items occurs."""
    return Counter(zip(*(items[start:] for start in range(size)), strict=False))


def shared(first: Mapping[Item, int], second: Mapping[Item, int]) -> int:
    """How many items two multisets have in common."""
    return sum(min(count, second[each]) for each, count in first.items() if each in second)


def common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence.

    A bit of `free` stands for each place of `first`; one addition of whole numbers makes a row of the usual table
    (H. Hyyrö, Bit-parallel LCS-length computation revisited, 2004): milliseconds for thousands of items.
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(first):
        places[item] = places.get(item, 0) | 1 << place
    every = (1 << len(first)) - 1
    free = every
    for item in second:
        met = free & places.get(item, 0)
        free = (free + met | free - met) & every
    return len(first) - free.bit_count()


def f1(matched: float, predicted: float, wanted: float) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean, 0..100; 0 where nothing was predicted or wanted."""
    precision = matched / predicted if predicted else 0.0
    recall = matched / wanted if wanted else 0.0
    mean = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return 100 * precision, 100 * recall, 100 * mean
