"""Rows that say the same: exactly, nearly, or in training and evaluation alike.

Rows are remembered by numbers, not by their texts: eight bytes for what a row says, eight for what is left of it when
case, width and blanks do not count. Near-duplicates are looked for among the first rows only (see `near.py`).
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from trainer.dataset.conversation import Conversation, Media

MOST_SHOWN = 20


class Place(NamedTuple):
    """Where a row stands."""

    dataset: str
    number: int
    file: str = ""


class Twin(NamedTuple):
    """A row, and the row that it repeats."""

    row: Place
    of: Place


class Twins(NamedTuple):
    """`rows` rows repeat one before them; the first of them by name. `looked_at`: among so many rows."""

    rows: int
    first: tuple[Twin, ...]
    looked_at: int


class Overlap(NamedTuple):
    """`rows` rows of evaluation say what a row of training says, too; the first of them, each with its twin there."""

    rows: int
    first: tuple[Twin, ...]


class Places:
    """Where rows stand, by the order in which they were added: a few bytes for each."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._homes = array("H")
        self._names: dict[tuple[str, str], int] = {}

    def add(self, dataset: str, number: int, file: str = "") -> None:
        home = self._names.setdefault((dataset, file), len(self._names))
        self._numbers.append(number)
        self._homes.append(min(home, 0xFFFF))

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row: int) -> Place:
        dataset, file = list(self._names)[self._homes[row]]
        return Place(dataset, self._numbers[row], file)


def identity(conversation: Conversation) -> int:
    """A number that two conversations share when they say the same with the same pictures (else once in 2^64)."""
    return number_of(_encoded("\x1e".join(_words(conversation))))


def likeness(conversation: Conversation) -> int:
    """As `identity`, where case, width of signs and blanks make no difference."""
    return number_of(_encoded(normal("\x1e".join(_words(conversation)))))


def normal(text: str) -> str:
    """The text in lower case, in compatible signs, and with single blanks."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def said(conversation: Conversation) -> str:
    """What both sides say, without the system prompt, which many rows share."""
    return "\n".join(each.text for each in conversation.messages)


def _words(conversation: Conversation) -> Iterator[str]:
    yield conversation.system
    yield conversation.tools
    for message in conversation.messages:
        yield message.role
        yield message.thinking
        for call in message.calls:
            yield f"{call.name} {call.arguments}"
        for part in message.parts:
            yield _medium(part) if isinstance(part, Media) else part.text


def _medium(media: Media) -> str:
    if media.path is not None:
        return f"\x1d{media.path}"
    if media.data is not None:
        return f"\x1d{blake2b(media.data, digest_size=8).hexdigest()}"
    return "".join(map(_medium, media.frames))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def number_of(data: bytes) -> int:
    """A number below 2^64 for some bytes."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def find_twins(numbers: Sequence[int], rows: Iterable[int], places: Places) -> Twins:
    """Which of `rows` have the number of one before them among `rows`."""
    import numpy as np

    order = np.unique(np.fromiter(rows, dtype=np.int64))
    given = np.asarray(numbers, dtype=np.uint64)[order]
    _, first, inverse = np.unique(given, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(given)))
    shown = tuple(
        Twin(places[int(order[each])], places[int(order[first[inverse[each]]])])
        for each in again[:MOST_SHOWN]
    )
    return Twins(len(again), shown, len(order))


def find_overlap(
    numbers: Sequence[int], train: Iterable[int], evaluation: Iterable[int], places: Places
) -> Overlap:
    """Which rows of `evaluation` have the number of a row of `train`."""
    import numpy as np

    known = np.asarray(numbers, dtype=np.uint64)
    learned, held = (np.unique(np.fromiter(rows, dtype=np.int64)) for rows in (train, evaluation))
    values, first = np.unique(known[learned], return_index=True)
    found = np.searchsorted(values, known[held])
    found[found == len(values)] = 0
    again = np.flatnonzero(values[found] == known[held]) if len(values) else np.array([], dtype=np.int64)
    shown = tuple(
        Twin(places[int(held[each])], places[int(learned[first[found[each]]])]) for each in again[:MOST_SHOWN]
    )
    return Overlap(len(again), shown)
