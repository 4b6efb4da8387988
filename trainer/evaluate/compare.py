"""Base beside tuned over the same rows: wins, ties, losses, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.events import Note


@dataclass(frozen=True)
class Verdict:
    score: str
    better: int
    equal: int
    worse: int
    rows: int
    difference: float
    low: float
    high: float
    shown: bool


def verdict(score: str, tuned: Sequence[float], base: Sequence[float], seed: int = 0) -> Verdict:
    raise NotImplementedError


def sentence(found: Verdict) -> Note:
    raise NotImplementedError
