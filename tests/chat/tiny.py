"""Tiny models with random weights: their answers are noise, but always the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CONTEXT = 256
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path) -> None:
    """One token per byte, and ChatML's marks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: i for i, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks: dict[str, Any] = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=["<|im_start|>"], **marks
    )
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)


def write_model(folder: Path, seed: int = 0, hidden: int = 32) -> Path:
    """A Qwen2 of two layers. Large initial weights keep the likeliest token well ahead of the next."""
    config = Qwen2Config(
        vocab_size=259, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=CONTEXT, tie_word_embeddings=False, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_adapter(folder: Path, base: Path, seed: int = 1, std: float = 0.5, **changes: Any) -> Path:
    """An adapter that changes a lot: a fresh one would change nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        settings: dict[str, Any] = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], **changes}
        model = get_peft_model(
            Qwen2ForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM", **settings)
        )
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=std)
    model.save_pretrained(folder)
    return folder
