"""The chat template that is exported: the one of training, with the rules of the run that others know nothing of."""

from __future__ import annotations

from typing import Any

from trainer.dataset.chat_template import ChatTemplate, Unusable
from trainer.dataset.conversation import message
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.options import DataOptions

# Puts a system prompt before the first question, as it was in training.
_FOLDED = (
    "{%- if messages and messages[0].role == 'system' and messages[1:] and messages[1].role == 'user' "
    "and messages[0].content is string and messages[1].content is string %}"
    "{%- set messages = [{'role': 'user', 'content': messages[0].content + '\\n\\n' + messages[1].content}] "
    "+ messages[2:] %}{%- endif %}"
)
_TALK = [message("user", "1"), message("assistant", "2"), message("user", "3")]
_SYSTEM = "4"


def exported(renderer: Renderer, tokenizer: Any, data: DataOptions) -> str:
    """The template of `renderer` that says by itself what the run's options say: about thoughts, and where a system
    prompt stands that the template would drop, or put elsewhere than in training.

    One that refuses a system prompt is left as it is, so that others are refused, too.
    """
    rules = {} if data.enable_thinking else {"enable_thinking": "false"}
    if data.preserve_thinking:
        rules |= {"preserve_thinking": "true", "clear_thinking": "false"}
    template = renderer.chat_template
    lines = [f"{{%- set {name} = {value} -%}}" for name, value in rules.items()]
    if renderer.folds_system and _differs(renderer, tokenizer, "".join(lines) + template):
        lines.append(_FOLDED)
    return "".join(lines) + template


def _differs(renderer: Renderer, tokenizer: Any, template: str) -> bool:
    """Whether the template alone takes a system prompt and writes another text than in training."""
    alone = ChatTemplate(template, tokenizer.special_tokens_map, {})
    for said in (_TALK[:1], _TALK):
        given = [{"role": each.role, "content": each.text} for each in said]
        try:
            text = alone.write([{"role": "system", "content": _SYSTEM}, *given], True)
            inside = renderer.prompt_text(said, _SYSTEM)
        except (Unusable, UserError):
            return False
        # Where a template does not open answers, the house does.
        if not inside.startswith(text):
            return True
    return False
