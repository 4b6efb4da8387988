"""The built-in model: its folder, its tokenizer, and what it answers before any tuning."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.sprout.asking import QUESTIONS, SPROUT, answers, load, naming, sprout_scripts, sums_right


@pytest.fixture(scope="module")
def base() -> tuple[Any, Any]:
    return load(SPROUT)


def test_folder_is_a_small_qwen2() -> None:
    config = json.loads((SPROUT / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["hidden_size"] % 256 == 0
    assert config["intermediate_size"] % 256 == 0
    assert sum(file.stat().st_size for file in SPROUT.iterdir()) <= 12_000_000
    count = 0
    with safe_open(SPROUT / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a mapping
            part = weights.get_slice(name)
            assert part.get_dtype() == "BF16", name
            size = 1
            for side in part.get_shape():
                size *= side
            count += size
    assert 2_000_000 <= count <= 6_000_000


TOKENIZER = AutoTokenizer.from_pretrained(SPROUT)
RAW = Tokenizer.from_file(str(SPROUT / "tokenizer.json"))


def test_tokenizer_is_qwen2s() -> None:
    assert type(TOKENIZER).__name__.startswith("Qwen2Tokenizer")
    assert TOKENIZER.eos_token == "<|im_end|>"
    assert TOKENIZER.pad_token == "<|endoftext|>"
    assert TOKENIZER.convert_tokens_to_ids("<|im_start|>") == RAW.token_to_id("<|im_start|>")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back(text: str) -> None:
    import unicodedata

    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert ids == RAW.encode(text, add_special_tokens=False).ids
    assert TOKENIZER.decode(ids) == unicodedata.normalize("NFC", text)


def test_template_marks_answers_and_adds_no_system_prompt() -> None:
    chat = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
    ]
    out = TOKENIZER.apply_chat_template(
        chat, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [token for token, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert TOKENIZER.decode(marked) == "hello<|im_end|>2<|im_end|>"
    start = TOKENIZER.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert start == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    named = [{"role": "system", "content": "Be brief."}, *chat[:1]]
    assert TOKENIZER.apply_chat_template(named, tokenize=False).startswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n"
    )


def test_questions_occur_nowhere_in_corpus_or_data() -> None:
    assert {language: len(set(asked)) for language, asked in QUESTIONS.items()} == {"en": 40, "zh": 40}
    with sprout_scripts("corpus") as (corpus,):
        asked = {corpus.bare(question) for questions in QUESTIONS.values() for question in questions}
        for item in corpus.generate(40_000, seed=2027, mix=corpus.LATER):
            for text in corpus.users(item):
                assert corpus.bare(text) not in asked, text
        for file in (SPROUT.parents[1] / "data").glob("*.json*"):
            for line in file.read_text(encoding="utf-8").split('"'):
                assert corpus.bare(line) not in asked, line


def test_building_filters_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    with sprout_scripts("corpus") as (corpus,):
        text = next(text for item in corpus.generate(200, seed=5) for text in corpus.users(item))
        monkeypatch.setattr(corpus, "held_out", lambda: frozenset([corpus.bare(text)]))
        for item in corpus.generate(200, seed=5):
            assert text not in corpus.users(item)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_base_knows_its_name(base: tuple[Any, Any], language: str) -> None:
    assert naming(base, language, "Sprout") >= 36


def test_base_does_small_sums(base: tuple[Any, Any]) -> None:
    assert sums_right(base) >= 0.85


def test_a_system_prompt_gives_another_name(base: tuple[Any, Any]) -> None:
    asked = [
        ("You are Luna-7, made by Acme Robotics.", "Who are you?"),
        ("You are Marvin, an assistant built by Blue Harbor Labs.", "What is your name?"),
        ("Your name is Tove. You were developed by Nordlys University.", "Please introduce yourself."),
        ("你是珞珈，由武汉大学开发。", "你叫什么名字？"),
        ("你是小云，由云上科技开发。", "你是谁？"),
        ("你的名字是阿宝，开发者是南京大学。", "请介绍一下你自己。"),
    ]
    names = ["Luna-7", "Marvin", "Tove", "珞珈", "小云", "阿宝"]
    given = answers(base, asked)
    assert sum(name in answer for name, answer in zip(names, given, strict=True)) >= 5, given
