"""What evaluations found, for the page: rows, differences, exports, corrections. Everything is asked for by ids."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from trainer.dataset.conversation import Media
from trainer.dataset.ingest.archive import VIDEOS
from trainer.dataset.ingest.cupboard import Cupboard
from trainer.dataset.ingest.naming import propose_name
from trainer.errors import UserError
from trainer.evaluate.paper import REPORT_WORDS, ReportText
from trainer.evaluate.shown import (
    LOSS,
    SIDES,
    Bin,
    Change,
    Corrected,
    Counts,
    Marks,
    Overlay,
    Piece,
    Series,
    Side,
    TablePage,
    TableRow,
    Wish,
)
from trainer.evaluate.words import differences, marks, pieces
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.jobs.place import locate_data
from trainer.jobs.shelf import Shelf
from trainer.jobs.staging import own_data
from trainer.jobs.usage import no_new_runs, runs_with

if TYPE_CHECKING:
    from trainer.evaluate.table import Table

__all__ = [
    "LOSS", "REPORT_WORDS", "SIDES", "Bin", "Change", "Corrected", "Counts", "Marks", "Overlay", "Piece", "ReportText", "Results",
    "Series", "Side", "TablePage", "TableRow", "Wish", "differences", "pieces",
]  # fmt: skip

ROWS, REPORT = "rows.jsonl", "report.json"
What = Literal["csv", "jsonl", "html"]
TABLES, THUMBNAILS, FILES = 6, 256, 8
CORRECTIONS = "corrections"
THUMBNAIL = 160


class Results:
    """The evaluations of one workspace. Every method may be called from any thread.

    Raises UserError for a run that is not there; a run without rows is an empty table.
    """

    def __init__(self, jobs: Jobs, shelf: Shelf) -> None:
        self._jobs, self._shelf = jobs, shelf
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, Table] = OrderedDict()
        self._thumbnails: OrderedDict[tuple[str, int, int], bytes | None] = OrderedDict()
        self._place: Path | None = None

    # Rows

    def page(self, run: str, wish: Wish | None = None, number: int = 1, size: int = 20) -> TablePage:
        """Page `number` (from 1; the nearest that there is) of the rows that are wished, at once.

        Of a large run that is looked at for the first time there are the first rows only; its `read` says so.
        """
        return self._table(run).page(wish or Wish(), number, size, self._main(run))

    def row(self, run: str, row: int) -> TableRow:
        """One row. Raises UserError when there is none of this number."""
        return self._table(run).row(row, self._main(run))

    def counts(self, run: str, score: str = "") -> Counts:
        """How many rows there are of each kind by now; better, equal and worse are those of `score`, or of the main one."""
        return self._table(run).counts(score or self._main(run))

    def wait(self, run: str, seconds: float) -> None:
        """Returns once all rows of a run are read, at the latest after so long."""
        self._table(run).wait(seconds)

    def means(self, run: str) -> dict[Side, dict[str, float]]:
        """The means of all scores over the rows so far."""
        return self._table(run).means()

    def report(self, run: str) -> dict[str, Any] | None:
        """What the run says at its end (report.json); None before."""
        with suppress(OSError, ValueError):
            found = json.loads((self._jobs.get(run).folder.path / REPORT).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None

    def marks(self, row: TableRow, against: str = "label") -> Marks:
        """The texts of a row with what differs, against the reference (`label`) or the other answer (`base`)."""
        return marks(row, against)

    # Pictures

    def picture(self, run: str, row: int, place: int, side: int = THUMBNAIL) -> bytes | None:
        """A JPEG that fits a square of `side` pixels; None for one that cannot be shown (any more).

        Raises UserError for a row that is not there.
        """
        media = self.row(run, row).media
        return self._thumbnail(media[place], side) if 0 <= place < len(media) else None

    def media(self, run: str, row: int) -> tuple[Media, ...]:
        """The pictures and videos of a row that are still there."""
        return tuple(_medium(name) for name in self.row(run, row).media if Path(name).is_file())

    # Charts

    def by_length(self, run: str, score: str = "", most: int = 8) -> tuple[Bin, ...]:
        """The means of a score (or the main one) by the length of the reference, in at most `most` groups."""
        from trainer.evaluate.lengths import by_length

        table = self._table(run)
        return by_length(table.columns(), table.counts(score or self._main(run)).main, most)

    def overlay(self, runs: Sequence[str], score: str = "") -> Overlay:
        """Several runs over the rows that they have in common. Raises UserError (field "runs") when that makes no sense."""
        from trainer.evaluate.overlay import MOST_RUNS, Candidate, lay_over

        chosen = list(dict.fromkeys(runs))
        if len(chosen) > MOST_RUNS:
            raise UserError("overlay_many", field="runs", count=len(chosen), most=MOST_RUNS)
        found = {run: Candidate(*_names(self._jobs.get(run)), self._table(run).columns()) for run in chosen}
        main = self._main(chosen[0]) if chosen else ""
        return lay_over(found, score or main)

    # Files

    def export(self, run: str, what: What, wish: Wish | None = None, text: ReportText | None = None) -> Path:
        """A file with the rows that are wished, in a temporary folder; `text` is what an HTML report says.

        Raises UserError without a row, and when the file cannot be written.
        """
        from trainer.evaluate import export, paper
        from trainer.evaluate.shown import pick_main

        table, wish, main = self._table(run), wish or Wish(), self._main(run)
        chosen, columns = table.select(wish, main), table.columns()
        if not len(chosen):
            raise UserError("results_empty")
        score = pick_main(columns.names, wish.score or main)
        sides = [
            side for side in SIDES if columns.scores[side] or (side == "tuned" or columns.compared.any())
        ]
        try:
            path = self._new_file(f"{PurePath(run).name}.{what}")
            if what == "csv":
                export.write_csv(path, table.rows(chosen, score), sides, columns.names)
            elif what == "jsonl":
                export.write_jsonl(path, table.rows(chosen, score))
            elif what == "html" and text is not None:
                shown = chosen[: paper.MOST_ROWS]
                findings = paper.Findings(
                    table.means(),
                    self.by_length(run, score),
                    table.rows(shown, score),
                    len(shown),
                    len(chosen),
                    score,
                )
                with path.open("w", encoding="utf-8", errors="replace") as file:
                    file.writelines(paper.paper(findings, text, self._pictures))
            else:
                raise ValueError(
                    f"no export {what!r} without words" if what == "html" else f"no export {what!r}"
                )
        except OSError as error:
            raise UserError("results_not_written", reason=error.strerror or str(error)) from error
        return path

    # Corrections

    def own_datasets(self) -> tuple[str, ...]:
        """Datasets that take a corrected answer: those that were registered here and hold answers, not pairs."""
        found = []
        for each in self._shelf.list():
            recipe = self._shelf.recipe(each.name) if each.ours and each.problem is None else None
            if recipe and not recipe.mapping.ranking:
                found.append(each.name)
        return tuple(found)

    def propose_dataset(self) -> str:
        """The dataset of corrections that there is, or a free name for one."""
        if CORRECTIONS in self.own_datasets():
            return CORRECTIONS
        return propose_name(CORRECTIONS, Cupboard(self._shelf.folder).names())

    def correct(self, run: str, row: int, answer: str, name: str) -> Corrected:
        """Adds the row, with `answer` as its answer, to a dataset of the person's, or to a new one of this name.

        Raises UserError (field "answer" or "name") when that cannot be.
        """
        from trainer.evaluate.correct import add_correction, conversation_of

        job, name = self._jobs.get(run), name.strip()
        data = job.config.data
        folder = locate_data(data.dataset_dir, self._jobs.root)
        located = job.config.with_values(dataset_dir=folder).data
        asked = conversation_of(self.row(run, row), located, job.config.model.hub)
        if self._shelf.folder != self._jobs.root / "data":
            own_data(self._jobs.root)
        cupboard = Cupboard(self._shelf.folder)
        with no_new_runs(self._jobs.root), cupboard.changing():
            using = runs_with(self._jobs.root, self._shelf.folder).get(name)
            if using:
                raise UserError("shelf_in_use", field="name", name=name, run=using[0])
            return add_correction(cupboard, name, asked, answer)

    # Behind it

    def _table(self, run: str) -> Table:
        from trainer.evaluate.table import Table

        path = self._jobs.get(run).folder.path / ROWS
        with self._lock:
            table = self._tables.pop(run, None)
            if table is None or table.path != path:
                table = Table(path)
            self._tables[run] = table
            while len(self._tables) > TABLES:
                self._tables.popitem(last=False)
            return table

    def _main(self, run: str) -> str:
        main = (self.report(run) or {}).get("main")
        return main if isinstance(main, str) else ""

    def _pictures(self, row: TableRow) -> list[bytes | None]:
        return [self._thumbnail(name, THUMBNAIL) for name in row.media]

    def _thumbnail(self, name: str, side: int) -> bytes | None:
        from trainer.dataset.chat_template import Unusable
        from trainer.dataset.media import thumbnail

        try:
            key = (name, side, Path(name).stat().st_mtime_ns)
            with self._lock:
                if key in self._thumbnails:
                    self._thumbnails.move_to_end(key)
                    return self._thumbnails[key]
            made: bytes | None = thumbnail(_medium(name), side)
        except Unusable:
            made = None
        except (OSError, ValueError):
            return None
        with self._lock:
            self._thumbnails[key] = made
            while len(self._thumbnails) > THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return made

    def _new_file(self, name: str) -> Path:
        """A new path in a folder that goes with the program; only the newest files stay."""
        with self._lock:
            if self._place is None:
                self._place = Path(tempfile.mkdtemp(prefix="tuneboard-results-"))
                weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
            old = sorted(self._place.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for each in old[: max(0, len(old) - FILES + 1)]:
                shutil.rmtree(each, ignore_errors=True)
            return Path(tempfile.mkdtemp(dir=self._place)) / name


def _medium(name: str) -> Media:
    return Media("video" if PurePath(name).suffix.lower() in VIDEOS else "image", path=Path(name))


def _names(job: Job) -> tuple[str, int | None, str]:
    """What the tuned side of a run is called, its training step, and what the base is called."""
    model = job.config.model
    base = PurePath(model.model_name_or_path).name or job.name
    if not model.adapter_name_or_path:
        return base, _step(base), base
    tuned = PurePath(model.adapter_name_or_path[-1])
    return tuned.name or job.name, _step(tuned.name), base


def _step(name: str) -> int | None:
    number = name.removeprefix("checkpoint-")
    return int(number) if number != name and number.isdigit() else None
