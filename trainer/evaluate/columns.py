"""What is known of the rows of an evaluation without their texts: an array for each fact and each score."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.finder import Finder
from trainer.evaluate.shown import LOSS, SIDES, Side, TableRow

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
# What differs by less is equal, as in the verdict (trainer/evaluate/compare.py).
EQUAL = 1e-6
FACTS = ("offset", "size", "row", "number", "dataset", "lengths", "changed", "cut", "labelled", "compared")


@dataclass(frozen=True)
class Columns:
    """What is known of all rows, each array of the shape (rows,), in dataset order.

    `place` is the row's place in the file. `key` is the same in two runs for the same number, question and reference of
    a dataset. `lengths` are the reference's tokens. `scores[side][name]` is NaN where a row has none. `read` is the
    share of the file behind them: below 1 while a large one is being read.
    """

    place: Places
    offset: Places
    size: Places
    row: Places
    number: Places
    dataset: Places
    lengths: Places
    changed: Places
    cut: Places
    labelled: Places
    compared: Places
    key: NDArray[np.uint64]
    scores: dict[Side, dict[str, Floats]]
    names: tuple[str, ...]
    datasets: tuple[str, ...]
    read: float = 1.0

    def __len__(self) -> int:
        return len(self.row)

    def of(self, side: Side, score: str) -> Floats:
        """A score of a side; NaN for all rows where nothing has it."""
        found = self.scores[side].get(score)
        return np.full(len(self), np.nan) if found is None else found

    def difference(self, score: str) -> Floats:
        """Tuned less base, exactly 0 for what is equal but for rounding; NaN where one of them has no score.

        More is better: of the loss it is base less tuned.
        """
        found: Floats = self.of("tuned", score) - self.of("base", score)
        if score == LOSS:
            found = -found
        found[np.abs(found) < EQUAL] = 0.0
        return found


class Ledger:
    """The same of rows in the order in which they stand in their file, where more may follow; and their texts' finder."""

    def __init__(self, finder: Finder | None = None) -> None:
        self.finder = finder or Finder()
        self.datasets: dict[str, int] = {}
        self.names: dict[str, None] = {}
        self._facts = {name: array("q") for name in FACTS}
        self._keys = array("Q")
        self._scores: dict[Side, dict[str, array[float]]] = {side: {} for side in SIDES}
        self._at: dict[int, int] = {}
        self._dead: set[int] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, row: TableRow, offset: int, size: int) -> None:
        """One row more, whose line begins at `offset`. Raises OSError when the disk is full."""
        place = len(self._keys)
        self._seat(row.row, place)
        facts = (
            offset, size, row.row, row.number, self.datasets.setdefault(row.dataset, len(self.datasets)),
            row.label_tokens, row.base is not None and row.base != row.tuned, any(row.cut.values()),
            row.label is not None, "base" in row.scores,
        )  # fmt: skip
        for held, value in zip(self._facts.values(), facts, strict=True):
            held.append(value)
        self._keys.append(_key(row))
        for side, scores in row.scores.items():
            own = self._scores[side]
            for name, score in scores.items():
                known = own.get(name)
                if known is None:
                    self.names.setdefault(name)
                    known = own[name] = array("d")
                if len(known) < place:
                    known.extend([np.nan] * (place - len(known)))
                known.append(np.nan if score is None else score)
        self.finder.add(row.system, row.question, row.label, row.tuned, row.base)

    def _seat(self, row: int, place: int) -> None:
        if row in self._at:
            # Evaluated again after a crash: the later one counts.
            self._dead.add(self._at[row])
        self._at[row] = place

    def gather(self, read: float = 1.0) -> Columns:
        """All rows so far, each once, in dataset order."""
        count = len(self._keys)
        rows = np.array(self._facts["row"], dtype=np.int64)
        living = np.ones(count, dtype=bool)
        living[list(self._dead)] = False
        order = np.flatnonzero(living)
        order = order[np.argsort(rows[order], kind="stable")]

        def floats(held: array[float]) -> Floats:
            padded = np.full(count, np.nan)
            padded[: len(held)] = held
            return padded[order]

        return Columns(
            place=order,
            key=np.array(self._keys, dtype=np.uint64)[order],
            scores={
                side: {name: floats(held) for name, held in each.items()}
                for side, each in self._scores.items()
            },
            names=tuple(self.names),
            datasets=tuple(self.datasets),
            read=read,
            **{name: np.array(held, dtype=np.int64)[order] for name, held in self._facts.items()},
        )

    # Kept in a file

    def pack(self) -> dict[str, array[Any]]:
        """A copy of every array, by name: facts, "key", and "<side>/<score>" for each score."""
        held: dict[str, array[Any]] = {**self._facts, "key": self._keys}
        for side, each in self._scores.items():
            held.update({f"{side}/{name}": found for name, found in each.items()})
        return {name: found[:] for name, found in held.items()}

    @classmethod
    def unpack(
        cls, arrays: Mapping[str, array[Any]], names: list[str], datasets: list[str], finder: Finder
    ) -> Ledger:
        """The ledger that was packed. Raises ValueError or KeyError for arrays that belong to none."""
        made = cls(finder)
        made.names, made.datasets = dict.fromkeys(names), {name: at for at, name in enumerate(datasets)}
        made._facts = {name: arrays[name] for name in FACTS}
        made._keys = arrays["key"]
        count = len(made._keys)
        for name, held in arrays.items():
            side, parted, score = name.partition("/")
            if parted:
                made._scores[{each: each for each in SIDES}[side]][score] = held  # type: ignore[index]
        if any(len(held) != count for held in made._facts.values()) or len(finder) != count:
            raise ValueError("arrays of different lengths")
        for place, row in enumerate(made._facts["row"]):
            made._seat(row, place)
        return made


def _key(row: TableRow) -> int:
    """A number that is the same for the same row of the same dataset, and hardly for any other."""
    said: Any = (row.dataset, row.number, row.system, row.question, row.label)
    return int.from_bytes(
        hashlib.blake2b(repr(said).encode("utf-8", "replace"), digest_size=8).digest(), "little"
    )
