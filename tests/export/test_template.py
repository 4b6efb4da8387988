"""The exported chat template says alone what the run said: others know nothing of its options."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dataset import tokenizers
from tests.export.ollama.templates import IN_FIRST, IN_LAST, THINKING
from trainer.dataset.conversation import message
from trainer.dataset.render import Renderer
from trainer.export.template import exported
from trainer.options import DataOptions

# Drops a system prompt without a word.
DROPPING = (
    "{% for m in messages %}{% if m.role != 'system' %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SYSTEM = "Be a guide."


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("system", ["", SYSTEM])
@pytest.mark.parametrize(
    ("template", "options"),
    [
        (IN_LAST, {}),
        (IN_FIRST, {}),
        (DROPPING, {}),
        (THINKING, {"enable_thinking": False}),
        (tokenizers.published("qwen3"), {"enable_thinking": False}),
        (tokenizers.own("chatml"), {}),
    ],
    ids=["in last", "in first", "dropping", "without thoughts", "qwen3", "chatml"],
)
def test_transformers_alone_writes_the_prompt_of_the_run(
    template: str, options: dict[str, Any], system: str, turns: int
) -> None:
    tokenizer, data = tokenizers.tokenizer(template), DataOptions(**options)
    renderer = Renderer(tokenizer, "", data)
    said = [message("assistant" if place % 2 else "user", f"words {place}") for place in range(turns)]
    given = [{"role": each.role, "content": each.text} for each in said]
    given = [{"role": "system", "content": system}, *given] if system else given
    text = tokenizer.apply_chat_template(
        given, chat_template=exported(renderer, tokenizer, data), tokenize=False, add_generation_prompt=True
    )
    # Mistral's format opens an answer with a blank, which its template leaves out of a prompt.
    assert text == renderer.prompt_text(said, system).rstrip(" ")
    assert not system or SYSTEM in text


@pytest.mark.parametrize("name", ["chatml", "llama3", "phi", "default"])
def test_a_template_that_says_it_all_is_exported_as_it_is(name: str) -> None:
    tokenizer = tokenizers.tokenizer(tokenizers.own(name))
    assert exported(Renderer(tokenizer, "", DataOptions()), tokenizer, DataOptions()) == tokenizers.own(name)


def test_a_template_that_refuses_a_system_prompt_goes_on_to() -> None:
    tokenizer = tokenizers.tokenizer(tokenizers.GEMMA_LIKE)
    assert exported(Renderer(tokenizer, "", DataOptions()), tokenizer, DataOptions()) == tokenizers.GEMMA_LIKE
