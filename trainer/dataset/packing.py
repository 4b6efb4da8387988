"""Which rows share a place of a batch when several are packed into one, from their lengths alone."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Best-fit decreasing: the longest rows first, each into the fullest place that still has room for it.

    Each place is a list of rows (their positions in `lengths`). A row longer than `capacity` gets a place of its own.
    The order is that of the places' making, so it depends on the rows alone.
    """
    places: list[list[int]] = []
    room: dict[int, list[int]] = {}
    # Bit n is set when a place has room for n tokens: finding the fullest one is two operations on a long number.
    free = 0
    for row in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        length = lengths[row]
        fitting = free >> length
        if fitting:
            left = length + (fitting & -fitting).bit_length() - 1
            place = heapq.heappop(room[left])
            if not room[left]:
                free ^= 1 << left
            places[place].append(row)
        else:
            place, left = len(places), max(capacity, length)
            places.append([row])
        rest = left - length
        heapq.heappush(room.setdefault(rest, []), place)
        free |= 1 << rest
    return places


def fit_in_order(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Neighbours together, as many as there is room for, so that the rows stay in their order."""
    places: list[list[int]] = []
    left = 0
    for row, length in enumerate(lengths):
        if not places or length > left:
            places.append([])
            left = capacity
        places[-1].append(row)
        left -= length
    return places
