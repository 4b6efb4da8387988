"""The rows of an evaluation: what is known of them in memory, their texts in the file until somebody looks at them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.errors import UserError
from trainer.evaluate.columns import Columns, Places
from trainer.evaluate.kept import keep
from trainer.evaluate.lines import difference, read_line
from trainer.evaluate.reading import Reading
from trainer.evaluate.shown import LOSS, Counts, Side, TablePage, TableRow, Wish, pick_main

SEARCHES = 16
# Whoever asks reads so long by himself; what is left is read beside, in parts between which others may ask.
FIRST_S, PART_S = 0.25, 0.05
_PAUSE_S = 0.001


class Table:
    """The rows of one rows.jsonl, which may still grow. Every method may be called from any thread.

    Methods that say so answer at once, from the rows that are read by then: `read` says their share of the file.
    All others wait until a large file is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._reading = Reading(path)
        # Set while nobody reads on beside those who ask.
        self._idle = threading.Event()
        self._idle.set()
        self._columns: Columns | None = None
        self._of: object = None
        self._found: OrderedDict[str, list[int]] = OrderedDict()

    # Reading

    def columns(self, *, whole: bool = True) -> Columns:
        """All rows as they are now; unless `whole` at once. Raises UserError when the file cannot be read."""
        while True:
            with self._lock:
                is_whole = self._advance()
                if is_whole or not whole:
                    return self._gathered()
            self.wait()

    def wait(self, seconds: float | None = None) -> None:
        """Waits until all rows are read, at most so long."""
        self._idle.wait(seconds)

    def _advance(self) -> bool:
        """Reads on, unless that is being done already; whether all is read."""
        if not self._idle.is_set():
            return False
        try:
            whole = self._reading.advance(FIRST_S)
        except FileNotFoundError:
            self._reading.forget()
            return True
        except OSError as error:
            raise UserError("results_unreadable", reason=error.strerror or str(error)) from error
        if not whole or self._reading.is_to_keep:
            self._idle.clear()
            threading.Thread(target=self._work, name="rows", daemon=True).start()
        return whole

    def _work(self) -> None:
        """Reads to the end, and keeps what was read in a file."""
        copy = None
        try:
            if doubtful := self._reading.doubtful:
                is_his = doubtful.is_of(self.path)
                with self._lock:
                    self._reading.settle(doubtful if is_his else None)
            while True:
                with self._lock:
                    if self._reading.advance(PART_S):
                        copy = self._reading.copy_to_keep()
                        break
                # A lock goes to whoever is awake: the others have to be let in.
                time.sleep(_PAUSE_S)
        except OSError:
            # Whoever asks next is told.
            pass
        finally:
            self._idle.set()
        if copy:
            # Whoever looked may be gone meanwhile, and with the table its file of texts is closed.
            with suppress(ValueError):
                keep(self.path, copy)

    def _gathered(self) -> Columns:
        ledger, share = self._reading.ledger, self._reading.share
        state = (ledger, len(ledger), share)
        if self._columns is None or self._of != state:
            self._columns, self._of = ledger.gather(share), state
            self._found.clear()
        return self._columns

    # Asking

    def select(self, wish: Wish, main: str = "") -> Places:
        """The indices into `columns()` of the rows that are wished, in the wished order. Raises UserError as `columns`.

        `main` is the score of a wish that names none.
        """
        return self._select(self.columns(), wish, main)

    def page(self, wish: Wish, number: int = 1, size: int = 20, main: str = "") -> TablePage:
        """Page `number` (from 1; the nearest that there is) of what is wished, at once."""
        columns = self.columns(whole=False)
        found = self._select(columns, wish, main)
        pages = max(1, -(-len(found) // size))
        number = min(max(1, number), pages)
        shown = found[(number - 1) * size : number * size]
        score = pick_main(columns.names, wish.score or main)
        rows = tuple(self._rows(columns, shown, score))
        return TablePage(rows, number, pages, len(found), len(columns), columns.read)

    def rows(self, indices: Sequence[int] | Places, score: str = "") -> Iterator[TableRow]:
        """The rows at these indices into `columns()`, read from the file; `score` is that of their difference."""
        return self._rows(self.columns(), indices, score)

    def _rows(self, columns: Columns, indices: Sequence[int] | Places, score: str) -> Iterator[TableRow]:
        if not len(indices):
            return
        with self.path.open("rb") as file:
            for index in indices:
                file.seek(int(columns.offset[index]))
                row = read_line(file.read(int(columns.size[index])))
                if row is not None:
                    yield replace(row, difference=difference(row, score))

    def row(self, row: int, main: str = "") -> TableRow:
        """The row of this number, at once where it is read already. Raises UserError when there is none."""
        for whole in (False, True):
            columns = self.columns(whole=whole)
            # The number comes from a page, and may be larger than any array takes.
            found = np.flatnonzero(columns.row == min(max(-1, row), 1 << 62))
            for each in self._rows(columns, found, pick_main(columns.names, main)):
                return each
        raise UserError("results_no_row", row=row)

    def counts(self, main: str = "") -> Counts:
        """How many rows there are of each kind, at once."""
        columns = self.columns(whole=False)
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

    def _select(self, columns: Columns, wish: Wish, main: str) -> Places:
        score = pick_main(columns.names, wish.score or main)
        keep = _kept(columns, wish.only, score)
        if wish.dataset:
            number = columns.datasets.index(wish.dataset) if wish.dataset in columns.datasets else -1
            keep &= columns.dataset == number
        if wish.search.strip():
            having = self._search(wish.search)
            keep &= having[np.minimum(columns.place, len(having) - 1)]
        found: Places = np.flatnonzero(keep)
        return _ordered(columns, found, wish.order, score)

    def _search(self, search: str) -> NDArray[np.bool_]:
        """Whether each place of the file has it, and one more."""
        with self._lock:
            ledger = self._reading.ledger
            if search not in self._found:
                self._found[search] = ledger.finder.find(search)
                if len(self._found) > SEARCHES:
                    self._found.popitem(last=False)
            having = np.zeros(len(ledger) + 1, dtype=bool)
            having[self._found[search]] = True
            return having


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
    alone = columns.of("tuned", score)
    by = (columns.difference(score) if compared else -alone if score == LOSS else alone)[found]
    ranked: Places = found[np.argsort(by if order == "worse" else -by, kind="stable")]
    return ranked
