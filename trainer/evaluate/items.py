"""Rows made ready: the prompt as a chat would put it, the reference, and the tokens whose loss is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.dataset.cache import seen_by
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media, Row, RowProblem
from trainer.dataset.labels import IGNORED
from trainer.dataset.render import Rendered, Renderer
from trainer.errors import UserError
from trainer.evaluate.rows import label_of, question_of


@dataclass(frozen=True)
class Spoken:
    """A row for one side: the ids of its prompt, and the whole row with labels where its loss is measured."""

    prompt: tuple[int, ...]
    rendered: Rendered | None
    cut: bool


@dataclass(frozen=True)
class Item:
    """One row to evaluate; `place` counts from 0 among all of them. `spoken` holds one entry for each side."""

    place: int
    row: Row
    label: str | None
    spoken: tuple[Spoken, ...]

    @property
    def media(self) -> tuple[Media, ...]:
        """What is shown before the answer."""
        messages = self.row.conversation.messages[:-1]
        return tuple(each for message in messages for each in message.media)

    @property
    def size(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(each.prompt) for each in self.spoken)

    def facts(self) -> dict[str, object]:
        """What rows.jsonl says of the row beside its answers."""
        conversation = self.row.conversation
        asked = [each for each in conversation.messages if each.role == "user"]
        return {
            "row": self.place, "dataset": self.row.dataset, "number": self.row.number, "system": conversation.system,
            "question": question_of(conversation), "turns": len(asked),
            "media": [str(each.path.absolute()) for each in self.media if each.path],
        }  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One side's words: its renderer, and the longest prompt that leaves room for an answer."""

    renderer: Renderer
    longest: int


def prepare(
    rows: Sequence[tuple[int, Row]], voices: Sequence[Voice], measured: bool
) -> Iterator[Item | RowProblem]:
    """The rows ready for every voice, or why one cannot be used. With `measured` also the tokens of their losses.

    Raises UserError for a row with pictures when a side sees none.
    """
    for _, row in rows:
        for voice in voices:
            seen_by(voice.renderer, row)
    rendered = [_rendered(rows, voice.renderer, measured) for voice in voices]
    for number, (place, row) in enumerate(rows):
        try:
            spoken = tuple(
                _spoken(row, voice, whole[number]) for voice, whole in zip(voices, rendered, strict=True)
            )
        except Unusable as unusable:
            yield RowProblem(row.dataset, row.number, unusable.code, unusable.values, row.file)
        else:
            yield Item(place, row, label_of(row.conversation), spoken)


def _rendered(rows: Sequence[tuple[int, Row]], renderer: Renderer, measured: bool) -> list[Rendered | None]:
    """The whole rows as training sees them; None for those without a reference, or of which nothing is trained."""
    found: list[Rendered | None] = [None] * len(rows)
    if measured:
        labelled = [at for at, (_, row) in enumerate(rows) if label_of(row.conversation) is not None]
        whole = renderer.render_many(rows[at][1].conversation for at in labelled)
        for at, each in zip(labelled, whole, strict=True):
            found[at] = None if isinstance(each, Unusable) else each
    return found


def _spoken(row: Row, voice: Voice, whole: Rendered | None) -> Spoken:
    conversation = row.conversation
    try:
        ids = voice.renderer.prompt(conversation.messages[:-1], conversation.system, conversation.functions)
    except UserError as error:
        # Template and pictures: the reason is a row's.
        raise (error.__cause__ if isinstance(error.__cause__, Unusable) else error) from None
    if len(ids) <= voice.longest:
        return Spoken(tuple(ids), whole, False)
    return Spoken(_cut(row, voice, ids), whole, True)


def _cut(row: Row, voice: Voice, ids: Sequence[int]) -> tuple[int, ...]:
    """A prompt that is too long, cut where training cuts it; without a reference its end is kept."""
    if label_of(row.conversation) is not None:
        rendered = voice.renderer.render(row.conversation)
        answer = len(rendered.labels)
        while answer and rendered.labels[answer - 1] != IGNORED:
            answer -= 1
        if 0 < answer <= voice.longest:
            return tuple(rendered.input_ids[:answer])
    if row.conversation.media:
        raise Unusable("row_cut", length=len(ids), cutoff=voice.longest)
    return tuple(ids[-voice.longest :])
