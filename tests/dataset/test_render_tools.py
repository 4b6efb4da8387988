"""Calls, results and thoughts: the ids are the model's own, exactly what the model says is trained, nothing is lost."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset import tokenizers as tk
from tests.dataset.dialogues import FUNCTION, dialogues, functions, hostile, openai, words
from tests.dataset.test_render import made, trained_parts
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Call, Conversation, message
from trainer.dataset.render import IGNORED, Rendered
from trainer.errors import UserError
from trainer.paths import MODELS

steady = settings(deadline=None, derandomize=True, max_examples=40)
few = settings(deadline=None, derandomize=True, max_examples=20)

CHATML = r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)"
LLAMA = r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n(.*?<\|eot_id\|>)"

# name -> template, the words of an answer in its text, what its conversations may hold.
TOOLED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chatml": (tk.own("chatml"), CHATML, {}),
    "llama3": (tk.own("llama3"), LLAMA, {}),
    "default": (tk.own("default"), r"Assistant:(.*?<\|im_end\|>)", {}),
    "qwen2_5": (tk.published("qwen2_5"), CHATML, {}),
    "qwen3": (tk.published("qwen3"), CHATML, {"thoughts": True}),
    "qwen3_instruct": (tk.published("qwen3_instruct_2507"), CHATML, {}),
    "qwen3_vl": (tk.published("qwen3_vl"), CHATML, {}),
    "qwen3_5": (tk.published("qwen3_5_think"), CHATML, {"thoughts": True}),
    "llama3_1": (tk.published("llama3_1"), LLAMA, {"most_calls": 1, "beside": False}),
}


def own(tokens: Any, conversation: Conversation, **options: Any) -> Any:
    return tokens.apply_chat_template(openai(conversation), tools=functions(conversation), **options)


@pytest.mark.parametrize("name", TOOLED)
@given(data=st.data())
@steady
def test_ids_are_the_models_own_and_answers_with_calls_are_trained(name: str, data: Any) -> None:
    template, pattern, holds = TOOLED[name]
    conversation = data.draw(dialogues(**holds))
    tokens, renderer = made(template)
    rendered = renderer.render(conversation)
    assert rendered.input_ids == own(tokens, conversation)["input_ids"]
    text = own(tokens, conversation, tokenize=False)
    expected = [each.group(1) for each in re.finditer(pattern, text, re.DOTALL)]
    assert len(expected) == sum(each.role == "assistant" for each in conversation.messages)
    parts = trained_parts(tokens, rendered)
    if name == "qwen3_5":
        # It opens a thought in the prompt: those words are not the model's.
        expected = [each.removeprefix("<think>\n") for each in expected]
        parts = [each.removeprefix("<think>\n") for each in parts]
    assert [each.lstrip("\n") for each in parts] == [each.lstrip("\n") for each in expected]


@pytest.mark.parametrize("name", [*TOOLED, "mistral", "glm4"])
@given(data=st.data())
@few
def test_ids_are_the_models_own_whatever_tools_and_people_say(name: str, data: Any) -> None:
    """Special tokens that a person or a tool wrote are those tokens, as they are in `apply_chat_template`."""
    template, _, holds = TOOLED[name] if name in TOOLED else (tk.own(name), "", {})
    conversation = data.draw(dialogues(says=hostile, **holds))
    tokens, renderer = made(template)
    try:
        rendered = renderer.render(conversation)
    except Unusable as unusable:
        assert unusable.code in ("row_template_refuses", "row_answers_unclear")
        return
    assert rendered.input_ids == own(tokens, conversation)["input_ids"]
    assert rendered.trained > 0


@pytest.mark.parametrize("name", ["qwen2_5", "glm4moe", "llama3", "gemma", "gemma3", "phi3", "cohere"])
@given(data=st.data())
@few
def test_the_published_marks_of_answers_are_ours(name: str, data: Any) -> None:
    """TRL's training templates mark the answers in the same text: an oracle that none of our code has seen."""
    tooled = name in ("qwen2_5", "glm4moe")
    conversation = data.draw(dialogues(system=name != "gemma") if tooled else _plain(name != "gemma"))
    tokens, renderer = made(tk.published(name))
    there = own(
        tokens,
        conversation,
        chat_template=tk.published(f"{name}_training"),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    rendered = renderer.render(conversation)
    length = len(rendered.input_ids)
    assert there["input_ids"][:length] == rendered.input_ids
    ours = [label != IGNORED for label in rendered.labels]
    marked = [bool(each) for each in there["assistant_masks"][:length]]
    differing = [place for place in range(length) if ours[place] != marked[place]]
    assert not any(ours[place] for place in differing)
    # The marks hold the line breaks around an answer, too, and Phi's the end of the whole text.
    rest = tokens.decode([rendered.input_ids[place] for place in differing]).strip()
    assert not rest or (name == "phi3" and rest == tokens.eos_token)


def _plain(system: bool) -> st.SearchStrategy[Conversation]:
    turns = st.lists(st.tuples(words, words), min_size=1, max_size=3)
    systems = st.one_of(st.just(""), words) if system else st.just("")
    return st.builds(
        lambda said, first: tk.talk(*(t for turn in said for t in turn), system=first), turns, systems
    )


@pytest.mark.parametrize("name", TOOLED)
@given(data=st.data())
@few
def test_a_prompt_with_tools_is_the_models_own(name: str, data: Any) -> None:
    template, _, holds = TOOLED[name]
    conversation = data.draw(dialogues(**holds))
    tokens, renderer = made(template)
    before = replace(conversation, messages=conversation.messages[:-1])
    expected = own(tokens, before, add_generation_prompt=True)["input_ids"]
    assert renderer.prompt(before.messages, before.system, functions(before) or ()) == expected
    said = openai(before)
    assert renderer.prompt(said, tools=functions(before) or ()) == expected


@given(conversation=dialogues())
@few
def test_what_is_trained_of_calls(conversation: Conversation) -> None:
    tokens, renderer = made(tk.published("qwen2_5"))
    every = renderer.render(conversation)
    last = made(tk.published("qwen2_5"), mask_history=True)[1].render(conversation)
    prompt = made(tk.published("qwen2_5"), train_on_prompt=True)[1].render(conversation)
    assert every.input_ids == last.input_ids == prompt.input_ids == prompt.labels
    assert trained_parts(tokens, last) == trained_parts(tokens, every)[-1:]
    assert list(renderer.render_many([conversation] * 3)) == [every] * 3


def test_mistrals_ids_and_its_missing_system_turn() -> None:
    tokens, renderer = made(tk.MISTRAL_LIKE)
    conversation = Conversation(
        (
            message("user", "Hi"),
            replace(message("assistant", ""), calls=(Call("look", '{"q": "é"}'), Call("look", "{}"))),
            message("tool", '{"r": 1}'),
            message("tool", "two"),
            message("assistant", "Done."),
        ),
        "Be brief.",
        json.dumps([FUNCTION]),
    )
    said = openai(replace(conversation, system=""))
    said[0]["content"] = "Be brief.\n\nHi"
    for place, each in enumerate(said[1]["tool_calls"]):
        each["id"] = said[2 + place]["tool_call_id"] = f"call0000{place}"
    rendered = renderer.render(conversation)
    assert rendered.input_ids == tokens.apply_chat_template(said, tools=[FUNCTION])["input_ids"]
    assert renderer.folds_system and renderer.folds(conversation)
    assert not renderer.folds(replace(conversation, system=""))
    first, last = trained_parts(tokens, rendered)
    assert first.startswith('[TOOL_CALLS][{"name": "look"') and first.endswith("]<|im_end|>")
    assert last == "Done.<|im_end|>"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("llama3", "row_calls_dropped"),
        ("gemma", "row_template_refuses"),
        ("phi3", "row_calls_dropped"),
        ("deepseek_r1_distill", "row_calls_dropped"),
        ("llama3_1", "row_text_dropped"),
    ],
)
def test_nothing_that_a_template_leaves_out_is_trained_silently(name: str, code: str) -> None:
    _, renderer = made(tk.published(name))
    called = replace(message("assistant", "I look."), calls=(Call("look", '{"q": 1}'),))
    said = (message("user", "a"), called, message("tool", "found"), message("assistant", "b"))
    with pytest.raises(Unusable, match=code):
        renderer.render(Conversation(said))
    if name != "llama3_1":
        with pytest.raises(Unusable, match="row_tools_dropped"):
            renderer.render(replace(tk.talk("a", "b"), tools=json.dumps([FUNCTION])))


