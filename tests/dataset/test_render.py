"""The ids are the model's own, and exactly the answers are trained, whatever the chat template."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.dataset import tokenizers as tk
from tests.dataset.tokenizers import dicts, talk, tokenizer
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Call, Conversation, Message, Row, Text, message
from trainer.dataset.render import IGNORED, Rendered, Renderer, render_all
from trainer.dataset.templates import FAMILIES, OWN_ONLY, PUBLISHED, is_taken_on_trust, names, pick
from trainer.errors import UserError
from trainer.options import DataOptions
from trainer.paths import MODELS

steady = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# name -> template, whether it trims texts, the end of a turn.
TEMPLATES: dict[str, tuple[str, bool, str]] = {
    "chatml": (tk.own("chatml"), False, "<|im_end|>"),
    "llama3": (tk.own("llama3"), False, "<|eot_id|>"),
    "gemma": (tk.own("gemma"), False, "<end_of_turn>"),
    "phi": (tk.own("phi"), False, "<|end|>"),
    "glm4": (tk.own("glm4"), False, "<|user|>"),
    "deepseek3": (tk.own("deepseek3"), False, "<|im_end|>"),
    "default": (tk.own("default"), False, "<|im_end|>"),
    "vanilla": (tk.own("vanilla"), False, "<|im_end|>"),
    "alpaca": (tk.own("alpaca"), False, "<|im_end|>"),
    "llama-like": (tk.LLAMA_LIKE, True, "<|eot_id|>"),
    "gemma-like": (tk.GEMMA_LIKE, True, "<end_of_turn>"),
    "mistral-like": (tk.MISTRAL_LIKE, False, "<|im_end|>"),
    "deaf": (tk.DEAF, False, "<|im_end|>"),
    "qwen2_5": (tk.published("qwen2_5"), False, "<|im_end|>"),
    "qwen3_instruct": (tk.published("qwen3_instruct_2507"), False, "<|im_end|>"),
    "llama3 of TRL": (tk.published("llama3"), True, "<|eot_id|>"),
    "llama3_1 of TRL": (tk.published("llama3_1"), True, "<|eot_id|>"),
    "gemma of TRL": (tk.published("gemma"), True, "<end_of_turn>"),
    "gemma3 of TRL": (tk.published("gemma3"), True, "<end_of_turn>"),
    "phi3 of TRL": (tk.published("phi3"), False, "<|end|>"),
    "cohere of TRL": (tk.published("cohere"), True, "<|END_OF_TURN_TOKEN|>"),
}
# Templates without a system turn.
FOLDING = (tk.GEMMA_LIKE, tk.MISTRAL_LIKE, tk.published("gemma"))
TRICKY = ("mistral", "qwen3", "qwen3_training", "qwen2_5_training", "phi3_training", "glm4moe", "deepseekv3")

pieces = st.sampled_from(
    [
        "hello",
        " world",
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "你好",
        "，",
        "🙂",
        "é",
        "<b>",
        "{{ x }}",
        "{% if %}",
        "0",
        "I'm",
        "\r\n",
        '"',
        "\\",
    ]
)
texts = st.lists(pieces, max_size=6).map("".join)
words = st.tuples(st.sampled_from(["Yes", "是", "42", "<b>"]), texts).map("".join)
hostile = st.lists(
    st.one_of(pieces, st.sampled_from(tk.SPECIAL), st.characters(codec="utf-8")), max_size=8
).map("".join)


def conversations(
    questions: st.SearchStrategy[str], answers: st.SearchStrategy[str]
) -> st.SearchStrategy[Conversation]:
    turn = st.tuples(questions, answers)
    return st.builds(
        lambda turns, system: talk(*(text for turn in turns for text in turn), system=system),
        st.lists(turn, min_size=1, max_size=3),
        st.one_of(st.just(""), words),
    )


def made(template: str, **options: Any) -> tuple[Any, Renderer]:
    tokens = tokenizer(template)
    return tokens, Renderer(tokens, "", replace(DataOptions(cutoff_len=131072), **options))


def trained_parts(tokens: Any, rendered: Rendered) -> list[str]:
    """The text of each unbroken stretch of trained tokens."""
    parts: list[list[int]] = []
    before = IGNORED
    for each, label in zip(rendered.input_ids, rendered.labels, strict=True):
        if label != IGNORED:
            assert label == each
            if before == IGNORED:
                parts.append([])
            parts[-1].append(each)
        before = label
    return [tokens.decode(part) for part in parts]


def reference(tokens: Any, conversation: Conversation) -> list[int]:
    if tokens.chat_template in FOLDING:
        conversation = folded(conversation)
    ids: list[int] = tokens.apply_chat_template(dicts(conversation), tokenize=True)["input_ids"]
    return ids


def folded(conversation: Conversation) -> Conversation:
    """The system prompt before the first question, for a template without a system turn."""
    if not conversation.system:
        return conversation
    first, *rest = conversation.messages
    return Conversation((message("user", f"{conversation.system}\n\n{first.text}"), *rest))


@pytest.mark.parametrize("name", TEMPLATES)
@given(conversation=conversations(texts, words))
@steady
def test_ids_are_the_models_own_and_only_answers_are_trained(name: str, conversation: Conversation) -> None:
    template, trims, end = TEMPLATES[name]
    tokens, renderer = made(template)
    rendered = renderer.render(conversation)
    assert rendered.input_ids == reference(tokens, conversation)
    answers = [each.text.strip() if trims else each.text for each in conversation.messages[1::2]]
    # Without words of its own between two answers (vanilla, an empty question) they are one stretch.
    assert "".join(trained_parts(tokens, rendered)) == "".join(answer + end for answer in answers)
    assert rendered.trained == sum(label != IGNORED for label in rendered.labels)
    assert not rendered.cut and rendered.length == len(rendered.input_ids)


@pytest.mark.parametrize("name", [*TEMPLATES, *TRICKY])
@given(conversation=conversations(hostile, hostile.filter(lambda text: text.strip() != "")))
@steady
def test_ids_are_the_models_own_for_any_text(name: str, conversation: Conversation) -> None:
    """Texts that hold special tokens, controls and braces: the same ids, or a clear refusal."""
    template = TEMPLATES[name][0] if name in TEMPLATES else _tricky(name)
    tokens, renderer = made(template)
    try:
        rendered = renderer.render(conversation)
    except Unusable as unusable:
        assert unusable.code in ("row_template_refuses", "row_answers_unclear")
        return
    assert rendered.input_ids == reference(tokens, conversation)
    assert rendered.trained > 0


def _tricky(name: str) -> str:
    return tk.own(name) if name == "mistral" else tk.published(name)


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in ("glm4", "deaf")])
def test_a_chat_goes_on_where_training_began(name: str) -> None:
    """The prompt of a chat is, id by id, what stands before a trained answer."""
    tokens, renderer = made(TEMPLATES[name][0])
    conversation = talk("Who are you?", "I am Momo.", "And who made you?", "A workshop.")
    rendered = renderer.render(conversation)
    prompt = renderer.prompt(conversation.messages[:3])
    assert rendered.input_ids[: len(prompt)] == prompt
    assert tokens.decode(rendered.input_ids[len(prompt) :]).strip().startswith("A workshop.")
    assert rendered.labels[len(prompt) - 1] == IGNORED
    assert TEMPLATES[name][2] in tokens.decode(renderer.stop_ids)


def test_marks_of_the_template_decide_as_in_transformers() -> None:
    tokens, renderer = made(tk.own("chatml"))
    conversation = talk("\nA\n", "\nB \n", "C", "D", system="S")
    there = tokens.apply_chat_template(
        dicts(conversation), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    rendered = renderer.render(conversation)
    assert rendered.input_ids == there["input_ids"]
    assert [int(label != IGNORED) for label in rendered.labels] == there["assistant_masks"]


def test_a_template_that_does_not_open_answers_is_opened() -> None:
    tokens, renderer = made(tk.DEAF)
    assert tokens.decode(renderer.prompt([message("user", "Hi")])).endswith("<|im_start|>assistant\n")


def test_a_mark_without_the_end_of_turn_is_completed() -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
        "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    )
    tokens, renderer = made(template)
    assert trained_parts(tokens, renderer.render(talk("Hi", "Yo"))) == ["Yo<|im_end|>"]


def test_thoughts_that_the_template_takes_out_of_earlier_answers() -> None:
    """As reasoning models do: earlier answers are trained without, the last one with its thoughts."""
    for template, opened in (
        (tk.published("qwen3"), "<think>\nhm\n</think>\n\n"),
        (tk.FORGETFUL, "hm</think>"),
    ):
        tokens, renderer = made(template)
        said = opened + "yes"
        conversation = talk("a", said, "b", said)
        rendered = renderer.render(conversation)
        assert rendered.input_ids == reference(tokens, conversation)
        first, last = trained_parts(tokens, rendered)
        assert first.startswith("yes") and "hm" not in first
        assert said in last


def test_a_template_that_rewrites_answers() -> None:
    tokens, renderer = made(tk.SHOUTING)
    assert trained_parts(tokens, renderer.render(talk("a", "yes", "b", "no"))) == ["YES</s>", "NO</s>"]
    _, renderer = made(tk.TANGLED)
    with pytest.raises(Unusable, match="row_answers_unclear"):
        renderer.render(talk("a", "yes"))


def test_what_is_trained() -> None:
    conversation = talk("q1", "a1", "q2", "a2", system="S")
    tokens, renderer = made(tk.own("chatml"), mask_history=True)
    assert trained_parts(tokens, renderer.render(conversation)) == ["a2<|im_end|>"]
    tokens, renderer = made(tk.own("chatml"), train_on_prompt=True)
    rendered = renderer.render(conversation)
    assert rendered.labels == rendered.input_ids
    assert rendered.trained == len(rendered.input_ids) - 1
    with pytest.raises(UserError, match="contradict"):
        made(tk.own("chatml"), mask_history=True, train_on_prompt=True)


def test_a_rows_own_word_on_what_is_trained() -> None:
    tokens, renderer = made(tk.own("chatml"))
    said = talk("q1", "a1", "q2", "a2").messages
    skipped = Conversation((said[0], replace(said[1], train=False), *said[2:]))
    assert trained_parts(tokens, renderer.render(skipped)) == ["a2<|im_end|>"]
    with pytest.raises(Unusable, match="row_untrained"):
        renderer.render(Conversation((said[0], replace(said[1], train=False))))


def test_parts_of_a_message_are_one_text() -> None:
    _, renderer = made(tk.own("chatml"))
    parts = Message("user", (Text("Hel"), Text("lo")))
    assert renderer.render(Conversation((parts, message("assistant", "x")))) == renderer.render(
        talk("Hello", "x")
    )


@pytest.mark.parametrize("workers", [None, 3, 64])
def test_batches_are_the_same_as_single_rows(workers: int | None) -> None:
    _, renderer = made(tk.own("chatml"), cutoff_len=30, preprocessing_num_workers=workers)
    some = [
        talk(f"question {count} " * (count % 7), f"answer {count} " * (1 + count % 5))
        for count in range(1200)
    ]
    together = list(renderer.render_many(some))
    _, single = made(tk.own("chatml"), cutoff_len=30)
    alone = [next(iter(single.render_many([each]))) for each in some]
    assert [each if isinstance(each, Rendered) else each.code for each in together] == [
        each if isinstance(each, Rendered) else each.code for each in alone
    ]


def test_threads_may_share_a_renderer() -> None:
    tokens, renderer = made(tk.own("chatml"))
    conversation = talk("q1", "a1", "q2", "a2")
    expected = renderer.render(conversation)
    found: list[Rendered] = []
    workers = [
        threading.Thread(target=lambda: found.extend(renderer.render(conversation) for _ in range(100)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for _ in range(100):
        tokens.apply_chat_template(dicts(conversation), tokenize=False)
    for worker in workers:
        worker.join()
    assert len(found) == 400 and all(each == expected for each in found)


@given(
    conversation=conversations(texts, words.map(lambda text: text * 3)),
    cutoff=st.integers(4, 120),
    mask_history=st.booleans(),
)
@steady
def test_cutting_keeps_the_end_of_an_answer_that_fits(
    conversation: Conversation, cutoff: int, mask_history: bool
) -> None:
    tokens, renderer = made(tk.own("chatml"), cutoff_len=cutoff, mask_history=mask_history)
    _, uncut = made(tk.own("chatml"), mask_history=mask_history)
    whole = uncut.render(conversation)
    try:
        rendered = renderer.render(conversation)
    except Unusable as unusable:
        assert unusable.code == "row_cut" and unusable.values == {"length": whole.length, "cutoff": cutoff}
        return
    assert len(rendered.input_ids) <= cutoff and rendered.trained > 0
    assert rendered.cut == (whole.length > cutoff)
    if not rendered.cut:
        assert rendered == whole
        return
    opening = len(tokens("<|im_end|>\n<|im_start|>assistant\n")["input_ids"])
    first = conversation.messages[-1 if mask_history else 1].text
    fits = len(tokens(first + "<|im_end|>")["input_ids"]) + opening <= cutoff
    parts = trained_parts(tokens, rendered)
    assert all(part.endswith("<|im_end|>") for part in parts[fits - 1 :]) or not fits
    assert rendered.whole == any(part.endswith("<|im_end|>") for part in parts)
    text = tokens.decode(rendered.input_ids)
    assert text.count("<|im_start|>assistant\n") >= len(parts)


def test_the_cutoff_takes_from_the_question_first() -> None:
    tokens, renderer = made(tk.own("chatml"), cutoff_len=40)
    rendered = renderer.render(talk("long " * 100, "short answer"))
    text = tokens.decode(rendered.input_ids)
    assert len(rendered.input_ids) == 40
    assert text.startswith("<|im_start|>user\nlong long")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\nshort answer<|im_end|>")


def test_rows_in_are_rows_out_and_problems() -> None:
    _, renderer = made(tk.GEMMA_LIKE, cutoff_len=24)
    called = replace(message("assistant", ""), calls=(Call("look", "{}"),))
    some = [
        talk("a", "b"),
        Conversation((message("user", "a"), called)),
        talk("a", "b " * 60),
        talk("a " * 99, "b " * 99),
    ]
    rows = [Row("mine", number, each, "part.json") for number, each in enumerate(some, 1)]
    rendered = render_all(renderer, rows)
    assert len(rendered.rows) == 3 and rendered.cut == 2
    (problem,) = rendered.problems
    assert problem.text == "mine (part.json), row 2: the chat template leaves out the call of look."
    assert rendered.trained == sum(row.trained for row in rendered.rows)
    assert rendered.longest == max(row.length for row in rendered.rows)


@pytest.mark.parametrize("cutoff", [4, 8, 16])
def test_all_rows_longer_than_the_cutoff(cutoff: int) -> None:
    _, renderer = made(tk.own("chatml"), cutoff_len=cutoff)
    rows = [Row("mine", number, talk("why? " * 40, "because " * (50 + number))) for number in range(1, 4)]
    with pytest.raises(UserError) as error:
        render_all(renderer, rows)
    lengths = sorted(len(reference(tokenizer(tk.own("chatml")), row.conversation)) for row in rows)
    assert error.value.text == (
        f"All 3 rows are longer than cutoff_len {cutoff}, and no answer fits into it whole; "
        f"the shortest row has {lengths[0]} tokens, the longest {lengths[-1]}."
    )
    assert error.value.field == "cutoff_len" and str(lengths[-1]) in error.value.hint


def test_a_name_that_fits_is_the_models_own_template() -> None:
    own = tk.published("qwen2_5")
    tokens = tokenizer(own)
    for name in ("", "qwen", "chatml", "qwen2_vl", "baichuan2", " qwen "):
        assert Renderer(tokens, name, DataOptions()).chat_template == own
    assert Renderer(tokens, "llama3", DataOptions()).chat_template == tk.own("llama3")


def test_a_base_model_gets_the_named_template() -> None:
    tokens = tokenizer("")
    for name, (_, aliases) in FAMILIES.items():
        for each in (name, *aliases):
            if "[gMASK]" in pick("", each) or each in PUBLISHED:
                continue
            assert Renderer(tokens, each, DataOptions()).chat_template == tk.own(name)
    assert Renderer(tokens, "qwen3", DataOptions()).chat_template == tk.published("qwen3")
    for name, file in PUBLISHED.items():
        assert pick("", name) == tk.published(file) and pick("its own <|im_start|>", name)
    with pytest.raises(UserError, match="no chat template of its own") as none:
        Renderer(tokens, "", DataOptions())
    assert "chatml" in none.value.hint and none.value.field == "template"


def test_names_of_templates() -> None:
    tokens = tokenizer(tk.own("chatml"))
    with pytest.raises(UserError, match="no template 'qwenn'") as unknown:
        Renderer(tokens, "qwenn", DataOptions())
    assert "qwen2_vl" in unknown.value.hint
    with pytest.raises(UserError, match="no template 'baichuan2'"):
        Renderer(tokenizer(""), "baichuan2", DataOptions())
    assert len(set(names())) == len(names()) and not OWN_ONLY & set(names())


def test_a_template_whose_tokens_the_model_lacks() -> None:
    bare = tokenizer("", "</s>", "<s>", ("<|endoftext|>", "<s>", "</s>"))
    with pytest.raises(UserError, match=r"needs <\|im_end\|>, <\|im_start\|>") as error:
        Renderer(bare, "qwen", DataOptions())
    assert error.value.code == "data_template_tokens"
    assert trained_parts(bare, Renderer(bare, "default", DataOptions()).render(talk("a", "b"))) == ["b</s>"]


def test_templates_that_cannot_be_used() -> None:
    with pytest.raises(UserError) as broken:
        made("{% for m in messages %}")
    assert broken.value.code == "data_template_broken"
    with pytest.raises(UserError) as refusing:
        made("{{ raise_exception('never') }}")
    assert refusing.value.code == "data_template_refuses" and "never" in refusing.value.text
    _, renderer = made(tk.published("gemma"))
    with pytest.raises(UserError, match="must alternate"):
        renderer.prompt([{"role": "user", "content": "Hi"}, {"role": "user", "content": "Ho"}])


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UserError) as error:
        Renderer(Slow(), "", DataOptions())
    assert error.value.code == "data_tokenizer_slow"


@given(conversation=conversations(texts, words))
@steady
def test_sprout_is_rendered_as_transformers_renders_it(conversation: Conversation) -> None:
    tokens = sprout()
    rendered = Renderer(tokens, "qwen", DataOptions()).render(conversation)
    there = tokens.apply_chat_template(
        dicts(conversation), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    assert rendered.input_ids == there["input_ids"]
    assert [int(label != IGNORED) for label in rendered.labels] == there["assistant_masks"]
    expected = [each.text + "<|im_end|>" for each in conversation.messages[1::2]]
    assert trained_parts(tokens, rendered) == expected


def sprout() -> Any:
    if not _SPROUT:
        _SPROUT.append(AutoTokenizer.from_pretrained(MODELS / "sprout"))
    return _SPROUT[0]


_SPROUT: list[Any] = []


def test_a_name_that_cannot_be_compared_is_taken_on_trust() -> None:
    own = tk.own("chatml")
    assert is_taken_on_trust(own, "hunyuan") and not is_taken_on_trust(own, "qwen")
    assert not is_taken_on_trust(own, "") and not is_taken_on_trust("", "hunyuan")
