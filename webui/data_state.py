"""What a page shows of the data drawer, and what can be pressed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.register import Registered
from trainer.dataset.ingest.samples import Sample
from trainer.dataset.ingest.shape import Shape
from trainer.dataset.ingest.task import Progress
from trainer.errors import UserError

Step = Literal["shelf", "columns", "rows"]


class Press(NamedTuple):
    """What was pressed, on which thing, and what was chosen or typed there. All of it comes from a page."""

    act: str
    id: str = ""
    value: str = ""


@dataclass(frozen=True)
class Drawer:
    """What one page shows of the drawer. With a `token` a dropped file is in hand, else the list of datasets is shown.

    `replacing` is the dataset that the file in hand was the original of, `kind` and `page` the defects that are shown in
    full, `asking` and `renaming` the dataset in question, `registered` what has just become a dataset.
    """

    token: str = ""
    step: Step = "shelf"
    plan: Plan | None = None
    shape: Shape | None = None
    samples: tuple[Sample, ...] = ()
    name: str = ""
    replacing: str = ""
    kind: str = ""
    page: int = 1
    asking: str = ""
    renaming: str = ""
    registered: Registered | None = None
    lost: bool = False
    trouble: UserError | None = None
    acts: int = 0


class Work(NamedTuple):
    """What is being done with the file in hand, how far it is, and the seconds it has taken."""

    what: Literal["check", "register"]
    progress: Progress
    seconds: float
