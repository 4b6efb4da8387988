"""What a chat template takes and what it does with it, found out by trying.

Templates are programs that came with a model: one refuses a system turn, another drops it without a word, a third
wants lists where others want texts. Nothing of that can be read from a name, but a made-up conversation shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, Protocol

from trainer.dataset.chat_template import Unusable
from trainer.dataset.spans import Said

QUESTION, ANSWER, SYSTEM, RESULT, THOUGHT = (f"\ue0a1\ue0f4{sign}\ue0f4\ue0a1" for sign in "?!#=~")
# Names of tools are plain words: a template may check them, or write them as JSON escapes.
TOOL, CALLED, VALUE = "zq0tool0qz", "zq0call0qz", "zq0value0qz"


class Write(Protocol):
    """A chat template at work: messages, whether the words that open an answer are to follow, tools -> text."""

    def __call__(self, said: Said, ask: bool, tools: Sequence[Any] | None = None) -> str: ...


class Manners(NamedTuple):
    """What a template takes. `lists`: contents must be lists of parts, a plain text would vanish.

    `folds_system`: there is no system turn. `thinks`: it writes `reasoning_content` of the last answer. `reads`: a
    thought in the text of an answer (`<think>…</think>`) is the same to it. `forgets`: it takes thoughts out of every
    answer.
    """

    lists: bool
    folds_system: bool
    thinks: bool
    reads: bool
    forgets: bool


class ToolManners(NamedTuple):
    """How a template takes tools. `declared`: it writes which tools there are.

    `texts`: arguments of calls as JSON text, not as objects; `ids`: calls and results need an id; `names`: it writes
    the name of a result's tool.
    """

    declared: bool
    texts: bool
    ids: bool
    names: bool


def content(text: str, lists: bool) -> str | list[dict[str, Any]]:
    """A message's text in the form that the template takes."""
    return [{"type": "text", "text": text}] if lists else text


def learn(write: Write) -> Manners:
    """The manners of a template. Raises Unusable when it refuses a question and an answer in every form."""
    lists = _takes_lists_only(write)
    said: Said = [
        {"role": "user", "content": content(QUESTION, lists)},
        {"role": "assistant", "content": content(ANSWER, lists)},
    ]
    system = {"role": "system", "content": content(SYSTEM, lists)}
    apart = _try(write, [said[0], {**said[1], "reasoning_content": THOUGHT, "thinking": THOUGHT}])
    spoken = content(f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", lists)
    inside = _try(write, [said[0], {**said[1], "content": spoken}])
    return Manners(
        lists,
        folds_system=SYSTEM not in _try(write, [system, *said]),
        thinks=THOUGHT in apart,
        reads=apart == inside,
        forgets=THOUGHT not in apart and ANSWER in inside and THOUGHT not in inside,
    )


def _takes_lists_only(write: Write) -> bool:
    def said(lists: bool) -> Said:
        return [
            {"role": "user", "content": content(QUESTION, lists)},
            {"role": "assistant", "content": content(ANSWER, lists)},
        ]

    try:
        plain = write(said(False), False)
    except Unusable:
        if QUESTION in _try(write, said(True)):
            return True
        raise
    if QUESTION in plain and ANSWER in plain:
        return False
    listed = _try(write, said(True))
    return QUESTION in listed and ANSWER in listed


def learn_tools(write: Write, lists: bool) -> ToolManners:
    """How tools are to be given to a template; plain OpenAI form where none works (it will say why, row by row)."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": TOOL,
                "description": TOOL,
                "parameters": {"type": "object", "properties": {"q": {"type": "string", "description": "q"}}},
            },
        }
    ]
    plain: Said = [
        {"role": "user", "content": content(QUESTION, lists)},
        {"role": "assistant", "content": content(ANSWER, lists)},
    ]
    declared = TOOL in _try(write, plain, tools)
    for texts, ids in product((False, True), repeat=2):
        told = _try(write, _called(lists, texts, ids), tools if declared else None)
        if all(sign in told for sign in (CALLED, VALUE, RESULT)):
            break
    else:
        texts = ids = False
    named = _called(lists, texts, ids)
    # A name of its own, which can come from nowhere else.
    named[2]["name"] = TOOL + "1"
    return ToolManners(declared, texts, ids, TOOL + "1" in _try(write, named, tools if declared else None))


def _called(lists: bool, texts: bool, ids: bool) -> Said:
    arguments = f'{{"q": "{VALUE}"}}' if texts else {"q": VALUE}
    call: dict[str, Any] = {"type": "function", "function": {"name": CALLED, "arguments": arguments}}
    result: dict[str, Any] = {"role": "tool", "content": content(RESULT, lists)}
    if ids:
        call["id"] = result["tool_call_id"] = call_id(0)
    return [
        {"role": "user", "content": content(QUESTION, lists)},
        {"role": "assistant", "content": content("", lists), "tool_calls": [call]},
        result,
        {"role": "assistant", "content": content(ANSWER, lists)},
    ]


def call_id(number: int) -> str:
    """An id for a call: nine letters and digits, which is what Mistral's templates ask for."""
    return f"call{number:05d}"


def _try(write: Write, said: Said, tools: Sequence[Any] | None = None) -> str:
    try:
        return write(said, False, tools)
    except Unusable:
        return ""
