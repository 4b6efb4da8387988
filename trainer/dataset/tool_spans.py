"""Where answers stand in a conversation with tools, and whether the template wrote every call and every result.

How a call is written is the template's affair: what is known is only what changes when the call is another one. So an
answer is found between what stays the same before it and what stays the same after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from trainer.dataset.chat_template import Unusable
from trainer.dataset.spans import (
    Render,
    Said,
    Span,
    TurnWords,
    answer_start,
    ask,
    bare,
    in_order,
    like,
    sentinel,
)


def has_calls(said: Said) -> bool:
    """Whether a conversation holds calls of tools, or results."""
    return any(each["role"] == "tool" or each.get("tool_calls") for each in said)


def require_written(render: Render, said: Said) -> None:
    """Raises Unusable when the template leaves out a call, the text beside a call, or a result."""
    text = render([_swapped(each, place) for place, each in enumerate(said)], False)
    for place, each in enumerate(said):
        calls = each.get("tool_calls") or ()
        for number, call in enumerate(calls):
            if any(sign not in text for sign in _call_signs(call, place, number)):
                raise Unusable("row_calls_dropped", name=str(call["function"]["name"]))
        if calls and bare(each["content"]).strip() and sentinel(place) not in text:
            raise Unusable("row_text_dropped")
        if each["role"] == "tool" and sentinel(place) not in text:
            raise Unusable("row_results_dropped")


def called_spans(render: Render, said: Said, text: str, words: TurnWords) -> list[Span] | None:
    """As `found_spans`, for a conversation with tools."""
    spans: list[Span] = []
    places = [place for place, each in enumerate(said) if each["role"] == "assistant"]
    for count, place in enumerate(places):
        found = _between(render, said, text, place, words) or _find(render, said, text, place, words)
        if found is None:
            return None
        spans.append(Span(*found, count))
    return spans if in_order(spans) else None


def _between(render: Render, said: Said, text: str, place: int, words: TurnWords) -> tuple[int, int] | None:
    """An answer of a template that writes the beginning of a conversation as it writes the whole of it."""
    asked = render(said[:place], True) if words.opens else ask(render, said[:place])
    told = render(said[: place + 1], False).rstrip()
    if not (told.startswith(asked) and text.startswith(told)):
        return None
    mark = None if told.endswith(words.specials) else words.special.match(text, len(told))
    return len(asked), mark.end() if mark else len(told)


def _find(render: Render, said: Said, text: str, place: int, words: TurnWords) -> tuple[int, int] | None:
    """An answer of a template that writes a turn in other words once more turns follow (without its thought).

    It lies between what stays the same before it and what stays the same after it, whatever it calls.
    """
    swapped = [*said[:place], _swapped(said[place], place), *said[place + 1 :]]
    told = render(swapped, False)
    signs = list(_signs(said[place], place))
    first = min(told.find(sign) for sign in signs)
    if first < 0:
        return None
    last = _last(told, signs)
    tail, after = told[last:], ""
    if place + 1 < len(said):
        # The next message shows where the words between the two end, however the template writes it.
        swapped[place + 1] = _swapped(said[place + 1], place + 1)
        other = render(swapped, False)
        stop = min(
            (at for sign in _signs(said[place + 1], place + 1) if (at := other.find(sign)) >= 0), default=-1
        )
        tail = other[_last(other, signs) : stop] if stop >= 0 else ""
        if stop < 0 or not told.startswith(tail, last):
            return None
        after = told[last + len(tail) :]
    # A result may repeat what was called.
    tail, after = _with_own_names(tail, said[place], place), _with_own_names(after, said[place], place)
    if not text.endswith(after):
        return None
    end = _turn_end(
        text[: len(text) - len(after)], tail, words, bool(said[place].get("tool_calls")), not after
    )
    if end is None:
        return None
    start = answer_start(render, said[:place], text, told, first, words)
    return (start, end) if start is not None and start <= end else None


def _turn_end(text: str, tail: str, words: TurnWords, calls: bool, last: bool) -> int | None:
    """Where in `text`, whose last words are those of `tail`, the answer's turn ends; None where that cannot be told.

    `tail` begins where a text that is an answer ends, but somewhere inside of a call.
    """
    at = tail.find(words.closing) if words.closing else -1
    stop = at + len(words.closing)
    if at < 0 and (mark := words.special.search(tail)):
        at, stop = mark.span()
    if at < 0 and not calls:
        at = stop = 0
    elif at < 0 and last:
        return len(text.rstrip())
    return len(text) - (len(tail) - stop) if at >= 0 and text.endswith(tail[at:]) else None


def _last(text: str, signs: Sequence[str]) -> int:
    return max(text.find(sign) + len(sign) for sign in signs)


def _with_own_names(text: str, message: dict[str, Any], place: int) -> str:
    for number, call in enumerate(message.get("tool_calls") or ()):
        text = text.replace(_name(place, number), str(call["function"]["name"]))
    return text


def _signs(message: dict[str, Any], place: int) -> Iterator[str]:
    """What stands in a swapped message instead of its words."""
    calls = message.get("tool_calls") or ()
    if not calls or bare(message["content"]).strip():
        yield sentinel(place)
    for number, call in enumerate(calls):
        yield from _call_signs(call, place, number)


def _call_signs(call: dict[str, Any], place: int, number: int) -> Iterator[str]:
    yield _name(place, number)
    if call["function"]["arguments"]:
        yield _value(place, number)


def _swapped(message: dict[str, Any], place: int) -> dict[str, Any]:
    """A message with other words in the same form."""
    calls = message.get("tool_calls") or ()
    swapped = dict(message)
    if not calls or bare(message["content"]).strip():
        swapped["content"] = like(message["content"], sentinel(place))
    if calls:
        swapped["tool_calls"] = [_swapped_call(call, place, number) for number, call in enumerate(calls)]
    return swapped


def _swapped_call(call: dict[str, Any], place: int, number: int) -> dict[str, Any]:
    function = call["function"]
    arguments: Any = function["arguments"]
    if isinstance(arguments, str):
        arguments = f'{{"q": "{_value(place, number)}"}}' if arguments else arguments
    elif arguments:
        arguments = {"q": _value(place, number)}
    return {**call, "function": {**function, "name": _name(place, number), "arguments": arguments}}


def _name(place: int, number: int) -> str:
    return f"zq{place}c{number}qz"


def _value(place: int, number: int) -> str:
    return f"zq{place}v{number}qz"
