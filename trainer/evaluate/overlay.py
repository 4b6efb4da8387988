"""Several runs, or several checkpoints of one, over the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trainer.errors import UserError
from trainer.evaluate.columns import Columns, Places
from trainer.evaluate.lengths import MOST, bins, edges
from trainer.evaluate.shown import Overlay, Series, Side, pick_main

MOST_RUNS = 12
# Of a mean whose spread is known, 95 % lie within so many standard errors.
_WIDTH = 1.96


class Candidate(NamedTuple):
    """A run that is laid over others: what its tuned side is called, and from which training step it is."""

    name: str
    step: int | None
    base: str
    columns: Columns


def lay_over(runs: Mapping[str, Candidate], score: str = "") -> Overlay:
    """The runs over the rows that all of them have: of the same number, question and reference in the same dataset.

    The base comes once. Raises UserError without a run, for too many, and when they have no row in common.
    """
    if not runs:
        raise UserError("overlay_none", field="runs")
    if len(runs) > MOST_RUNS:
        raise UserError("overlay_many", field="runs", count=len(runs), most=MOST_RUNS)
    places = _common([each.columns for each in runs.values()])
    if not len(places[0]):
        raise UserError("overlay_nothing_common", field="runs")
    first = next(iter(runs.values())).columns
    shared = tuple(name for name in first.names if all(name in each.columns.names for each in runs.values()))
    score = pick_main(shared, score)
    labelled = places[0][first.labelled[places[0]] > 0]
    groups = edges(first.lengths[labelled], MOST)

    def series(run: str, side: Side, held: Places) -> Series:
        name, step, base, columns = runs[run]
        means = {each: mean for each in shared if (mean := _mean(columns, held, side, each)) is not None}
        low, high = _interval(columns, held, side, score)
        shown = (name, step) if side == "tuned" else (base, None)
        return Series(run, side, *shown, means, low, high, bins(columns, held, score, [side], groups))

    found = [series(run, "tuned", held) for run, held in zip(runs, places, strict=True)]
    for run, held in zip(runs, places, strict=True):
        if (runs[run].columns.compared[held] > 0).all():
            found.insert(0, series(run, "base", held))
            break
    left_out = {run: len(each.columns) - len(places[0]) for run, each in runs.items()}
    return Overlay(len(places[0]), left_out, shared, score, tuple(found))


def _common(all_columns: Sequence[Columns]) -> list[Places]:
    """For each run the indices of the common rows, in the same order for all."""
    keys = np.unique(all_columns[0].key)
    for columns in all_columns[1:]:
        keys = np.intersect1d(keys, columns.key)
    found: list[Places] = []
    for columns in all_columns:
        known, first = np.unique(columns.key, return_index=True)
        found.append(first[np.searchsorted(known, keys)])
    return found


def _mean(columns: Columns, held: Places, side: Side, score: str) -> float | None:
    values = columns.of(side, score)[held]
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _interval(columns: Columns, held: Places, side: Side, score: str) -> tuple[float, float]:
    """95 % interval of the mean by its standard error; NaN without a value."""
    values = columns.of(side, score)[held]
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    error = float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else 0.0
    mean = float(known.mean())
    return max(0.0, mean - _WIDTH * error), min(100.0, mean + _WIDTH * error)
