"""A conversation as chat templates take it: OpenAI's messages in the form that transformers expects.

Here the options about words are at work: the system prompt of rows without one, the system prompt of templates without
a system turn, and the rules for thoughts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Message, Text
from trainer.dataset.manners import Manners, ToolManners, call_id, content
from trainer.dataset.spans import Said, bare
from trainer.options import DataOptions

# A thought at the head of an answer. Rows made for models whose prompt opens the thought hold only its end.
_SPOKEN = re.compile(r"\A\s*<think>(?P<thought>.*?)</think>\s*", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*(?:<think>)?.*?</think>\s*", re.DOTALL)


class Speaker:
    """Puts conversations into a template's manner, with the options of the data."""

    def __init__(self, manners: Manners, learn_tools: Callable[[], ToolManners], data: DataOptions) -> None:
        self._manners = manners
        self._learn_tools = learn_tools
        self._system = data.default_system
        self._thinks = data.enable_thinking

    @cached_property
    def tool_manners(self) -> ToolManners:
        """How the template takes tools; found out when the first row has some."""
        return self._learn_tools()

    def system(self, given: str) -> str:
        """The system prompt of a row that has `given`."""
        return given or self._system

    def say(self, conversation: Conversation) -> Said:
        """The messages of a row. Raises Unusable when an answer is nothing but a thought and thoughts are off."""
        return self._complete([self._message(each) for each in conversation.messages], conversation.system)

    def repeat(self, messages: Sequence[Message | Mapping[str, Any]], system: str) -> Said:
        """The messages of a chat; mappings are in the template's form already."""
        said = [self._message(each) if isinstance(each, Message) else _given(each) for each in messages]
        if said and said[0]["role"] == "system":
            system, said = bare(said[0]["content"]), said[1:]
        return self._complete(said, system)

    def tools(self, functions: Any) -> list[Any] | None:
        """The tools of a row; a function that stands alone is put into OpenAI's wrapper."""
        listed = functions if isinstance(functions, list) else [functions]
        return [_wrapped(each) for each in listed if each] or None

    def _complete(self, said: Said, system: str) -> Said:
        if not self._thinks:
            for each in said:
                if each["role"] == "assistant":
                    _forget(each)
        if any(each["role"] == "tool" or each.get("tool_calls") for each in said):
            self._number(said)
        if not (system := self.system(system)):
            return said
        if not self._manners.folds_system:
            return [{"role": "system", "content": content(system, self._manners.lists)}, *said]
        place = next((place for place, each in enumerate(said) if each["role"] == "user"), None)
        if place is not None:
            said[place] = {**said[place], "content": _led(system + "\n\n", said[place]["content"])}
        return said

    def _message(self, message: Message) -> dict[str, Any]:
        said: dict[str, Any] = {"role": message.role, "content": content(message.text, self._manners.lists)}
        if message.media:
            said["content"] = [
                {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": part.kind}
                for part in message.parts
                if not isinstance(part, Text) or part.text
            ]
        if message.role == "assistant":
            self._think(said, message.thinking)
        if message.calls:
            said["tool_calls"] = [
                {
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": call.arguments if self.tool_manners.texts else call.parsed(),
                    },
                }
                for call in message.calls
            ]
        return said

    def _think(self, said: dict[str, Any], thought: str) -> None:
        """Puts an answer's thought where the template reads it."""
        manners = self._manners
        if manners.thinks and not manners.reads and not thought and isinstance(said["content"], str):
            found = _SPOKEN.match(said["content"])
            if found:
                thought, said["content"] = found["thought"].strip("\n"), said["content"][found.end() :]
        if thought and manners.thinks:
            # Under both names, as transformers gives it: gpt-oss and LFM2 read the second.
            said |= {"reasoning_content": thought, "thinking": thought}
        elif thought:
            said["content"] = _led(f"<think>\n{thought}\n</think>\n\n", said["content"])

    def _number(self, said: Said) -> None:
        """Gives each result the name of the call it answers, and both an id, where the template wants them."""
        manners = self.tool_manners
        open_calls: list[dict[str, Any]] = []
        count = 0
        for each in said:
            if each["role"] == "assistant":
                open_calls = [dict(call) for call in each.get("tool_calls") or ()]
                for call in open_calls if manners.ids else ():
                    call.setdefault("id", call_id(count))
                    count += 1
                if open_calls:
                    each["tool_calls"] = list(open_calls)
            elif each["role"] == "tool" and open_calls:
                call = open_calls.pop(0)
                if manners.names:
                    each.setdefault("name", call["function"]["name"])
                if manners.ids:
                    each.setdefault("tool_call_id", call["id"])


def _given(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in OpenAI's form without its empty fields, as transformers takes it."""
    return {"content": "", **{key: value for key, value in message.items() if value is not None}}


def _wrapped(function: Any) -> Any:
    alone = isinstance(function, Mapping) and "name" in function and "function" not in function
    return {"type": "function", "function": dict(function)} if alone else function


def _led(words: str, given: Any) -> Any:
    """A content with `words` before it."""
    if isinstance(given, str):
        return words + given
    if given and given[0].get("type") == "text":
        return [{**given[0], "text": words + given[0]["text"]}, *given[1:]]
    return [{"type": "text", "text": words}, *given]


def _forget(said: dict[str, Any]) -> None:
    """Takes the thought out of an answer."""
    had = said.pop("reasoning_content", None)
    said.pop("thinking", None)
    given = said["content"]
    if isinstance(given, str) and "</think>" in given:
        said["content"] = _THOUGHT.sub("", given, count=1)
    elif not isinstance(given, str) and given and "</think>" in str(given[0].get("text", "")):
        first = {**given[0], "text": _THOUGHT.sub("", given[0]["text"], count=1)}
        said["content"] = [first, *given[1:]]
    elif had is None:
        return
    if not said.get("tool_calls") and not bare(said["content"]).strip():
        raise Unusable("row_only_thought")
