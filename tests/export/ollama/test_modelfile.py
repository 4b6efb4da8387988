"""A Modelfile writes the texts of the chat template, whatever the family, and holds what it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dataset import tokenizers
from tests.export.ollama.templates import DEFAULTING, IN_LAST, TEMPLATES, THINKING, spoken
from trainer.dataset.conversation import Message, message
from trainer.errors import UserError
from trainer.export.ollama import check, folder, notes
from trainer.export.ollama.go_template import GoTemplate
from trainer.export.ollama.go_words import GoError, quoted
from trainer.export.ollama.modelfile import Modelfile, holds, read

GOLDEN = Path(__file__).parent.parent.parent / "golden" / "go_templates.json"
TALKS = (
    ("What is 2 + 2?",),
    ('One\n\ntwo "three" {{ .System }}', "An 'answer' with }} and {% set x %}", "你好 🌱"),
    ("a", "b", "c", "d", "e"),
    tuple(f"turn {number}\nof nine" for number in range(9)),
)


def said(texts: tuple[str, ...]) -> list[Message]:
    return [message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]


def modelfile(source: Any, begins: bool | None = None) -> Modelfile:
    return read(folder._modelfile(source, "./m.gguf", begins, 2048).text())


def by_transformers(source: Any, texts: tuple[str, ...], system: str) -> str:
    """What the chat template writes, by transformers alone; a system prompt that it does not take opens the question."""
    words = [{"role": each.role, "content": each.text} for each in said(texts)]
    given = [{"role": "system", "content": system}, *words] if system else words
    text = ""
    try:
        text = source.tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=True)
    except Exception as error:
        assert "system" in str(error).lower() or "roles" in str(error)
    if system and system not in text:
        words[0] = {"role": "user", "content": f"{system}\n\n{words[0]['content']}"}
        text = source.tokenizer.apply_chat_template(words, tokenize=False, add_generation_prompt=True)
    return str(text)


@pytest.mark.parametrize("system", ["", "You are a guide.\nBe short: \"yes\" or 'no' {{ .Messages }}."])
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_family_writes_the_text_of_its_chat_template(name: str, system: str) -> None:
    source = spoken(TEMPLATES[name])
    made = modelfile(source)
    bos = source.tokenizer.bos_token
    for texts in TALKS:
        expected = by_transformers(source, texts, system)
        written = made.prompt(said(texts), system)
        if name == "deaf":
            # Its prompts do not open an answer; the words that open one are written all the same, as in training.
            expected += "<|im_start|>assistant\n"
        if name in ("own mistral", "own vanilla", "in last", "in first", "mistral like"):
            # What opens an answer is a blank there, which no prompt ends with.
            expected, written = expected.rstrip(" "), written.rstrip(" ")
        # llama.cpp writes the token of the beginning by itself.
        assert written == expected.removeprefix(bos), texts


def test_a_default_of_the_template_stands_in_it_and_one_of_the_run_in_system() -> None:
    own = modelfile(spoken(DEFAULTING))
    assert not own.system
    assert "You are Quill." in own.prompt(said(("Hi",)))
    assert "Quill" not in own.prompt(said(("Hi",)), "Be kind.")
    given = modelfile(spoken(DEFAULTING, system="Speak of ships."))
    assert given.system == "Speak of ships."
    assert given.prompt(said(("Hi",))) == own.prompt(said(("Hi",)), "Speak of ships.")


def test_the_beginning_is_written_only_where_the_runtime_does_not() -> None:
    source = spoken(IN_LAST)
    with_it, without = modelfile(source, begins=False), modelfile(source, begins=True)
    assert with_it.prompt(said(("Hi",))) == "<s>" + without.prompt(said(("Hi",)))


def test_a_run_without_thoughts_asks_without_them() -> None:
    assert modelfile(spoken(THINKING, enable_thinking=False)).prompt(said(("Hi",))).endswith("</think>\n\n")
    assert "<think>" not in modelfile(spoken(THINKING)).prompt(said(("Hi",)))


@pytest.mark.parametrize("template", [tokenizers.SHOUTING, tokenizers.TANGLED])
def test_a_template_that_changes_what_is_said_is_refused(template: str) -> None:
    with pytest.raises(UserError) as caught:
        check(spoken(template))
    assert caught.value.code in ("ollama_template_shape", "ollama_template_differs")


@pytest.mark.parametrize(
    "system",
    ['Say """\nso', "space\u3000of\u3000China", "👩\u200d🚀 here", "no\u00a0break", "zero\u200bwidth\n"],
)
def test_a_system_prompt_that_a_modelfile_loses_stands_in_the_template(system: str) -> None:
    assert not holds(system)
    made = modelfile(spoken(tokenizers.own("chatml"), system=system))
    assert not made.system
    assert made.prompt(said(("Hi",))) == (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "system",
    [
        "",
        "Plain.",
        'He said "yes"\n\nand "no"',
        "中文，😀",
        'ends with a quote"',
        'Say """so""" too',
        " blanks ",
    ],
)
def test_other_system_prompts_stand_in_system(system: str) -> None:
    assert holds(system)
    assert modelfile(spoken(tokenizers.own("chatml"), system=system)).system == system


def test_every_stop_token_and_the_drawing_are_parameters() -> None:
    made = modelfile(spoken(tokenizers.own("chatml")))
    assert ("stop", "<|im_end|>") in made.parameters
    assert {("temperature", "0.7"), ("repeat_penalty", "1.0"), ("num_ctx", "2048")} <= set(made.parameters)
    greedy = spoken(tokenizers.own("chatml"))._replace(generation={"temperature": 0.7})
    assert ("temperature", "0") in modelfile(greedy).parameters


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("own chatml", []),
        ("llama like", ["ollama_trims"]),
        ("published qwen3", ["ollama_thoughts"]),
        ("published llama3_2", ["ollama_trims", "ollama_date"]),
    ],
)
def test_what_the_language_cannot_do_is_told(name: str, codes: list[str]) -> None:
    assert [note.code for note in notes(spoken(TEMPLATES[name]))] == codes


@pytest.mark.parametrize(
    "case", json.loads(GOLDEN.read_text(encoding="utf-8")), ids=lambda case: case["Name"]
)
def test_templates_are_rendered_as_by_go(case: dict[str, Any]) -> None:
    given = {"System": case["System"], "Messages": case["Messages"]}
    assert GoTemplate(case["Template"]).render(given) == case["Want"]


@pytest.mark.parametrize(
    "broken",
    [
        "{{ if .System }}x", "{{ end }}", "{{ .Nothing }}", "{{ range .Messages }}", "{{ else }}", "{{ }}", "{{ .System",
        "{{ printf .System }}", "{{ with .System }}{{ end }}", '{{ eq .System 1 }}', "{{ $x }}", "{{ $x = 1 }}",
        '{{ "\\q" }}', "{{ .System | len }}", "{{ .Messages }}", "{{ if .System }}{{ else }}{{ else }}{{ end }}",
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_and_not_guessed(broken: str) -> None:
    with pytest.raises(GoError):
        GoTemplate(broken).render({"System": "s", "Messages": []})


@pytest.mark.parametrize("text", ["plain", 'a "b" \\c\n\t\r', "👩\u200d🚀 \u3000 \x07 {{ }}", '"""'])
def test_a_string_is_read_as_it_was_written(text: str) -> None:
    assert quoted(text).isprintable()
    assert GoTemplate(f"{{{{ {quoted(text)} }}}}").render({}) == text
