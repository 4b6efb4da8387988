"""The set of scores of each kind of answers, for a row, for the rows so far, and for all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.evaluate.scores import fields, labels, match, peer, standard
from trainer.evaluate.scores.recognise import Kind

_MATCH = ("exact", "normalised")
_ROW: dict[Kind, tuple[str, ...]] = {
    "text": ("rouge-l", "rouge-1", "rouge-2", "bleu-4", *standard.NAMES, *_MATCH),
    "labels": (*labels.NAMES, *_MATCH, *peer.NAMES),
    "json": (*fields.NAMES, *_MATCH, *peer.NAMES),
}
_CORPUS: dict[Kind, tuple[str, ...]] = {
    "text": standard.CORPUS,
    "labels": labels.CORPUS,
    "json": fields.CORPUS,
}


@dataclass(frozen=True)
class Settled:
    """Scores over all rows: `means` by name, 0..100, and a table of `type` "confusion" (labels) or "fields" (JSON)."""

    means: dict[str, float]
    table: dict[str, Any] | None = None


def names(kind: Kind) -> tuple[str, ...]:
    """The scores of a row, the main one first."""
    return _ROW[kind]


def corpus_names(kind: Kind) -> tuple[str, ...]:
    """The scores that belong to all rows together and to no single one."""
    return _CORPUS[kind]


def main(kind: Kind) -> str:
    """The score on which a verdict is given."""
    return _ROW[kind][0]


def score(kind: Kind, predict: str, label: str) -> dict[str, float]:
    """One answer beside its reference: every name of `names(kind)`, 0..100."""
    own = {"text": standard.score, "labels": labels.score, "json": fields.score}[kind](predict, label)
    found = {**own, **match.score(predict, label), **peer.score(predict, label)}
    return {name: found[name] for name in _ROW[kind]}


class Tally:
    """Means over the rows so far, for each side."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._sums: dict[str, dict[str, float]] = {}
        self._rows: dict[str, dict[str, int]] = {}

    def add(self, side: str, scores: Mapping[str, float | None]) -> None:
        """Counts a row in. A score that is None (no reference) counts for nothing."""
        sums, rows = self._sums.setdefault(side, {}), self._rows.setdefault(side, {})
        for name, value in scores.items():
            if value is not None:
                sums[name] = sums.get(name, 0.0) + value
                rows[name] = rows.get(name, 0) + 1

    def means(self, side: str) -> dict[str, float]:
        """By name; empty before the first row."""
        rows = self._rows.get(side, {})
        return {name: total / rows[name] for name, total in self._sums.get(side, {}).items()}


def settle(kind: Kind, pairs: Sequence[tuple[str, str]], means: Mapping[str, float] | None = None) -> Settled:
    """All scores over (predict, label) pairs. `means`: those of the rows, where a Tally has them already."""
    if means is None:
        tally = Tally(kind)
        for predict, label in pairs:
            tally.add("", score(kind, predict, label))
        means = tally.means("")
    if kind == "text":
        together = standard.corpus([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        return Settled({**means, **together})
    together, table = (labels if kind == "labels" else fields).corpus(pairs)
    return Settled({**means, **together}, table)
