"""The rows of an evaluation: an index of numbers in memory, the texts in their file until somebody looks at them."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import UserError
from trainer.evaluate.finder import Finder
from trainer.evaluate.lines import difference, own_score, read_line
from trainer.evaluate.shown import SIDES, Counts, Side, TablePage, TableRow, Wish, pick_main

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
# What differs by less is equal, as in the verdict (trainer/evaluate/compare.py).
EQUAL = 1e-6
SEARCHES = 16
_FACTS = ("offset", "size", "row", "number", "dataset", "lengths", "changed", "cut", "labelled", "compared")


@dataclass(frozen=True)
class Columns:
    """What is known of all rows, each array of the shape (rows,), in dataset order.

    `place` is the row's place in the file. `key` is the same in two runs for the same number, question and reference of
    a dataset. `lengths` are the reference's tokens. `scores[side][name]` is NaN where a row has none.
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

    def __len__(self) -> int:
        return len(self.row)

    def of(self, side: Side, score: str) -> Floats:
        """A score of a side; NaN for all rows where nothing has it."""
        found = self.scores[side].get(score)
        return np.full(len(self), np.nan) if found is None else found

    def difference(self, score: str) -> Floats:
        """Tuned less base, exactly 0 for what is equal but for rounding; NaN where one of them has no score."""
        found: Floats = self.of("tuned", score) - self.of("base", score)
        found[np.abs(found) < EQUAL] = 0.0
        return found


