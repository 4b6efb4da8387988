"""Rows that are longer than the cutoff: calls keep their end, and pictures that leave no room come with a repair."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset import shots
from tests.dataset import tokenizers as tk
from tests.dataset.dialogues import dialogues
from tests.dataset.processors import processor
from tests.dataset.test_render import made, trained_parts
from tests.dataset.test_render_tools import CHATML, own
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Media, Message, Row, Text, message
from trainer.dataset.render import IGNORED, Renderer, render_all
from trainer.errors import UserError
from trainer.options import DataOptions

END = "<|im_end|>"


@given(conversation=dialogues(), cutoff=st.integers(8, 400), last=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=60)
def test_answers_with_calls_keep_their_end(conversation: Conversation, cutoff: int, last: bool) -> None:
    template = tk.published("qwen2_5")
    tokens, renderer = made(template, cutoff_len=cutoff, mask_history=last)
    answers = re.findall(CHATML, own(tokens, conversation, tokenize=False), re.DOTALL)
    opening = len(tokens(f"{END}\n<|im_start|>assistant\n")["input_ids"])
    wanted = answers[-1] if last else answers[0]
    # One token more or less where an answer's first blanks belong to the words before it.
    fits = len(tokens(wanted)["input_ids"]) + opening + 1 <= cutoff
    try:
        rendered = renderer.render(conversation)
    except Unusable as unusable:
        assert unusable.code == "row_cut" and not fits
        return
    assert len(rendered.input_ids) <= cutoff
    parts = trained_parts(tokens, rendered)
    if fits:
        assert rendered.whole and all(part.endswith(END) for part in parts)
        assert parts[0].lstrip("\n") == wanted.lstrip("\n")
    for part, answer in zip(parts, answers[-1:] if last else answers, strict=False):
        assert answer.lstrip("\n").startswith(part.lstrip("\n"))


def _seen(size: int, question: str, answer: str) -> Conversation:
    picture = Media("image", data=shots.image(size, size).data)
    return Conversation((Message("user", (picture, Text(question))), message("assistant", answer)))


def _renderer(**options: Any) -> Renderer:
    eyes = processor("qwen2_vl")
    return Renderer(eyes.tokenizer, "", replace(DataOptions(image_min_pixels=1), **options), eyes)


def test_pictures_that_leave_no_room_are_told_with_the_pixels_that_would_fit() -> None:
    conversation = _seen(224, "What is it?", "A square.")
    whole = _renderer(cutoff_len=4096).render(conversation)
    with pytest.raises(Unusable) as error:
        _renderer(cutoff_len=70).render(conversation)
    values = error.value.values
    assert error.value.code == "row_media_pixels" and values["length"] == whole.length
    smaller = _renderer(cutoff_len=70, image_max_pixels=int(values["pixels"]))
    fitting = smaller.render(conversation)
    assert fitting.whole and fitting.media == conversation.media
    with pytest.raises(Unusable) as hopeless:
        _renderer(cutoff_len=8).render(conversation)
    assert hopeless.value.code == "row_media_long"
    (problem,) = _only_problem(conversation, 70).problems
    assert str(values["pixels"]) not in problem.text and str(whole.length) in problem.text


def _only_problem(conversation: Conversation, cutoff: int) -> Any:
    renderer = _renderer(cutoff_len=cutoff)
    good = Conversation((message("user", "a"), message("assistant", "b")))
    return render_all(renderer, [Row("mine", 1, good), Row("mine", 2, conversation)])


def test_when_no_picture_leaves_room_the_cutoff_is_named() -> None:
    renderer = _renderer(cutoff_len=20)
    with pytest.raises(UserError, match="longer than cutoff_len 20"):
        render_all(renderer, [Row("mine", 1, _seen(224, "What?", "A square."))])


def test_the_question_gives_way_before_the_picture_and_the_answer() -> None:
    conversation = _seen(56, "word " * 200, "A square.")
    whole = _renderer(cutoff_len=4096).render(conversation)
    rendered = _renderer(cutoff_len=whole.length // 2).render(conversation)
    assert rendered.cut and rendered.whole and rendered.media == conversation.media
    assert len(rendered.input_ids) == whole.length // 2
    learned = [each for each in rendered.labels if each != IGNORED]
    assert learned == [each for each in whole.labels if each != IGNORED]


def test_the_tokens_of_a_picture_are_never_learned() -> None:
    conversation = _seen(56, "What is it?", "A square.")
    rendered = _renderer(train_on_prompt=True).render(conversation)
    pad = processor("qwen2_vl").tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert pad in rendered.input_ids and pad not in rendered.labels
    assert rendered.trained > len("A square.") // 4
