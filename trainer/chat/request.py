"""What is asked of a loaded model, and what comes back. Nothing here remembers anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trainer.dataset.conversation import Media
from trainer.model.voices import Ending, Mode
from trainer.options import DataOptions

__all__ = ["SIGHT", "Chunk", "Ending", "Mode", "Request", "Turn", "sight"]

SIGHT = (
    "image_max_pixels",
    "image_min_pixels",
    "video_max_pixels",
    "video_min_pixels",
    "video_fps",
    "video_maxlen",
)


def sight(data: DataOptions) -> DataOptions:
    """Of a run's options only those that say how large it has seen pictures: a chat shows them the same way."""
    return replace(DataOptions(), **{name: getattr(data, name) for name in SIGHT})


@dataclass(frozen=True)
class Turn:
    """One question, with what was shown, and its answer."""

    question: str
    answer: str
    media: tuple[Media, ...] = ()


@dataclass(frozen=True)
class Request:
    """One message to every side that is loaded.

    `histories` holds the earlier turns of each side by its name; a side without an entry begins anew. `temperature` 0
    always takes the likeliest token. The same `seed` gives the same answer; None draws anew. `owner` is whatever the
    caller wants to stop its own answers by. `media` stand before the question's text, or where it has the marks <image>
    and <video>.
    """

    question: str
    histories: Mapping[str, tuple[Turn, ...]] = field(default_factory=dict)
    system: str = ""
    temperature: float = 0.0
    top_p: float = 0.7
    max_new_tokens: int = 512
    seed: int | None = None
    owner: str = ""
    media: tuple[Media, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """An answer as far as it has come. `side` is "base" or "tuned".

    `text` is the whole answer so far. `ending` is empty while it goes on, then "end" (the model was done), "length"
    (max_new_tokens or the model's context is used up) or "stopped" (by a person). The last chunk of a side carries its
    `history`, the new turn included. `left_out` counts the oldest turns that had to be left out of the prompt because
    the context is too short. `tokens_per_s` counts this answer's tokens per second since the question was put.
    """

    side: str
    text: str = ""
    ending: Ending = ""
    tokens: int = 0
    tokens_per_s: float = 0.0
    left_out: int = 0
    history: tuple[Turn, ...] = ()

    @property
    def done(self) -> bool:
        return bool(self.ending)
