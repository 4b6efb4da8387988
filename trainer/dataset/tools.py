"""Tools that a row offers, and calls of them, in the shapes in which people write them."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from trainer.dataset.conversation import Call
from trainer.dataset.fields import Bad, as_json, from_json, shown, whole, wrong

_CALLS = "a call with name and arguments, or a list of them"
_TOOL = "a function with a name"
_NAME = "a text with a name in it"
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)


class Spoken(NamedTuple):
    """What a message of calls holds: a thought, words before the calls, the calls."""

    thinking: str
    text: str
    calls: tuple[Call, ...]


def read_tools(value: Any, field: str) -> str:
    """The functions of a row as a JSON list of {"type": "function", "function": …}; empty where there are none.

    They come as JSON text, list or object, with or without the wrapping. Raises Bad for anything else.
    """
    if isinstance(value, str):
        value = from_json(value, field) if value.strip() else None
    if value in (None, [], {}):
        return ""
    listed = value if isinstance(value, list) else [value]
    tools = [_tool(each, f"{field}[{at}]") for at, each in enumerate(listed, 1)]
    return as_json(tools, field)


def _tool(value: Any, field: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = from_json(value, field)
    if not isinstance(value, dict):
        raise wrong(field, value, _TOOL)
    function = value.get("function") or value
    if not isinstance(function, dict):
        raise wrong(f"{field}.function", function, _TOOL)
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _nameless(field, name)
    return {"type": "function", "function": function}


def _nameless(field: str, name: Any) -> Bad:
    """The reason for a function without a name."""
    return Bad("row_missing", field=f"{field}.name") if name == "" else wrong(f"{field}.name", name, _NAME)


def read_calls(value: Any, field: str) -> tuple[Call, ...]:
    """Calls as messages list them, or as one; each bare or under "function". Raises Bad when one has no name."""
    if isinstance(value, str):
        value = from_json(value, field)
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise wrong(field, value, _CALLS)
    return tuple(_call(each, f"{field}[{at}]") for at, each in enumerate(listed, 1))


def _call(value: Any, field: str) -> Call:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict):
        raise wrong(field, value, _CALLS)
    name, arguments = value.get("name"), value.get("arguments")
    if not isinstance(name, str) or not name.strip():
        raise _nameless(field, name)
    whole(name, f"{field}.name")
    if isinstance(arguments, str):
        # Some tools take plain text. What begins as an object has to end as one.
        if arguments.lstrip().startswith("{"):
            from_json(arguments, f"{field}.arguments")
        return Call(name, arguments if arguments.strip() else "{}")
    return Call(name, as_json({} if arguments is None else arguments, f"{field}.arguments"))


def read_spoken(text: str, field: str) -> Spoken:
    """Calls that a text spells as JSON, after a thought (`<think>…</think>`) or words, where there are any.

    Raises Bad where the text does not end with JSON of calls.
    """
    thought = _THOUGHT.match(text.lstrip())
    rest = text.lstrip()[thought.end() :].strip() if thought else text.strip()
    start = _begin(rest)
    if start is None:
        raise Bad("row_calls", field=field, text=shown(rest) or "-")
    calls = read_calls(json.loads(rest[start:]), field)
    return Spoken(thought.group(1).strip("\n") if thought else "", rest[:start].rstrip(), calls)


def _begin(text: str) -> int | None:
    """Where the JSON begins that ends with the text."""
    decoder = json.JSONDecoder()
    opening = re.compile(r"[\[{]")
    at = 0
    while text[-1:] in ("}", "]") and (found := opening.search(text, at)):
        at = found.start()
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        if end == len(text):
            return at
        at = end
    return None
