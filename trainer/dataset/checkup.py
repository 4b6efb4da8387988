"""Every row of a dataset, read once: what is wrong, how often, and what helps. Needs no tokenizer and little memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from trainer.dataset.conversation import RowProblem
from trainer.dataset.duplicates import Twins
from trainer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_KEPT = 10_000
DROP = "drop"


class Defect(NamedTuple):
    """What is wrong with `rows` rows in the same way. `field` has an ellipsis in place of each number.

    `helps`: what can be done, by name: the repairs that may mend such rows (see ingest.repair), and last to drop them.
    """

    code: str
    field: str
    rows: int
    first: RowProblem
    helps: tuple[str, ...]


@dataclass(frozen=True)
class Checkup:
    """The state of a dataset. `rows` is `usable` and all rows with a problem, of which `problems` keeps the first.

    `broken` says why the file could not be read to its end, `complete` is False also when the check was stopped.
    `pictures` counts the pictures and videos that were looked at. `short` are rows with answers of one word at most,
    `scripts` the letters of each script (language.SCRIPTS).
    """

    dataset: str
    rows: int
    usable: int
    problems: tuple[RowProblem, ...]
    defects: tuple[Defect, ...]
    encoding: str
    kind: str
    bytes: int
    pictures: int
    duplicates: Twins
    short: int
    scripts: Mapping[str, int]
    broken: UserError | None = None
    complete: bool = True

    @property
    def ok(self) -> bool:
        """Whether every row can be used."""
        return self.complete and self.broken is None and self.usable == self.rows
