"""What is shown of an evaluation's rows: plain values, without numpy, so that a page starts quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast, get_args

Side = Literal["base", "tuned"]
SIDES: tuple[Side, ...] = get_args(Side)
Order = Literal["dataset", "worse", "better"]
Only = Literal["", "changed", "better", "equal", "worse", "cut", "unlabelled"]
# Which score speaks for a run where its report does not say it: the one of the narrowest kind that its rows have.
MAIN = ("field-f1", "accuracy", "rouge-l")
# What stands for a score where rows are only measured. Less of it is better.
LOSS = "loss"
LONGEST_SEARCH = 400


@dataclass(frozen=True)
class Wish:
    """Which rows a person wants to see, and in which order.

    `order`: by the difference between tuned and base in `score` (empty: the run's main one), or by the score itself
    where only one side was asked. `search`: all its words stand somewhere in the row, large or small.
    """

    order: Order = "dataset"
    only: Only = ""
    search: str = ""
    score: str = ""
    dataset: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wish:
        """The wish in values that came from a page; what cannot be one counts as not wished."""
        order, only = given.get("order"), given.get("only")
        texts = {
            name: value.encode(errors="replace").decode()[:LONGEST_SEARCH]
            for name in ("search", "score", "dataset")
            if isinstance(value := given.get(name), str)
        }
        return cls(
            cast(Order, order) if order in get_args(Order) else "dataset",
            cast(Only, only) if only in get_args(Only) else "",
            **texts,
        )


@dataclass(frozen=True)
class TableRow:
    """One evaluated row. `row` is its number in the run from 0, `number` the one in its dataset's file from 1.

    `base` is None where the base was not asked, and then the mappings have only "tuned". Scores are 0 to 100, None for
    a row without a reference. Rows that nobody has `answered` have the loss in place of scores. `cut`: the answer ended at max_new_tokens. `media` are files on this machine and not for
    the page, which asks for `pictures` by their places.
    """

    row: int
    dataset: str
    number: int
    system: str
    question: str
    turns: int
    prompt: str
    label: str | None
    tuned: str
    base: str | None
    scores: dict[Side, dict[str, float | None]]
    loss: dict[Side, float | None]
    tokens: dict[Side, int]
    cut: dict[Side, bool]
    label_tokens: int = 0
    difference: float | None = None
    answered: bool = True
    media: tuple[str, ...] = field(default=(), repr=False)

    @property
    def pictures(self) -> int:
        """How many pictures and videos the row shows."""
        return len(self.media)


@dataclass(frozen=True)
class TablePage:
    """Some rows. `found` are those that the wish finds, `done` all that there are so far.

    `read` is the share of the file that is read: below 1 there are more rows, and soon known.
    """

    rows: tuple[TableRow, ...]
    number: int
    pages: int
    found: int
    done: int
    read: float = 1.0


@dataclass(frozen=True)
class Counts:
    """How many rows there are of each kind; `compared`: base and tuned were both asked. `main` is the score that counts."""

    done: int = 0
    changed: int = 0
    better: int = 0
    equal: int = 0
    worse: int = 0
    cut: int = 0
    unlabelled: int = 0
    compared: bool = False
    datasets: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    main: str = ""


class Bin(NamedTuple):
    """Rows whose reference has `low` to `high` tokens, both included; `means` is None for a side without a score."""

    low: int
    high: int
    rows: int
    means: dict[Side, float | None]


class Piece(NamedTuple):
    """A part of a text; `same` is false where the other text has nothing like it."""

    text: str
    same: bool


class Change(NamedTuple):
    """A part of two texts that were put together."""

    text: str
    kind: Literal["same", "removed", "added"]


class Marks(NamedTuple):
    """The texts of a row in pieces; what is not there has none."""

    label: tuple[Piece, ...]
    base: tuple[Piece, ...]
    tuned: tuple[Piece, ...]


@dataclass(frozen=True)
class Series:
    """One side of one run over the rows that all runs have. `low` to `high`: 95 % interval of the mean of the score.

    `name` is the checkpoint's, or the folder's; `step` the training step of a checkpoint.
    """

    run: str
    side: Side
    name: str
    step: int | None
    means: dict[str, float]
    low: float
    high: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Overlay:
    """Several runs over the `rows` that all of them have; `left_out` counts the others of each run."""

    rows: int
    left_out: dict[str, int]
    scores: tuple[str, ...]
    score: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Corrected:
    """A corrected answer went into `dataset`, which has `rows` rows now."""

    dataset: str
    rows: int
    new: bool


def pick_main(scores: tuple[str, ...], wished: str = "") -> str:
    """The wished score when it is one of `scores`, else the one that speaks for the run; empty without any."""
    return next((name for name in (wished, *MAIN, *scores) if name in scores), "")
