"""Where the tokens of pictures and videos stand in a text, before and after they are written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trainer.dataset.conversation import Media


class Place(NamedTuple):
    """A medium's characters in the template's text (`start` to `end`), and how many more they become."""

    start: int
    end: int
    more: int


def find_places(
    text: str, written: str, spans: Sequence[tuple[int, int]], media: Sequence[Media]
) -> list[Place]:
    """The places in `text` of what stands at `spans` in `written`; all words outside of them are the same in both.

    All places of one kind are equally long before they are written out, which is how their lengths are known. Raises
    ValueError when the two texts do not fit together.
    """
    between = [
        written[before:after]
        for before, after in zip(
            (0, *(end for _, end in spans)), (*(start for start, _ in spans), len(written)), strict=True
        )
    ]
    spare = len(text) - sum(map(len, between))
    images = sum(each.kind == "image" for each in media)
    videos = len(media) - images
    for image in range(spare // images + 1) if images else (0,):
        video, rest = divmod(spare - image * images, videos) if videos else (0, spare - image * images)
        if rest:
            continue
        found = _laid_out(text, between, spans, [image if each.kind == "image" else video for each in media])
        if found is not None:
            return found
    raise ValueError("the text around media was rewritten")


def _laid_out(
    text: str, between: Sequence[str], spans: Sequence[tuple[int, int]], lengths: Sequence[int]
) -> list[Place] | None:
    places: list[Place] = []
    at = 0
    for words, (start, end), length in zip(between, spans, lengths, strict=False):
        if not text.startswith(words, at):
            return None
        at += len(words)
        places.append(Place(at, at + length, end - start - length))
        at += length
    return places if text[at:] == between[-1] else None


def moved(at: int, places: Sequence[Place]) -> int:
    """Where the character `at` of the template's text stands once the media are written out."""
    return at + sum(place.more for place in places if place.end <= at)
