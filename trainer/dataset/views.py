"""One row to look at: its text in pieces, its pictures, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.dataset.conversation import Media, Row, RowProblem

if TYPE_CHECKING:
    from trainer.dataset.expand import Expander
    from trainer.dataset.render import Rendered, Renderer, Tokens

THUMBNAIL = 160


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


def view(renderer: Renderer, row: Row | RowProblem, expander: Expander | None = None) -> RowView:
    """The row as training has it. `expander` tells what its pictures cost; without one they are left out."""
    from trainer.dataset.chat_template import Unusable

    if isinstance(row, RowProblem):
        return RowView(row.dataset, row.number, problem=row, file=row.file)
    try:
        tokens = renderer.explain(row.conversation)
        pictures = _pictures(tokens.rendered.media, expander) if expander else ()
    except Unusable as unusable:
        problem = RowProblem(row.dataset, row.number, unusable.code, unusable.values, row.file)
        return RowView(row.dataset, row.number, problem=problem, file=row.file)
    rendered = tokens.rendered
    return RowView(
        row.dataset,
        row.number,
        tuple(_pieces(tokens, renderer.special_ids)),
        tuple(rendered.input_ids),
        tuple(rendered.labels),
        rendered.trained,
        rendered.length,
        rendered.cut,
        pictures=pictures,
        file=row.file,
    )


def view_kept(
    tokenizer: Any, special_ids: frozenset[int], dataset: str, number: int, rendered: Rendered
) -> RowView:
    """A row of which only the tokens are known."""
    pieces = tuple(
        Piece(tokenizer.decode([token for token, _ in group], clean_up_tokenization_spaces=False), *kind)
        for kind, group in groupby(
            zip(rendered.input_ids, rendered.labels, strict=True),
            lambda each: (each[1] >= 0, each[0] in special_ids),
        )
    )
    ids, labels = tuple(rendered.input_ids), tuple(rendered.labels)
    return RowView(dataset, number, pieces, ids, labels, rendered.trained, rendered.length, rendered.cut)


def _pictures(media: Sequence[Media], expander: Expander) -> tuple[PictureView, ...]:
    from trainer.dataset.media import thumbnail

    return tuple(
        PictureView(thumbnail(each, THUMBNAIL), expander.cost(each), each.name, each.kind) for each in media
    )


class _Kind(NamedTuple):
    trained: bool
    special: bool
    picture: int | None


def _pieces(tokens: Tokens, special_ids: frozenset[int]) -> Iterator[Piece]:
    """The row's text in pieces; where something was cut out, a piece ends."""
    text, offsets = tokens.text, tokens.offsets
    kinds = _kinds(tokens, special_ids)
    breaks = [
        place
        for place in range(1, len(offsets))
        if kinds[place] != kinds[place - 1] or offsets[place][0] > offsets[place - 1][1]
    ]
    at = 0
    for first, end in pairwise((0, *breaks, len(offsets))):
        start, stop = offsets[first][0], offsets[end - 1][1]
        # Tokens that share a character (bytes of one sign) share its place in the text: it is shown once.
        if shown := text[max(start, at) : stop]:
            yield Piece(shown, *kinds[first])
        at = stop


def _kinds(tokens: Tokens, special_ids: frozenset[int]) -> list[_Kind]:
    """What each token of the row is. Pictures that were cut out do not count: the first one that stayed is 0."""
    rendered, offsets = tokens.rendered, tokens.offsets
    kinds = [
        _Kind(label >= 0, each in special_ids, None)
        for each, label in zip(rendered.input_ids, rendered.labels, strict=True)
    ]
    picture = 0
    for start, end in tokens.places:
        inside = [place for place, (first, stop) in enumerate(offsets) if start <= first and stop <= end]
        for place in inside:
            kinds[place] = kinds[place]._replace(picture=picture)
        picture += bool(inside)
    return kinds
