"""In which order the rows of several datasets are trained: one dataset after another, or taking turns.

Taking turns chooses the same rows in the same order as `datasets.interleave_datasets` does with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, cycle
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.options import DataOptions

# So many sources are drawn at once: the order of the random numbers depends on it, and `datasets` draws as many.
DRAWN_AT_ONCE = 1000

Element = TypeVar("Element")
Places = NDArray[np.int64]


class Mixing(NamedTuple):
    """How datasets are put together; `shares` is empty where they take turns evenly, else it adds up to 1."""

    strategy: str
    shares: tuple[float, ...]
    seed: int

    @classmethod
    def of(cls, data: DataOptions, seed: int, datasets: int) -> Mixing:
        """What the options say about this many datasets; one alone has nobody to take turns with."""
        if datasets < 2 or data.mix_strategy == "concat":
            return cls("concat", (), seed)
        numbers = [float(each) for each in data.interleave_probs]
        return cls(data.mix_strategy, tuple(each / sum(numbers) for each in numbers), seed)


def mix(lengths: Sequence[int], mixing: Mixing) -> Places:
    """The rows in their order, shape (rows, 2): which dataset, and the place in it, from 0.

    `lengths` are the numbers of usable rows. A dataset without any, or with a share of 0, takes no turn.
    """
    if mixing.strategy == "concat":
        sources = np.repeat(np.arange(len(lengths)), lengths)
    else:
        shares = mixing.shares or [1.0] * len(lengths)
        able = [each for each, length in enumerate(lengths) if length and shares[each] > 0]
        if not able:
            return np.empty((0, 2), dtype=np.int64)
        own = np.array([lengths[each] for each in able])
        turns = _drawn(own, mixing, able) if mixing.shares else _rounds(own, mixing.strategy)
        sources = np.array(able)[turns]
    found = np.empty((len(sources), 2), dtype=np.int64)
    found[:, 0] = sources
    for source, length in enumerate(lengths):
        turns_of = np.flatnonzero(sources == source)
        found[turns_of, 1] = np.arange(len(turns_of)) % max(length, 1)
    return found


def _rounds(lengths: NDArray[np.int64], strategy: str) -> NDArray[np.int64]:
    """Each dataset in turn, in whole rounds."""
    rounds = int(lengths.min() if strategy == "interleave_under" else lengths.max())
    takes_part = np.ones((rounds, len(lengths)), dtype=bool)
    if strategy == "interleave_once":
        takes_part = np.arange(rounds)[:, None] < lengths[None]
    return np.nonzero(takes_part)[1]


def _drawn(lengths: NDArray[np.int64], mixing: Mixing, able: Sequence[int]) -> NDArray[np.int64]:
    """A dataset drawn for each row, until the first or the last of them is used up."""
    enough = np.any if mixing.strategy == "interleave_under" else np.all
    draws = _draws(mixing, len(mixing.shares))
    drawn: list[int] = []
    counts = np.zeros(len(lengths), dtype=np.int64)
    place = {source: index for index, source in enumerate(able)}
    while not enough(counts >= lengths):
        drawn.extend(place[each] for each in next(draws) if each in place)
        counts = np.bincount(drawn, minlength=len(lengths))
    turns = np.array(drawn, dtype=np.int64)
    used_up = []
    for source, length in enumerate(lengths):
        turns_of = np.flatnonzero(turns == source)
        if len(turns_of) >= length:
            used_up.append(int(turns_of[length - 1]))
        if mixing.strategy == "interleave_once":
            turns[turns_of[length:]] = -1
    end = min(used_up) if mixing.strategy == "interleave_under" else max(used_up)
    kept = turns[: end + 1]
    return kept[kept >= 0]


def _draws(mixing: Mixing, count: int) -> Iterator[list[int]]:
    chance = np.random.default_rng(mixing.seed)
    while True:
        yield chance.choice(count, size=DRAWN_AT_ONCE, p=mixing.shares).tolist()


def mix_streams(sources: Sequence[Callable[[], Iterable[Element]]], mixing: Mixing) -> Iterator[Element]:
    """As `mix`, for datasets whose lengths nobody knows: each call of a source begins it anew.

    Evenly taken turns end within the round in which the stopping rule is met.
    """
    if mixing.strategy == "concat":
        yield from chain.from_iterable(source() for source in sources)
        return
    shares = mixing.shares or (1.0,) * len(sources)
    readers = {place: _Ahead(sources[place]) for place in range(len(sources)) if shares[place] > 0}
    readers = {place: reader for place, reader in readers.items() if reader.more}
    ended: set[int] = set()
    enough = min(1, len(readers)) if mixing.strategy == "interleave_under" else len(readers)
    order: Iterator[int] = cycle(range(len(sources)))
    if mixing.shares:
        order = chain.from_iterable(_draws(mixing, len(sources)))
    while len(ended) < enough:
        source = next(order)
        if source not in readers or (source in ended and mixing.strategy == "interleave_once"):
            continue
        reader = readers[source]
        yield reader.take()
        if not reader.more:
            ended.add(source)
            reader.begin()


class _Ahead(Generic[Element]):
    """A source that knows whether there is more, because it is one ahead."""

    def __init__(self, source: Callable[[], Iterable[Element]]) -> None:
        self._source = source
        self.begin()

    def begin(self) -> None:
        self._rest = iter(self._source())
        self._next = list(self._one())

    def _one(self) -> Iterator[Element]:
        for each in self._rest:
            yield each
            return

    @property
    def more(self) -> bool:
        return bool(self._next)

    def take(self) -> Element:
        taken = self._next.pop()
        self._next = list(self._one())
        return taken