def test_arguments_as_the_template_takes_them() -> None:
    """DeepSeek's template wants JSON text where others want an object."""
    tokens, renderer = made(tk.published("deepseekv3"))
    called = replace(message("assistant", ""), calls=(Call("look", '{"q": 1}'),))
    rendered = renderer.render(
        Conversation((message("user", "a"), called, message("tool", "found"), message("assistant", "b")))
    )
    first, last = trained_parts(tokens, rendered)
    assert '{"q": 1}' in first and first.endswith("<｜end▁of▁sentence｜>") and "found" not in first
    assert last.endswith("b<｜end▁of▁sentence｜>") and "found" not in last


def test_a_template_of_its_own_for_tools() -> None:
    tokens = tk.tokenizer.__wrapped__({"default": tk.published("llama3"), "tool_use": tk.own("llama3")})
    from trainer.dataset.render import Renderer
    from trainer.options import DataOptions

    renderer = Renderer(tokens, "", DataOptions())
    with_tools = replace(tk.talk(" a ", "b"), tools=json.dumps([FUNCTION]))
    for conversation in (with_tools, tk.talk(" a ", "b")):
        assert renderer.render(conversation).input_ids == own(tokens, conversation)["input_ids"]


def test_sprouts_template_is_ours_and_knows_tools() -> None:
    assert (MODELS / "sprout" / "chat_template.jinja").read_text(encoding="utf-8") == tk.own("chatml")


