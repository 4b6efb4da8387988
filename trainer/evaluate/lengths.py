"""Scores by the length of the reference: short answers and long ones are rarely equally good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trainer.evaluate.columns import Columns, Floats, Places
from trainer.evaluate.shown import SIDES, Bin, Side

MOST = 8
Edges = tuple[tuple[int, int], ...]


def by_length(columns: Columns, score: str, most: int = MOST) -> tuple[Bin, ...]:
    """At most `most` groups of about equally many rows with a reference, the shortest first."""
    held = np.flatnonzero(columns.labelled > 0)
    sides = [side for side in SIDES if columns.scores[side]]
    return bins(columns, held, score, sides, edges(columns.lengths[held], most))


def edges(lengths: Places, most: int) -> Edges:
    """The shortest and longest length of each group; rows of one length are never parted."""
    found: list[tuple[int, int]] = []
    ordered = np.sort(lengths)
    start = 0
    while start < len(ordered):
        share = max(1, -(-(len(ordered) - start) // max(1, most - len(found))))
        last = ordered[min(start + share, len(ordered)) - 1]
        end = int(np.searchsorted(ordered, last, side="right"))
        found.append((int(ordered[start]), int(last)))
        start = end
    return tuple(found)


def bins(columns: Columns, held: Places, score: str, sides: Sequence[Side], groups: Edges) -> tuple[Bin, ...]:
    """The groups, of the rows at the indices `held` only."""
    values = {side: columns.of(side, score)[held] for side in sides}
    return grouped(columns.lengths[held], values, groups)


def grouped(lengths: Places, values: Mapping[Side, Floats], groups: Edges) -> tuple[Bin, ...]:
    """The groups of rows with these lengths and these scores, NaN where a row has none."""
    made = []
    for low, high in groups:
        inside = (lengths >= low) & (lengths <= high)
        means: dict[Side, float | None] = {}
        for side, found in values.items():
            known = found[inside & ~np.isnan(found)]
            means[side] = float(known.mean()) if len(known) else None
        made.append(Bin(low, high, int(inside.sum()), means))
    return tuple(made)
