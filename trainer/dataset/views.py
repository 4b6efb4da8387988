"""One row to look at: its text in pieces, its pictures, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.dataset.conversation import Row, RowProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.dataset.conversation import Media
    from trainer.dataset.render import Renderer, Tokens


class Piece(NamedTuple):
    """Text of neighbouring tokens that are alike. `special`: tokens such as the end of a turn.

    `picture` is set where the tokens stand for a picture or a video: its place in `RowView.pictures`, from 0.
    """

    text: str
    trained: bool
    special: bool
    picture: int | None = None


class PictureView(NamedTuple):
    """A picture or a video of a row. `thumbnail`: JPEG of at most 160 pixels a side. `tokens`: what it costs the row."""

    thumbnail: bytes
    tokens: int
    name: str
    kind: str = "image"


@dataclass(frozen=True)
class RowView:
    """One row. `input_ids` and `labels` are those of training; they and `pieces` are empty for a row with a problem.

    `cut`: the row is longer than the cutoff by `length` less the number of its ids. `file` is set where the dataset is
    a folder of several files.
    """

    dataset: str
    number: int
    pieces: tuple[Piece, ...] = ()
    input_ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    trained: int = 0
    length: int = 0
    cut: bool = False
    problem: RowProblem | None = None
    pictures: tuple[PictureView, ...] = ()
    file: str = ""


class Page(NamedTuple):
    """Some rows in the order of the files, usable or not, and whether there are more after them."""

    rows: list[RowView]
    more: bool
