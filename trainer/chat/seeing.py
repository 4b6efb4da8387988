"""What a conversation may show: which media a loaded model takes, what they cost, and sentences for those it cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.chat.attached import refusal
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.model import seeing
from trainer.model.generation import Row, Seen


def require_seen(renderer: Renderer, media: Sequence[Media]) -> None:
    """Raises UserError when there are media and the model reads only text."""
    if media and not renderer.sees:
        raise UserError("chat_no_eyes")


def cost(renderer: Renderer, media: Media) -> int:
    """The tokens that a picture or video takes in a prompt. Raises UserError for one that cannot be used."""
    require_seen(renderer, [media])
    assert renderer.expander is not None
    try:
        return renderer.expander.cost(media)
    except Unusable as unusable:
        raise refusal(unusable) from None


def look(renderer: Renderer, model: Any, rows: Sequence[Row]) -> Seen | None:
    """What `model` takes of the rows' media; None when no row has any. Raises UserError for what cannot be read."""
    try:
        return seeing.look(renderer, model, rows)
    except Unusable as unusable:
        raise refusal(unusable) from None
