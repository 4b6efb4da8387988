"""Where in the text of a conversation its answers stand, for any chat template."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

Said = list[dict[str, Any]]
Render = Callable[[Said, bool], str]
"""Messages, and whether the words that open an answer are to follow, to the text of the chat template."""


class TurnWords(NamedTuple):
    """What a template writes around an answer: the words that open one (the longest first), the token that ends it.

    `opens`: it opens an answer when it is asked to. `specials` are all tokens that may end one.
    """

    opens: bool
    openings: tuple[str, ...]
    closing: str
    specials: tuple[str, ...]
    special: re.Pattern[str]
    """Blanks and a special token, which ends an answer when it comes directly after it."""


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) are what the model itself would write in its `answer`-th answer."""

    start: int
    end: int
    answer: int


def marked_spans(text: str, marks: Sequence[tuple[int, int]], answers: Said) -> list[Span] | None:
    """The spans that the template itself marks, or None when they do not hold the answers one after another.

    A template may mark more than one stretch for an answer (Phi's last end token stands alone).
    """
    needles = [_needle(each) for each in answers]
    spans: list[Span] = []
    current = -1
    for start, end in marks:
        following = current + 1
        if following < len(needles) and needles[following] in text[start:end]:
            current = following
        if current < 0:
            return None
        spans.append(Span(start, end, current))
    return spans if current == len(answers) - 1 else None


def _needle(answer: dict[str, Any]) -> str:
    """What an answer's marked text must hold: its words, or the first tool that it calls."""
    words = bare(answer["content"]).strip()
    calls = answer.get("tool_calls")
    return str(calls[0]["function"]["name"]) if calls and not words else words


def found_spans(render: Render, said: Said, text: str, words: TurnWords) -> list[Span] | None:
    """The spans of a template without marks, or None when its answers cannot be told from the rest.

    An answer begins where the text that asks for it ends, and ends where the text that stays the same under any other
    answer goes on; a special token that comes directly after it ends the turn and belongs to it. Both are proved on
    the text itself, so that a template which rewrites earlier answers (as those of reasoning models do) is either
    followed or not used.
    """
    places = [place for place, each in enumerate(said) if each["role"] == "assistant"]
    bodies = _from_one_skeleton(render, said, text, places)
    spans: list[Span] = []
    for count, place in enumerate(places):
        if bodies:
            start, end = (
                answer_start(render, said[:place], text, text, bodies[count][0], words),
                bodies[count][1],
            )
        else:
            start, end = _from_own_skeleton(render, said, text, place, words)
        if start is None or start > end:
            return None
        mark = words.special.match(text, end)
        spans.append(Span(start, mark.end() if mark else end, count))
    return spans if in_order(spans) else None


def in_order(spans: Sequence[Span]) -> bool:
    """Whether each answer ends before the next begins."""
    return all(one.end <= other.start for one, other in pairwise(spans))


def sentinel(place: int) -> str:
    """A text that no template reacts to and no row holds: private characters around a number."""
    return f"\ue0a1\ue0f3{place}\ue0f3\ue0a1"


def bare(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or ())


def like(content: Any, text: str) -> Any:
    """A content of the same form that says `text`."""
    return text if isinstance(content, str) else [{"type": "text", "text": text}]


def _with_sentinels(render: Render, said: Said, places: Sequence[int]) -> list[str] | None:
    """The text between the answers at `places`: one piece more than there are answers."""
    swapped = [
        {**each, "content": like(each["content"], sentinel(place))} if place in places else each
        for place, each in enumerate(said)
    ]
    rest = render(swapped, False)
    pieces: list[str] = []
    for place in places:
        before, found, rest = rest.partition(sentinel(place))
        if not found:
            return None
        pieces.append(before)
    return [*pieces, rest]


def _from_one_skeleton(
    render: Render, said: Said, text: str, places: Sequence[int]
) -> list[tuple[int, int]] | None:
    """All answers at once, for the template that repeats each of them as it is, or trimmed."""
    pieces = _with_sentinels(render, said, places)
    if pieces is None:
        return None
    bodies: list[tuple[int, int]] = []
    at = 0
    for place, before, after in zip(places, pieces, pieces[1:], strict=False):
        at += len(before)
        answer = bare(said[place]["content"])
        if not text.startswith(before, at - len(before)):
            return None
        tries = (answer, answer.strip(), answer.lstrip(), answer.rstrip())
        fitting = next((each for each in tries if text.startswith(each + after, at)), None)
        if fitting is None:
            return None
        bodies.append((at, at + len(fitting)))
        at += len(fitting)
    return bodies if at + len(pieces[-1]) == len(text) else None


def _from_own_skeleton(
    render: Render, said: Said, text: str, place: int, words: TurnWords
) -> tuple[int | None, int]:
    """One answer, for the template that rewrites answers: what stands before and after it whatever it says."""
    pieces = _with_sentinels(render, said, [place])
    if pieces is None or not text.endswith(pieces[1]):
        return None, 0
    before = pieces[0]
    start = answer_start(render, said[:place], text, before + sentinel(place), len(before), words)
    return start, len(text) - len(pieces[1])


def ask(render: Render, said: Said) -> str:
    """The text up to where the model begins to write its answer.

    A template that does not open answers when asked to is made to do so by an answer of ours.
    """
    asked = render(said, True)
    if asked != render(said, False):
        return asked
    answer = {"role": "assistant", "content": like(said[-1]["content"], "")}
    pieces = _with_sentinels(render, [*said, answer], [len(said)])
    opens = pieces and pieces[0].startswith(asked) and pieces[0][len(asked) :].strip()
    return pieces[0] if pieces and opens else asked


def answer_start(
    render: Render, before: Said, text: str, told: str, body: int, words: TurnWords
) -> int | None:
    """Where the model itself begins to write its answer in `text`; None where that cannot be told.

    `told` is the same conversation with another answer, of which `body` is the first character. The beginning may lie
    before the first word (a blank, a thought). Where the template does not ask in the words that it writes later, it is
    behind the words that open an answer, or the first word itself.
    """
    same = body if text.startswith(told[:body]) else _count_same(text, told)
    asked = render(before, True)
    if not words.opens and text.startswith(asked) and len(asked) <= same and text[len(asked) : same].strip():
        asked = ask(render, before)
    if text.startswith(asked) and len(asked) <= same:
        return len(asked)
    heard = bare(before[-1]["content"]).strip() if before else ""
    lowest = max(0, text.rfind(heard, 0, same)) + len(heard) if heard else 0
    ends = (at + len(each) for each in words.openings if (at := text.rfind(each, lowest, same)) >= 0)
    return next(ends, body if same == body else None)


def _count_same(one: str, other: str) -> int:
    """How many characters two different texts share from their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
