"""A tiny grammar: `(a|b|)` picks one alternative, `<slot>` is filled in afterwards."""

from __future__ import annotations

import random
import re

Message = dict[str, str]
Chat = list[Message]
Marked = list[tuple[str, bool]]  # pieces of plain text, each with whether the loss counts it

_GROUP = re.compile(r"\(([^()]*)\)")


def spin(rng: random.Random, text: str, **slots: str) -> str:
    """One random expansion of `text`; slots go in last, so that their brackets stay untouched."""
    while "(" in text:
        text = _GROUP.sub(lambda match: rng.choice(match.group(1).split("|")), text)
    for key, value in slots.items():
        text = text.replace(f"<{key}>", value)
    return text


def turn(user: str, answer: str) -> Chat:
    """One question with its answer."""
    return [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]


def with_system(system: str, chat: Chat) -> Chat:
    """The chat with a system prompt in front."""
    return [{"role": "system", "content": system}, *chat]


def rough(rng: random.Random, text: str) -> str:
    """The text as hurried people type it: sometimes lower case, sometimes without its last mark."""
    roll = rng.random()
    if roll < 0.10:
        text = text.lower()
    elif roll < 0.12:
        text = text.upper()
    if rng.random() < 0.15:
        text = text.rstrip(".?!。？！")
    elif rng.random() < 0.03:
        text += rng.choice(["?", "!", "？", "！", "??", "~", "。"])
    return text or "?"
