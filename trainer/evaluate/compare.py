"""Base beside tuned over the same rows: wins, ties, losses, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.events import Note

# Scores are rounded to four places; what differs by less is equal.
_EQUAL = 1e-6
# Numbers drawn for the interval: 10,000 samples of up to 1,000 rows, 1,000 samples of 10,000 rows and more.
_DRAWN, _FEWEST, _MOST = 10_000_000, 1_000, 10_000
_AT_ONCE = 2_000_000
# When five rows are all better, that is chance in one case of sixteen (sign test, both ends): too often to say more.
ENOUGH_ROWS = 6
TITLES = {
    "rouge-l": "ROUGE-L",
    "rouge-1": "ROUGE-1",
    "rouge-2": "ROUGE-2",
    "bleu-4": "BLEU-4",
    "field-f1": "field F1",
}

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """`better`, `equal`, `worse`: rows, seen from the tuned side. `difference`: tuned minus base, mean, in points.

    `low` to `high` is its 95 % interval; `shown`: there are enough rows and the interval leaves out zero.
    """

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
    """Compares both sides' scores (0..100) of the same rows, in the same order.

    The interval holds the middle 95 % of the means of samples drawn from the rows with replacement (paired bootstrap,
    Efron 1979); the same seed gives the same interval. Below two rows it is the difference itself. Raises ValueError
    for sides of different lengths.
    """
    if len(tuned) != len(base):
        raise ValueError(f"{len(tuned)} scores of tuned, but {len(base)} of base")
    differences = np.asarray(tuned, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    rows = len(differences)
    difference = float(differences.mean()) if rows else 0.0
    low, high = _interval(differences, seed) if rows > 1 else (difference, difference)
    better, worse = int((differences > _EQUAL).sum()), int((differences < -_EQUAL).sum())
    shown = rows >= ENOUGH_ROWS and not low <= 0 <= high
    return Verdict(score, better, rows - better - worse, worse, rows, difference, low, high, shown)


def _interval(differences: Numbers, seed: int) -> tuple[float, float]:
    rows = len(differences)
    samples = min(_MOST, max(_FEWEST, _DRAWN // rows))
    chance = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // rows)
    means = [
        differences[chance.integers(0, rows, (min(step, samples - done), rows), dtype=np.int32)].mean(axis=1)
        for done in range(0, samples, step)
    ]
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return float(low), float(high)


def sentence(found: Verdict, by: str = "evaluated") -> Note:
    """The verdict as a sentence; its code begins with `by`: "evaluated" for scores, "judged" for what a judge says.

    `score` among the values is the score's title or, where it has none, its name; a page may say either in its language.
    """
    counts = {"better": found.better, "equal": found.equal, "worse": found.worse, "rows": found.rows}
    title = TITLES.get(found.score, found.score)
    numbers = {name: _plain(getattr(found, name)) for name in ("difference", "low", "high")}
    return Note(code=f"{by}_{_code(found)}", values={**counts, "score": title, **numbers})


def _code(found: Verdict) -> str:
    if not found.rows:
        return "nothing"
    if found.rows < ENOUGH_ROWS:
        return "few"
    if not found.shown:
        return "no_difference"
    return "better" if found.difference > 0 else "worse"


def _plain(number: float) -> float:
    """Two places, so that events stay short; never minus zero."""
    return round(number, 2) + 0.0
