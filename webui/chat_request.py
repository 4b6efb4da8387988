"""What a message asks of the chat, read from the controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.chat.request import Request
from trainer.errors import UserError
from trainer.options import options
from trainer.values import checked
from webui.pictures import Tray
from webui.talk import Talk

# The controls of an answer, in their order on the page; the seed comes after them.
SETTINGS = tuple(name for name, info in options().items() if info.panel == "chat")


def request(question: str, tray: Tray, talk: Talk, settings: Sequence[Any], owner: str) -> Request:
    """The request for a message. Raises UserError when it is empty or a setting cannot be used."""
    if not question.strip() and not tray.pictures:
        raise UserError("chat_no_question")
    *values, seed = settings
    read = {name: checked(options()[name], value) for name, value in zip(SETTINGS, values, strict=True)}
    number = None if seed in (None, "") else checked(options()["seed"], seed)
    media = tuple(each.media for each in tray.pictures)
    return Request(
        question=question, histories=talk.histories(), seed=number, owner=owner, media=media, **read
    )


def sides_of(mode: Any) -> Any:
    """One of the three modes; a page can send anything."""
    return mode if mode in ("base", "tuned", "compare") else "base"
