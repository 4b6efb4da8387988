"""Reasons to hold a run back before it starts: what would come of it, and how it is mended."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.dataset.conversation import RowProblem
from trainer.dataset.statistics import Totals
from trainer.errors import Values, tell

MOST_DROPPED = 0.2


@dataclass(frozen=True)
class Hold:
    """One reason. `field`: the option that mends it. `insist`: the person may start all the same.

    `example` is a row that shows the reason, with a sentence of its own.
    """

    code: str
    values: Values
    field: str = ""
    insist: bool = True
    example: RowProblem | None = None

    @property
    def text(self) -> str:
        """The English sentence."""
        return tell(self.code, self.values).text

    @property
    def hint(self) -> str:
        """What to do, in English."""
        return tell(self.code, self.values).hint
