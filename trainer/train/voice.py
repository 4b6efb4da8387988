"""What turns the rows of a run into a model's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.dataset.plain import renderer_of
from trainer.dataset.render import Renderer
from trainer.model.vocabulary import Words, open_words


class Voice(NamedTuple):
    """`processor` is None for a model of text; `words` are the tokenizer's with those that are new."""

    tokenizer: Any
    processor: Any
    renderer: Renderer
    words: Words


def open_voice(config: RunConfig, path: Path) -> Voice:
    """The voice of a run on the base in `path`. Raises UserError as tokenizers, processors and renderers do."""
    words = open_words(path, config.model, config.model.trust_remote_code)
    tokenizer, processor = words.tokenizer, words.processor
    renderer = renderer_of(tokenizer, config.data.template, config.data, processor, whole=True)
    # The result brings the template that it was trained with.
    for each in (tokenizer, processor):
        if each is not None:
            each.chat_template = renderer.chat_template or None
    return Voice(tokenizer, processor, renderer, words)
