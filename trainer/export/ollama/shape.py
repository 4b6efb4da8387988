"""What a chat template writes around the turns of a conversation, found out by writing marked conversations.

Nothing is read from a model's name: the text of made-up conversations is cut at their marks, and what stands between
two marks must be the same wherever the two kinds of turns meet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.dataset.conversation import Message, message
from trainer.errors import UserError

Say = Callable[[Sequence[Message], str], str]
"""Turns that end with a question, and a system prompt (empty: none), to the text up to where the model answers."""

# Private characters: no template reacts to them, and none of them is a blank that may be trimmed.
_SYSTEM = "\ue0a1\ue0f5s\ue0f5\ue0a1"
TURNS = 3


@dataclass(frozen=True)
class System:
    """A system prompt's words: before and after it. `last` says that it stands in the last question, not the first."""

    before: str
    after: str
    last: bool = False


@dataclass(frozen=True)
class Shape:
    """The words around turns.

    `lead` opens every text; `none` follows where there is no system prompt, `system` where there is one. An earlier
    question is `question[0] + text + question[1]`, an earlier answer `answer[0] + text + answer[1]`. The first
    question has `first` in place of question[0]. `asking` follows the last question in place of answer[0].
    """

    lead: str
    none: str
    system: System
    first: str
    question: tuple[str, str]
    answer: tuple[str, str]
    asking: str


def shape_of(say: Say, special: Sequence[str]) -> Shape:
    """The shape of a chat template; `special` are the texts of the special tokens, one of which ends a turn.

    Raises UserError when the template writes turns that cannot be said as words around them.
    """
    plain = [_cut(say, "", turns) for turns in range(1, TURNS + 1)]
    told = [_cut(say, _SYSTEM, turns) for turns in range(1, TURNS + 1)]
    head, between, after, asked = _agreed(plain)
    if all(_SYSTEM in pieces[0] for pieces in told):
        own_head, own_between, own_after, own_asked = _agreed(told)
        if (own_between, own_after, own_asked) != (between, after, asked):
            raise _refused("system")
        before, _, behind = own_head.partition(_SYSTEM)
        system, last = (before, behind), False
    else:
        system, last = _in_last(told, head, between, after, asked), True
    return _parted(head, system, last, between, after, asked, special)


def _refused(what: str) -> UserError:
    return UserError("ollama_template_shape", field="template", what=what)


def _cut(say: Say, system: str, turns: int) -> list[str]:
    """The text before, between and behind the marks of a conversation of `turns` questions."""
    marks = [_mark(place) for place in range(2 * turns - 1)]
    said = [message("user" if place % 2 == 0 else "assistant", mark) for place, mark in enumerate(marks)]
    rest = say(said, system)
    pieces: list[str] = []
    for mark in marks:
        if rest.count(mark) != 1:
            raise _refused("turn")
        before, _, rest = rest.partition(mark)
        pieces.append(before)
    pieces.append(rest)
    if system and sum(piece.count(system) for piece in pieces) != 1:
        raise _refused("system")
    return pieces


def _mark(place: int) -> str:
    return f"\ue0a1\ue0f4{place}\ue0f4\ue0a1"


def _agreed(cuts: Sequence[list[str]]) -> tuple[str, str, str, str]:
    """Head, question to answer, answer to question, and behind the last question: the same everywhere."""
    heads = {pieces[0] for pieces in cuts}
    between = {piece for pieces in cuts for piece in pieces[1:-1:2]}
    after = {piece for pieces in cuts for piece in pieces[2:-1:2]}
    asked = {pieces[-1] for pieces in cuts}
    if any(len(each) != 1 for each in (heads, between, after, asked)):
        raise _refused("turn")
    return heads.pop(), between.pop(), after.pop(), asked.pop()


def _in_last(told: Sequence[list[str]], head: str, between: str, after: str, asked: str) -> tuple[str, str]:
    """The words around a system prompt that stands directly before the last question."""
    found: set[tuple[str, str]] = set()
    for pieces in told:
        *earlier, opening, behind = pieces
        usual = head if not earlier else after
        before, mark, rest = opening.partition(_SYSTEM)
        expected = [
            head if place == 0 else (between, after)[(place + 1) % 2] for place in range(len(earlier))
        ]
        if not mark or earlier != expected or behind != asked or not before.startswith(usual):
            raise _refused("system")
        found.add((before[len(usual) :], rest))
    if len(found) != 1:
        raise _refused("system")
    return found.pop()


def _parted(
    head: str,
    system: tuple[str, str],
    last: bool,
    between: str,
    after: str,
    asked: str,
    special: Sequence[str],
) -> Shape:
    """The words parted among the turns to which they belong."""
    ended, opening = _after_token(after, special)
    closed, answering = _after_token(between, special)
    if not asked.startswith(closed):
        closed, answering = "", between
    asking = asked[len(closed) :]
    if last:
        first = opening if head.endswith(opening) else head
        lead = head[: len(head) - len(first)]
        return Shape(
            lead, "", System(*system, last=True), first, (opening, closed), (answering, ended), asking
        )
    before, behind = system
    if opening and head.endswith(opening) and behind.endswith(opening):
        first, lead = opening, _common(before, head.removesuffix(opening), special)
    else:
        lead = _common(before, head, special)
        first = _common(behind[::-1], head[len(lead) :][::-1], [each[::-1] for each in special])[::-1]
    none, behind = head[len(lead) : len(head) - len(first)], behind.removesuffix(first)
    system_words = System(before[len(lead) :], behind)
    return Shape(lead, none, system_words, first, (opening, closed), (answering, ended), asking)


def _after_token(text: str, special: Sequence[str]) -> tuple[str, str]:
    """Up to the special token that ends a turn, with the blanks around it, and the rest."""
    if not special:
        return "", text
    found = re.match(r"\s*(?:" + "|".join(map(re.escape, special)) + r")\s*", text)
    end = found.end() if found else 0
    return text[:end], text[end:]


def _common(one: str, other: str, special: Sequence[str]) -> str:
    """What both begin with; a special token that only one of them has is not cut in two."""
    alike = enumerate(zip(one, other, strict=False))
    end = next((at for at, (a, b) in alike if a != b), min(len(one), len(other)))
    for token in special:
        for text in (one, other):
            at = text.find(token, max(0, end - len(token) + 1))
            end = at if 0 <= at < end < at + len(token) else end
    return one[:end]
