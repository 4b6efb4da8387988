"""A small byte-level tokenizer that behaves as Qwen2's, and chat templates of several families."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from trainer.dataset.conversation import Conversation, message
from trainer.dataset.templates import FOLDER

SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIAL = (
    "<|endoftext|>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "<|system|>", "<|user|>", "<|assistant|>",
    "<|end|>", "<|observation|>", "[gMASK]", "<sop>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>",
    "<｜Assistant｜>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
    "<|SYSTEM_TOKEN|>",
)  # fmt: skip

# The facts of two families' formats, in words of our own and without generation marks.
LLAMA_LIKE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA_LIKE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# The facts of Mistral's format in words of our own: no system turn, calls and results with ids of nine characters.
MISTRAL_LIKE = (
    "{{ bos_token }}{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% elif m.role == 'tool' %}{% if (m.tool_call_id or '') | length != 9 %}{{ raise_exception('ids have 9 characters') }}"
    "{% endif %}[TOOL_RESULTS]{{ {'content': m.content, 'call_id': m.tool_call_id} | tojson }}[/TOOL_RESULTS]"
    "{% elif m.role == 'assistant' %}{{ m.content }}{% if m.tool_calls %}[TOOL_CALLS][{% for c in m.tool_calls %}"
    "{% if (c.id or '') | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments, 'id': c.id} | tojson }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}]{% endif %}{{ eos_token }}"
    "{% else %}{{ raise_exception('only user, assistant and tool roles are supported') }}{% endif %}{% endfor %}"
)
# Ends an answer with nothing but the next question, and takes the thoughts out of all answers but the last.
FORGETFUL = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}"
    "{% set said = m.content.split('</think>')[-1] %}"
    "{% if loop.last %}<think>{{ m.content.split('</think>')[0] if '</think>' in m.content else '' }}</think>{% endif %}"
    "{{ said }}{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Never opens an answer, though its answers have an opening.
DEAF = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
SHOUTING = "{% for m in messages %}{{ m.role }}: {{ m.content | upper }}</s>{% endfor %}"
# Words of its own depend on every answer, so that no answer can be told from them.
TANGLED = "{% for m in messages %}{{ m.content[::-1] }}{{ messages[-1].content | length }}{% endfor %}"


@cache
def tokenizer(
    template: str, eos: str = "<|im_end|>", bos: str = "<s>", special: tuple[str, ...] = SPECIAL
) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(
        ["user assistant system\n\nthe answer is model\n \n\n 你好，我是助手。"] * 9, trainer
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=eos, bos_token=bos, pad_token=special[0])
    fast.chat_template = template
    return fast


def own(name: str) -> str:
    """One of this program's templates."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def published(name: str) -> str:
    """A model family's own template, as TRL carries it."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def talk(*texts: str, system: str = "") -> Conversation:
    """A conversation of questions and answers in turn."""
    roles = ("user", "assistant")
    return Conversation(tuple(message(roles[at % 2], text) for at, text in enumerate(texts)), system)


def dicts(conversation: Conversation) -> list[dict[str, str]]:
    """The conversation as transformers takes it."""
    said = [{"role": each.role, "content": each.text} for each in conversation.messages]
    return [{"role": "system", "content": conversation.system}, *said] if conversation.system else said
