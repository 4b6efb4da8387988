"""A compiled chat template, and the special tokens that it may write."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.dataset.spans import Said
from trainer.dataset.templates import FAMILIES
from trainer.errors import UserError, Values

TEXT_ONLY = "it writes text only, and the row shows something; without `template` the model's own is taken"
_MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Unusable(Exception):
    """A conversation that gives nothing to train on: a row's sentence and its values."""

    def __init__(self, code: str, **values: str | int | float) -> None:
        super().__init__(code)
        self.code = code
        self.values: Values = values


class ChatTemplate:
    """A compiled chat template with the tokenizer's special tokens and the answers to its own options filled in.

    `tool_source` is the template for conversations with tools, of a model that has one of its own for them.
    """

    def __init__(
        self, source: str, tokens: Mapping[str, Any], options: Mapping[str, Any], tool_source: str = ""
    ) -> None:
        self._source = _Source(source)
        self._tool_source = _Source(tool_source) if tool_source else self._source
        self._values = {**tokens, **options}

    def write(self, said: Said, ask: bool, tools: Sequence[Any] | None = None) -> str:
        """The text; `ask` adds the words that open an answer. Raises Unusable when the template refuses."""
        return self._pick(tools).run(self._variables(said, ask, tools), [])

    def write_marked(
        self, said: Said, tools: Sequence[Any] | None = None
    ) -> tuple[str, list[tuple[int, int]]]:
        """The text, and the characters that the template marks as written by the model."""
        marks: list[tuple[int, int]] = []
        source = self._pick(tools)
        return source.run(self._variables(said, False, tools), marks), marks if source.marked else []

    def _pick(self, tools: Sequence[Any] | None) -> _Source:
        return self._tool_source if tools else self._source

    def _variables(self, said: Said, ask: bool, tools: Sequence[Any] | None) -> dict[str, Any]:
        return {
            "messages": said,
            "tools": tools or None,
            "documents": None,
            "add_generation_prompt": ask,
            **self._values,
        }


def _shows(variables: Mapping[str, Any]) -> bool:
    """Whether a message has parts beside its text."""
    messages = variables.get("messages") or ()
    return any(isinstance(each.get("content"), list) for each in messages if isinstance(each, Mapping))


class _Source:
    """One compiled template. Threads may share it."""

    def __init__(self, source: str) -> None:
        from jinja2 import TemplateError
        from transformers.utils import chat_template_utils

        self.marked = bool(_MARKED.search(source))
        try:
            # A compiled copy of our own: transformers keeps the marks of a rendering inside the compiled template,
            # and its cache shares that among all threads of the process.
            self._compiled = chat_template_utils._cached_compile_jinja_template(source)
        except TemplateError as error:
            raise UserError(
                "data_template_broken",
                field="template",
                reason=str(error).rstrip("."),
                names=", ".join(FAMILIES),
            ) from None
        self._lock = threading.Lock()

    def run(self, variables: Mapping[str, Any], marks: list[tuple[int, int]]) -> str:
        blocks: list[str] = []
        try:
            with self._lock, self._compiled.environment.activate_tracker(blocks, marks):
                for block in self._compiled.generate(**variables):
                    blocks.append(block)
        # A template is a small program that came with a model: whatever it trips over is its word against the row.
        except Exception as error:
            reason = str(error)[:200] or type(error).__name__
            if isinstance(error, TypeError) and _shows(variables):
                reason = TEXT_ONLY
            raise Unusable("row_template_refuses", reason=reason) from None
        return "".join(blocks)


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """The texts of the special tokens, the longest first."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True))


def require_tokens(name: str, source: str, tokenizer: Any) -> None:
    """Raises UserError when a template writes tokens that this tokenizer would take to pieces."""
    words = set(re.findall(r"<[|｜][^|｜<>]+[|｜]>|<(?:start|end)_of_turn>|\[gMASK\]<sop>", source))
    known = set(tokenizer.get_vocab())
    missing = sorted(word for word in words if word not in known and "message" not in word)
    if not tokenizer.eos_token and "eos_token" in source:
        missing.append("eos_token")
    if missing:
        raise UserError("data_template_tokens", field="template", name=name, tokens=", ".join(missing))