class Table:
    """The rows of one rows.jsonl, which may still grow. Every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._identity, self._read = 0, 0
        self._facts = {name: array("q") for name in _FACTS}
        self._keys = array("Q")
        self._dead: set[int] = set()
        self._at: dict[int, int] = {}
        self._datasets: dict[str, int] = {}
        self._scores: dict[Side, dict[str, array[float]]] = {side: {} for side in SIDES}
        self._names: dict[str, None] = {}
        self._finder = Finder()
        self._found: OrderedDict[str, list[int]] = OrderedDict()
        self._columns: Columns | None = None

    # Reading

    def columns(self) -> Columns:
        """All rows as they are now. Raises UserError when the file cannot be read."""
        with self._lock:
            try:
                self._refresh()
            except FileNotFoundError:
                self._reset()
            except OSError as error:
                raise UserError("results_unreadable", reason=error.strerror or str(error)) from error
            if self._columns is None:
                self._columns = self._gather()
            return self._columns

    def _refresh(self) -> None:
        stat = self.path.stat()
        if stat.st_ino != self._identity or stat.st_size < self._read:
            self._reset()
            self._identity = stat.st_ino
        if stat.st_size == self._read:
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                # A line without its end is still being written.
                if not line.endswith(b"\n"):
                    break
                row = read_line(line)
                if row is not None:
                    self._add(row, self._read, len(line))
                self._read += len(line)

    def _add(self, row: TableRow, offset: int, size: int) -> None:
        place = len(self._keys)
        if row.row in self._at:
            # Evaluated again after a crash: the later one counts.
            self._dead.add(self._at[row.row])
        self._at[row.row] = place
        facts = (
            offset, size, row.row, row.number, self._datasets.setdefault(row.dataset, len(self._datasets)),
            row.label_tokens, row.base is not None and row.base != row.tuned, any(row.cut.values()),
            row.label is not None, row.base is not None,
        )  # fmt: skip
        for name, value in zip(_FACTS, facts, strict=True):
            self._facts[name].append(value)
        self._keys.append(_key(row))
        for side, scores in row.scores.items():
            for name in scores:
                self._names.setdefault(name)
                held = self._scores[side].setdefault(name, array("d"))
                held.extend([np.nan] * (place - len(held)))
                held.append(own_score(row, side, name))
        self._finder.add(row.system, row.question, row.label, row.tuned, row.base)
        self._columns = None
        self._found.clear()

    def _gather(self) -> Columns:
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
            names=tuple(self._names),
            datasets=tuple(self._datasets),
            **{name: np.array(held, dtype=np.int64)[order] for name, held in self._facts.items()},
        )

    # Asking

    def select(self, wish: Wish, main: str = "") -> Places:
        """The indices into `columns()` of the rows that are wished, in the wished order. Raises UserError as `columns`.

        `main` is the score of a wish that names none.
        """
        with self._lock:
            columns = self.columns()
            score = pick_main(columns.names, wish.score or main)
            keep = _kept(columns, wish.only, score)
            if wish.dataset:
                number = self._datasets.get(wish.dataset, -1)
                keep &= columns.dataset == number
            if wish.search.strip():
                keep &= np.isin(columns.place, self._search(wish.search))
            found: Places = np.flatnonzero(keep)
            return _ordered(columns, found, wish.order, score)

    def page(self, wish: Wish, number: int = 1, size: int = 20, main: str = "") -> TablePage:
        """Page `number` (from 1; the nearest that there is) of what is wished."""
        with self._lock:
            found, columns = self.select(wish, main), self.columns()
            pages = max(1, -(-len(found) // size))
            number = min(max(1, number), pages)
            shown = found[(number - 1) * size : number * size]
            score = pick_main(columns.names, wish.score or main)
            rows = tuple(self.rows(shown, score))
        return TablePage(rows, number, pages, len(found), len(columns))

    def rows(self, indices: Sequence[int] | Places, score: str = "") -> Iterator[TableRow]:
        """The rows at these indices into `columns()`, read from the file; `score` is that of their difference."""
        columns = self.columns()
        if not len(indices):
            return
        with self.path.open("rb") as file:
            for index in indices:
                file.seek(int(columns.offset[index]))
                row = read_line(file.read(int(columns.size[index])))
                if row is not None:
                    yield replace(row, difference=difference(row, score))

    def row(self, row: int, main: str = "") -> TableRow:
        """The row of this number. Raises UserError when there is none."""
        with self._lock:
            columns = self.columns()
            # The number comes from a page, and may be larger than any array takes.
            found = np.flatnonzero(columns.row == min(max(-1, row), 1 << 62))
            for each in self.rows(found, pick_main(columns.names, main)):
                return each
        raise UserError("results_no_row", row=row)

    def counts(self, main: str = "") -> Counts:
        """How many rows there are of each kind."""
        columns = self.columns()
        score = pick_main(columns.names, main)
        kinds = ("changed", "better", "equal", "worse", "cut", "unlabelled")
        return Counts(
            done=len(columns),
            compared=bool(columns.compared.any()),
            datasets=columns.datasets,
            scores=columns.names,
            main=score,
            **{kind: int(_kept(columns, kind, score).sum()) for kind in kinds},
        )

    def means(self) -> dict[Side, dict[str, float]]:
        """The means of all scores, over the rows that have them."""
        columns = self.columns()
        return {
            side: {name: float(np.nanmean(held)) for name, held in each.items() if not np.isnan(held).all()}
            for side, each in columns.scores.items()
            if each
        }

    def _search(self, search: str) -> list[int]:
        if search not in self._found:
            self._found[search] = self._finder.find(search)
            if len(self._found) > SEARCHES:
                self._found.popitem(last=False)
        return self._found[search]


def _kept(columns: Columns, only: str, score: str) -> NDArray[np.bool_]:
    if only in ("changed", "cut"):
        return np.asarray(getattr(columns, only) > 0)
    if only == "unlabelled":
        return np.asarray(columns.labelled == 0)
    if only in ("better", "equal", "worse"):
        found = columns.difference(score)
        return np.asarray({"better": found > 0, "equal": found == 0, "worse": found < 0}[only])
    return np.ones(len(columns), dtype=bool)


def _ordered(columns: Columns, found: Places, order: str, score: str) -> Places:
    """Rows without a score come last."""
    if order == "dataset":
        return found
    compared = bool(columns.compared.any())
    by = (columns.difference(score) if compared else columns.of("tuned", score))[found]
    ranked: Places = found[np.argsort(by if order == "worse" else -by, kind="stable")]
    return ranked


def _key(row: TableRow) -> int:
    """A number that is the same for the same row of the same dataset, and hardly for any other."""
    said: Any = (row.dataset, row.number, row.system, row.question, row.label)
    return int.from_bytes(
        hashlib.blake2b(repr(said).encode("utf-8", "replace"), digest_size=8).digest(), "little"
    )