# Thoughts

EMPTY = "<think>\n\n</think>\n\n"
THOUGHT = "<think>\nhm\n</think>\n\n"


def thinking(*thoughts: str, spoken: bool = False) -> Conversation:
    """Answers "a0", "a1" … with these thoughts, in the text or apart from it."""
    said = []
    for place, each in enumerate(thoughts):
        text = f"<think>\n{each}\n</think>\n\na{place}" if each and spoken else f"a{place}"
        answer = replace(message("assistant", text), thinking="" if spoken else each)
        said += [message("user", "q"), answer]
    return Conversation(tuple(said))


@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize("template", ["qwen3", "qwen3_6", "qwen3_5_think", "qwen3_5_nothink", "glm4moe"])
def test_thoughts_apart_or_in_the_text_are_the_same(template: str, spoken: bool) -> None:
    tokens, renderer = made(tk.published(template))
    conversation = thinking("hm", "", "hm", spoken=spoken)
    rendered = renderer.render(conversation)
    assert rendered == renderer.render(thinking("hm", "", "hm", spoken=not spoken))
    assert rendered.input_ids == own(tokens, conversation)["input_ids"]
    *earlier, last = trained_parts(tokens, rendered)
    assert "hm" in last and not any("hm" in each for each in earlier)


def test_an_empty_thought_is_learned_unless_thoughts_are_off() -> None:
    for spoken in (False, True):
        for thought in ("", "hm"):
            conversation = thinking("hm", thought, spoken=spoken)
            tokens, renderer = made(tk.published("qwen3"))
            written = THOUGHT if thought else EMPTY
            assert trained_parts(tokens, renderer.render(conversation)) == [
                "a0<|im_end|>",
                f"{written}a1<|im_end|>",
            ]
            tokens, off = made(tk.published("qwen3"), enable_thinking=False)
            rendered = off.render(conversation)
            assert trained_parts(tokens, rendered) == ["a0<|im_end|>", "a1<|im_end|>"]
            prompt = off.prompt(conversation.messages[:3])
            assert tokens.decode(prompt).endswith(f"<|im_start|>assistant\n{EMPTY}")
            assert rendered.input_ids[: len(prompt)] == prompt
            assert prompt == own(tokens, thinking("", ""), enable_thinking=False)["input_ids"][: len(prompt)]


def test_thoughts_that_are_off_stand_in_the_prompt_of_marked_templates_too() -> None:
    tokens, renderer = made(tk.published("qwen3_training"), enable_thinking=False)
    assert trained_parts(tokens, renderer.render(thinking("hm", "hm"))) == [
        "a0<|im_end|>\n",
        "a1<|im_end|>\n",
    ]


