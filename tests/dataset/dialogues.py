"""Random conversations with tools and thoughts, and what transformers is given for them, written apart from the code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.dataset import tokenizers as tk
from trainer.dataset.conversation import Call, Conversation, Message, message

pieces = st.sampled_from(
    [
        "hello", " world", "\n", "\n\n", " ", "  ", "\t", "你好", "，", "🙂", "é", "<b>", "{{ x }}", "{% if %}", "0",
        "I'm", "\r\n", '"', "\\", "look", "</tool_call>", "[INST]", "}}",
    ]
)  # fmt: skip
texts = st.lists(pieces, max_size=6).map("".join)
words = st.tuples(st.sampled_from(["Yes", "是", "42", "<b>"]), texts, st.sampled_from(["", ".", "好"])).map(
    "".join
)
hostile = st.lists(
    st.one_of(pieces, st.sampled_from(tk.SPECIAL), st.characters(codec="utf-8")), max_size=8
).map("".join)

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-2, 2), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
calls = st.builds(
    lambda name, given: Call(name, json.dumps(given, ensure_ascii=False)),
    st.sampled_from(["look", "get_weather", "搜索"]),
    st.dictionaries(st.sampled_from(["q", "city", "n"]), values, max_size=2),
)
FUNCTION = {
    "type": "function",
    "function": {
        "name": "look",
        "description": 'Looks "things" up: 天气 <b>',
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}


@st.composite
def dialogues(
    draw: Any,
    *,
    says: st.SearchStrategy[str] = words,
    most_calls: int = 2,
    beside: bool = True,
    thoughts: bool = False,
    system: bool = True,
) -> Conversation:
    """Conversations with tools: calls and results between questions and answers.

    `beside`: text may stand beside a call. `thoughts`: answers may think.
    """
    said: list[Message] = []

    def answer(text: str, **fields: Any) -> None:
        thinking = draw(st.sampled_from(["", "hm", "Let me\n\nsee."])) if thoughts else ""
        said.append(replace(message("assistant", text), thinking=thinking, **fields))

    for _ in range(draw(st.integers(1, 2))):
        said.append(message("user", draw(texts)))
        for _ in range(draw(st.integers(0, 2))):
            called = tuple(draw(st.lists(calls, min_size=1, max_size=most_calls)))
            answer(draw(words) if beside and draw(st.booleans()) else "", calls=called)
            said += [message("tool", draw(says)) for _ in called]
        answer(draw(says))
    functions = json.dumps([FUNCTION], ensure_ascii=False) if draw(st.booleans()) else ""
    return Conversation(tuple(said), draw(st.one_of(st.just(""), words)) if system else "", functions)


def openai(conversation: Conversation) -> list[dict[str, Any]]:
    """The messages as transformers documents them."""
    said: list[dict[str, Any]] = []
    if conversation.system:
        said.append({"role": "system", "content": conversation.system})
    for each in conversation.messages:
        one: dict[str, Any] = {"role": each.role, "content": each.text}
        if each.thinking:
            one["reasoning_content"] = each.thinking
        if each.calls:
            one["tool_calls"] = [
                {"type": "function", "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
                for call in each.calls
            ]
        said.append(one)
    return said


def functions(conversation: Conversation) -> list[Any] | None:
    """The tools as transformers documents them."""
    return json.loads(conversation.tools) if conversation.tools else None
