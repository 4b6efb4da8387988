"""Every row of something staged, read under a plan: how many can be used, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.files import look_into
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reading import Bench, Looked
from trainer.dataset.ingest.reason import Reason
from trainer.dataset.ingest.repair import REPAIRS
from trainer.dataset.ingest.task import Progress
from trainer.dataset.ingest.unpack import Staged
from trainer.errors import UserError

MOST_KEPT = 10_000
# How many rows pass between two looks at the wish to stop.
BREATH = 200


@dataclass(frozen=True)
class Defect:
    """A row that cannot be used, and the repairs that would mend it; none: it can only be dropped."""

    problem: RowProblem
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """All rows, each counted once. `defects` are the first 10,000, `counts` is over all of them.

    `repaired` counts the rows that each asked repair changed, `offers` those among `defects` that each repair would mend.
    """

    rows: int
    usable: int
    defects: tuple[Defect, ...]
    counts: dict[str, int]
    repaired: dict[str, int]
    offers: dict[str, int]
    encoding: str
    notes: tuple[Reason, ...] = ()

    def page(self, number: int, size: int, code: str = "") -> tuple[Defect, ...]:
        """Page `number` (from 1) of the defects, of one kind when `code` is given."""
        chosen = [each for each in self.defects if not code or each.problem.code == code]
        return tuple(chosen[(number - 1) * size : number * size])


def check(
    staged: Staged,
    plan: Plan,
    limits: Limits,
    looked: Looked | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Checked:
    """Reads every row. Raises UserError for a mapping or a file that cannot be used, and when it is stopped."""
    bench = Bench(staged, plan, limits, looked=looked)
    done = total = rows = usable = 0
    counts: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    defects: list[Defect] = []
    known = {column for column, _ in plan.mapping.roles}
    later: dict[str, None] = {}

    def note(now: int, whole: int) -> None:
        nonlocal done, total
        done, total = now, whole

    for table, item in bench.items(note):
        found = bench.find(table, item)
        rows += 1
        if isinstance(item.value, dict) and not item.value.keys() <= known:
            later.update(dict.fromkeys(str(each) for each in item.value.keys() - known))
        repaired.update(found.repairs)
        if isinstance(found.read, Row):
            usable += 1
        else:
            counts[found.read.code] += 1
            if len(defects) < MOST_KEPT:
                defects.append(Defect(found.read, bench.mended_by(found, table, tuple(REPAIRS))))
        if rows % BREATH == 0:
            tell(Progress(rows, done, total))
            if stop():
                raise UserError("ingest_stopped")
    tell(Progress(rows, total, total))
    offers = Counter(name for defect in defects for name in defect.repairs)
    return Checked(
        rows,
        usable,
        tuple(defects),
        dict(counts),
        dict(repaired),
        dict(offers),
        encoding_of(staged, bench.tables),
        (*staged.notes, *_later(later), *_elsewhere(bench.media.elsewhere)),
    )


def _later(columns: Iterable[str]) -> tuple[Reason, ...]:
    """Columns that the first rows do not have, and that nobody gave a role therefore."""
    names = list(columns)
    return (Reason("columns_later", {"names": ", ".join(name[:40] for name in names[:10])}),) if names else ()


def _elsewhere(names: Mapping[str, str]) -> tuple[Reason, ...]:
    """Media that were found although no file is called as the rows say."""
    for name, found in names.items():
        return (Reason("media_elsewhere", {"count": len(names), "name": name, "found": found}),)
    return ()


def encoding_of(staged: Staged, tables: Sequence[str]) -> str:
    """The encodings in which the tables are written; empty for kinds that have none."""
    kinds = dict.fromkeys(look_into(staged.files / name).encoding for name in tables)
    return ", ".join(kind for kind in kinds if kind)
