"""Answers that are labels: how many are right, and which are taken for which."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from trainer.evaluate.scores.match import normalise
from trainer.evaluate.scores.overlap import f1

NAMES = ("accuracy",)
CORPUS = ("macro-precision", "macro-recall", "macro-f1", "micro-precision", "micro-recall", "micro-f1")
# A larger table shows nobody anything; scores are of all labels.
MOST_SHOWN = 50


def score(predict: str, label: str) -> dict[str, float]:
    """`accuracy`: 100 when the answer is the label, case and punctuation aside."""
    return {"accuracy": 100.0 * (normalise(predict) == normalise(label))}


class _Counts(NamedTuple):
    """Labels as normalised; `taken[label, answer]` counts rows, `spelt[label]` is its most frequent spelling."""

    wanted: Counter[str]
    given: Counter[str]
    taken: Counter[tuple[str, str]]
    spelt: dict[str, str]

    def scores(self, label: str) -> tuple[float, float, float]:
        """Precision, recall, F1."""
        return f1(self.taken[label, label], self.given[label], self.wanted[label])


def corpus(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Scores of CORPUS over (predict, label) pairs, and the confusion table. Empty and None without rows.

    Labels are those that occur as references. Macro is the mean over labels; micro counts all rows together, and an
    answer that is none of the labels is not counted as given, but the row as missed.
    """
    if not pairs:
        return {}, None
    counts = _count(pairs)
    each = [counts.scores(label) for label in counts.wanted]
    right = sum(counts.taken[label, label] for label in counts.wanted)
    micro = f1(right, sum(counts.given[label] for label in counts.wanted), len(pairs))
    macro = [fmean(values) for values in zip(*each, strict=True)]
    return dict(zip(CORPUS, [*macro, *micro], strict=True)), _table(counts)


def _count(pairs: Sequence[tuple[str, str]]) -> _Counts:
    taken: Counter[tuple[str, str]] = Counter()
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for predict, label in pairs:
        known = normalise(label)
        taken[known, normalise(predict)] += 1
        spellings[known][label.strip()] += 1
    wanted: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for (label, answer), count in taken.items():
        wanted[label] += count
        given[answer] += count
    return _Counts(wanted, given, taken, {each: _most(counts) for each, counts in spellings.items()})


def _most(counts: Mapping[str, int]) -> str:
    return min(counts, key=lambda each: (-counts[each], each))


def _table(counts: _Counts) -> dict[str, Any]:
    """`rows[i][j]`: how often label i was answered by label j; the last column holds every other answer."""
    shown = sorted(sorted(counts.wanted, key=lambda each: (-counts.wanted[each], each))[:MOST_SHOWN])
    rows = []
    each = []
    for label in shown:
        line = [counts.taken[label, answer] for answer in shown]
        rows.append([*line, counts.wanted[label] - sum(line)])
        precision, recall, mean = counts.scores(label)
        named = {"label": counts.spelt[label], "rows": counts.wanted[label]}
        each.append({**named, "precision": precision, "recall": recall, "f1": mean})
    return {
        "type": "confusion",
        "labels": [counts.spelt[label] for label in shown],
        "rows": rows,
        "each": each,
        "left_out": len(counts.wanted) - len(shown),
    }
