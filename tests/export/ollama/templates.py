"""Chat templates of many families, and a source that has one of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.dataset import tokenizers
from trainer.config import RunConfig
from trainer.dataset.render import Renderer
from trainer.dataset.templates import FAMILIES
from trainer.export.template import exported
from trainer.options import DataOptions

# The facts of three formats in words of our own: a system prompt of its own where none is given, one that stands in
# the last question, and one inside of the first question.
DEFAULTING = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Quill.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IN_LAST = (
    "{% set has = messages[0].role == 'system' %}{{ bos_token }}"
    "{% for m in (messages[1:] if has else messages) %}{% if m.role == 'user' %}[INST] "
    "{% if loop.last and has %}{{ messages[0].content }}\n\n{% endif %}{{ m.content }}[/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
IN_FIRST = (
    "{% set has = messages[0].role == 'system' %}{% for m in (messages[1:] if has else messages) %}"
    "{% if m.role == 'user' %}{{ bos_token }}[INST] {% if loop.first and has %}<<SYS>>\n{{ messages[0].content }}\n"
    "<</SYS>>\n\n{% endif %}{{ m.content | trim }} [/INST]{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}"
    "{% endfor %}"
)
BRACED = "{% for m in messages %}{{ '{{ ' + m.role + ' }}{' + m.content + '}\"\"\"' }}{% endfor %}{{ '{{ assistant }}{' }}"
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
PUBLISHED = (
    "qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3", "llama3_1", "llama3_2", "gemma", "gemma3", "phi3", "phi3_5",
    "deepseekv3", "cohere", "glm4moe", "lfm2",
)  # fmt: skip
TEMPLATES = {
    **{f"own {name}": tokenizers.own(name) for name in FAMILIES},
    **{f"published {name}": tokenizers.published(name) for name in PUBLISHED},
    "llama like": tokenizers.LLAMA_LIKE, "gemma like": tokenizers.GEMMA_LIKE, "mistral like": tokenizers.MISTRAL_LIKE,
    "deaf": tokenizers.DEAF, "defaulting": DEFAULTING, "in last": IN_LAST, "in first": IN_FIRST, "braced": BRACED,
}  # fmt: skip


class Spoken(NamedTuple):
    """What a Modelfile is written from."""

    tokenizer: Any
    template: str
    run_config: RunConfig
    stop_ids: tuple[int, ...]
    generation: dict[str, Any]


def spoken(template: str, system: str = "", **data: Any) -> Any:
    tokenizer = tokenizers.tokenizer(template)
    tokenizer.chat_template = template
    config = RunConfig(data=DataOptions(default_system=system, **data))
    renderer = Renderer(tokenizer, "", config.data)
    template = tokenizer.chat_template = exported(renderer, tokenizer, config.data)
    return Spoken(
        tokenizer, template, config, (tokenizer.eos_token_id,), {"do_sample": True, "temperature": 0.7}
    )
