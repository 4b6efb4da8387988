"""Rows with pictures become what the model's own processor makes of them, and cutting leaves pictures whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset import shots
from tests.dataset.processors import FAMILIES, FILMS, processor
from trainer.dataset import media
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Media, Message, Part, Text, message
from trainer.dataset.render import IGNORED, Rendered, Renderer
from trainer.options import DataOptions

DATA = DataOptions(image_min_pixels=1, cutoff_len=4096)
steady = settings(deadline=None, derandomize=True, max_examples=20)


def _renderer(name: str, **options: Any) -> Renderer:
    return Renderer(processor(name).tokenizer, "", replace(DATA, **options), processor(name))


def _user(*parts: str | Media) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def _own(name: str, conversation: Conversation, lists: bool) -> list[int]:
    """The ids that transformers gives for a conversation: its own template, its own processor, the same pictures."""
    said = [{"role": each.role, "content": _content(each, lists)} for each in conversation.messages]
    if conversation.system:
        told = [{"type": "text", "text": conversation.system}]
        said.insert(0, {"role": "system", "content": told if lists else conversation.system})
    own = processor(name)
    found = own.apply_chat_template(
        said, tokenize=True, return_dict=True, processor_kwargs={"add_special_tokens": False}
    )
    return list(found["input_ids"][0])


def _content(each: Message, lists: bool) -> Any:
    if not each.media and not lists:
        return each.text
    return [_block(part) for part in each.parts]


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image", "image": media.open_image(part)}


def _soft(name: str) -> int:
    """The id of the tokens in whose place the model puts what it sees."""
    words = processor(name).tokenizer
    return int(getattr(words, "image_token_id", None) or processor(name).image_token_id)


TALKS = {
    "one picture": Conversation((_user(shots.image(), "What is this?"), message("assistant", "A vase."))),
    "two pictures and a system prompt": Conversation(
        (
            _user("Compare ", shots.image(30, 90), " with ", shots.image(200, 33), "."),
            message("assistant", "The first is taller."),
            message("user", "And older?"),
            message("assistant", "No."),
        ),
        "You are a guide.",
    ),
    "pictures in two turns": Conversation(
        (
            message("user", "Hello"),
            message("assistant", "Welcome."),
            _user(shots.image(), shots.image(90, 30), "?"),
            message("assistant", "Two vases."),
            _user("This one?", shots.image(50, 50)),
            message("assistant", "A bowl."),
        )
    ),
    "only words": Conversation((message("user", "Hello"), message("assistant", "Welcome."))),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("talk", TALKS)
def test_ids_are_those_of_the_processor(name: str, talk: str) -> None:
    conversation = TALKS[talk]
    rendered = _renderer(name).render(conversation)
    # The templates of these two never ask whether a content is a plain string.
    assert rendered.input_ids == _own(name, conversation, lists=name in ("idefics3", "smolvlm"))
    assert rendered.media == conversation.media
    answers = " ".join(each.text for each in conversation.messages if each.role == "assistant")
    learned = processor(name).tokenizer.decode([each for each in rendered.labels if each != IGNORED])
    assert all(word in learned for word in answers.split())
    assert _soft(name) not in rendered.labels


@pytest.mark.parametrize("name", [each for each in FILMS if each.startswith("qwen")])
def test_a_film_stands_in_its_place(name: str) -> None:
    film = Media("video", data=shots.film(30, 10))
    conversation = Conversation((_user("What ", film, " happens?"), message("assistant", "It gets lighter.")))
    renderer = _renderer(name)
    rendered = renderer.render(conversation)
    seen = processor(name).tokenizer.convert_tokens_to_ids("<|video_pad|>")
    assert rendered.media == (film,) and rendered.input_ids.count(seen) > 4
    assert seen not in rendered.labels


def _costs(name: str, conversation: Conversation) -> dict[int, int]:
    """For each picture, by its place in the row, how many tokens it is for the model."""
    alone = [
        _renderer(name).render(Conversation((_user(each, "?"), message("assistant", "."))))
        for each in conversation.media
    ]
    return {at: each.input_ids.count(_soft(name)) for at, each in enumerate(alone)}


@pytest.mark.parametrize("name", ["qwen2_vl", "gemma3", "internvl", "idefics3"])
def test_no_cutoff_divides_a_picture(name: str) -> None:
    conversation = TALKS["pictures in two turns"]
    costs = _costs(name, conversation)
    whole = _renderer(name).render(conversation)
    assert not whole.cut and whole.input_ids.count(_soft(name)) == sum(costs.values())
    refused = 0
    for cutoff in (*range(4, whole.length, 1 if name == "qwen2_vl" else 5), whole.length - 1, whole.length):
        rendered = _try(_renderer(name, cutoff_len=cutoff), conversation)
        if isinstance(rendered, Unusable):
            refused += 1
            assert rendered.code in ("row_cut", "row_media_long", "row_media_pixels")
            continue
        assert len(rendered.input_ids) <= cutoff and rendered.length == whole.length
        kept = [at for at, each in enumerate(conversation.media) if each in rendered.media]
        assert rendered.media == tuple(conversation.media[at] for at in kept)
        assert rendered.input_ids.count(_soft(name)) == sum(costs[at] for at in kept)
        assert rendered.trained > 0 and _soft(name) not in rendered.labels
    assert 0 < refused < whole.length


def _try(renderer: Renderer, conversation: Conversation) -> Rendered | Unusable:
    try:
        return renderer.render(conversation)
    except Unusable as unusable:
        return unusable


def test_many_at_once_are_as_one_by_one() -> None:
    rows = list(TALKS.values()) * 3
    renderer = _renderer("qwen2_vl", preprocessing_num_workers=3)
    assert list(renderer.render_many(rows)) == [renderer.render(each) for each in rows]


@steady
@given(st.data())
def test_any_mixture_of_words_and_pictures(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["qwen2_5_vl", "qwen3_vl", "llava", "internvl"]))
    words = st.sampled_from(
        ["a", "look: ", " and\n", "你好", "<image>, " if name != "llava" else "x", "\n\n"]
    )
    pictures = st.tuples(st.integers(20, 90), st.integers(20, 90)).map(lambda size: shots.image(*size))
    messages: list[Message] = []
    for _ in range(data.draw(st.integers(1, 3))):
        parts = data.draw(st.lists(words | pictures, min_size=1, max_size=5))
        messages += [_user(*parts), message("assistant", data.draw(st.sampled_from(["yes", "好。", "no\n"])))]
    conversation = Conversation(tuple(messages))
    rendered = _renderer(name).render(conversation)
    assert rendered.input_ids == _own(name, conversation, lists=False)
    assert rendered.media == conversation.media


def test_a_model_without_eyes_says_so() -> None:
    blind = Renderer(processor("qwen2_vl").tokenizer, "", DATA)
    with pytest.raises(Unusable, match="row_no_eyes"):
        blind.render(TALKS["one picture"])


def test_marks_that_a_person_typed_are_not_pictures() -> None:
    typed = Conversation((message("user", "what is <|image_pad|>?"), message("assistant", "A mark.")))
    with pytest.raises(Unusable, match="row_media_marks"):
        _renderer("qwen2_vl").render(typed)
