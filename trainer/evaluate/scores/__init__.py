"""What an answer is worth beside its reference: pure functions, every score from 0 to 100, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "labels", "json"]


@dataclass(frozen=True)
class Settled:
    """Scores over all rows: `means` by name; `table` is a confusion table, a table of fields, or None."""

    means: dict[str, float]
    table: dict[str, Any] | None = None


def recognise(labels: Sequence[str]) -> Kind:
    """Which set of scores suits these references."""
    raise NotImplementedError


def names(kind: Kind) -> tuple[str, ...]:
    """The scores of a row, the main one first."""
    raise NotImplementedError


def main(kind: Kind) -> str:
    """The score on which a verdict is given."""
    return {"text": "rouge-l", "labels": "accuracy", "json": "field-f1"}[kind]


def score(kind: Kind, predict: str, label: str) -> dict[str, float]:
    """One answer beside its reference."""
    raise NotImplementedError


class Tally:
    """Means of the rows so far, for each side."""

    def __init__(self, kind: Kind) -> None:
        raise NotImplementedError

    def add(self, side: str, scores: dict[str, float]) -> None:
        raise NotImplementedError

    def means(self, side: str) -> dict[str, float]:
        raise NotImplementedError


def settle(kind: Kind, pairs: Sequence[tuple[str, str]]) -> Settled:
    """Scores over all (predict, label) pairs, those that belong to no single row too."""
    raise NotImplementedError