def test_earlier_thoughts_are_kept_where_the_template_can() -> None:
    conversation = thinking("hm", "hm")
    tokens, renderer = made(tk.published("qwen3_6"), preserve_thinking=True)
    rendered = renderer.render(conversation)
    assert rendered.input_ids == own(tokens, conversation, preserve_thinking=True)["input_ids"]
    assert [each.count("hm") for each in trained_parts(tokens, rendered)] == [1, 1]
    assert made(tk.published("qwen3_6"))[1].fingerprint != renderer.fingerprint


def test_models_that_know_no_thoughts_learn_them_as_text() -> None:
    tokens, renderer = made(tk.published("qwen2_5"))
    expected = [f"{THOUGHT}a0<|im_end|>", "a1<|im_end|>"]
    for spoken in (False, True):
        assert trained_parts(tokens, renderer.render(thinking("hm", "", spoken=spoken))) == expected
    tokens, off = made(tk.published("qwen2_5"), enable_thinking=False)
    assert trained_parts(tokens, off.render(thinking("hm", ""))) == ["a0<|im_end|>", "a1<|im_end|>"]
    only = Conversation((message("user", "q"), message("assistant", THOUGHT)))
    assert isinstance(renderer.render(only), Rendered)
    with pytest.raises(Unusable, match="row_only_thought"):
        off.render(only)


def test_a_template_that_takes_out_every_thought_says_so() -> None:
    _, renderer = made(tk.published("deepseek_r1_distill"))
    assert renderer.forgets(thinking("hm")) and renderer.forgets(thinking("hm", spoken=True))
    assert not renderer.forgets(thinking(""))
    for template in (tk.published("qwen3"), tk.published("qwen2_5"), tk.own("chatml")):
        assert not made(template)[1].forgets(thinking("hm"))


# System prompts


@pytest.mark.parametrize("template", [tk.GEMMA_LIKE, tk.MISTRAL_LIKE, tk.published("gemma")])
def test_a_system_prompt_without_a_turn_of_its_own_opens_the_first_question(template: str) -> None:
    _, renderer = made(template)
    assert renderer.folds_system
    plain = renderer.render(tk.talk("S\n\nHi", "Yo", "And", "so"))
    assert renderer.render(tk.talk("Hi", "Yo", "And", "so", system="S")) == plain
    assert renderer.prompt([message("user", "Hi")], "S") == renderer.prompt([message("user", "S\n\nHi")])


def test_rows_without_a_system_prompt_get_the_default() -> None:
    for template in (tk.own("chatml"), tk.published("gemma")):
        _, plain = made(template)
        _, renderer = made(template, default_system="Be brief.")
        assert renderer.render(tk.talk("Hi", "Yo")) == plain.render(tk.talk("Hi", "Yo", system="Be brief."))
        assert renderer.render(tk.talk("Hi", "Yo", system="S")) == plain.render(
            tk.talk("Hi", "Yo", system="S")
        )
        assert renderer.prompt([message("user", "Hi")]) == plain.prompt([message("user", "Hi")], "Be brief.")
        assert renderer.folds(tk.talk("Hi", "Yo")) == renderer.folds_system
        assert renderer.fingerprint != plain.fingerprint


def test_a_template_that_reads_lists_only() -> None:
    listed = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}{{ p.text }}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokens, renderer = made(listed)
    conversation = tk.talk("Hi", "Yo", "And", "so", system="S")
    said = [{**each, "content": [{"type": "text", "text": each["content"]}]} for each in openai(conversation)]
    rendered = renderer.render(conversation)
    assert rendered.input_ids == tokens.apply_chat_template(said)["input_ids"]
    assert trained_parts(tokens, rendered) == ["Yo<|im_end|>", "so<|im_end|>"]


def test_a_row_with_a_picture_for_a_model_without_eyes() -> None:
    from trainer.dataset.conversation import Media

    _, renderer = made(tk.own("chatml"))
    seen = message("user", "What is it?")
    with pytest.raises(Unusable, match="row_no_eyes"):
        renderer.render(
            Conversation(
                (replace(seen, parts=(Media("image", data=b""), *seen.parts)), message("assistant", "A cat"))
            )
        )


def test_a_prompt_that_the_template_refuses() -> None:
    _, renderer = made(tk.published("gemma"))
    with pytest.raises(UserError, match="must alternate"):
        renderer.prompt([message("assistant", "Hi")])
