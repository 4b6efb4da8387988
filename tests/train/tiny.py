"""Tiny models with random weights, their tokenizer, rows, and a way to run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from trainer.config import RunConfig
from trainer.events import Event, Finished, Step, Stopped
from trainer.train.sft import run_sft

WORDS = ("red", "green", "blue", "one", "two", "three", "sun", "moon", "star", "tree", "river", "stone")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 320


def save_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer with ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def qwen(**changes: Any) -> Qwen2Config:
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2,
        "tie_word_embeddings": True, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None,
    }  # fmt: skip
    return Qwen2Config(**{**settings, **changes})


def save_model(folder: Path, config: Any = None, seed: int = 0) -> Path:
    """A model with random weights, by default a Qwen2, and its tokenizer."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(qwen()) if config is None else AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def rows(count: int) -> list[dict[str, str]]:
    """Alpaca rows of different lengths; the same ones each time."""

    def words(start: int, length: int) -> str:
        return " ".join(WORDS[(start * 5 + place * 7) % len(WORDS)] for place in range(length))

    return [
        {"instruction": words(row, 1 + row % 5), "output": words(row + 3, 1 + (row * 3) % 9)}
        for row in range(count)
    ]


def save_data(folder: Path, count: int = 24) -> Path:
    (folder / "rows.json").write_text(json.dumps(rows(count)), encoding="utf-8")
    (folder / "more.json").write_text(json.dumps(rows(count + 7)[count:]), encoding="utf-8")
    info = {name: {"file_name": f"{name}.json"} for name in ("rows", "more")}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


@dataclass
class Run:
    """A run that has ended: how, and the events on the way."""

    folder: Path
    end: Finished | Stopped | None = None
    events: list[Event] = field(default_factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> dict[int, float]:
        return {step.step: step.loss for step in self.of(Step) if step.loss is not None}

    @property
    def codes(self) -> list[str]:
        return [getattr(event, "code", "") for event in self.events]


def train(
    config: RunConfig,
    stop: Callable[[Run], bool] = lambda _: False,
    emit: Callable[[Event], None] | None = None,
) -> Run:
    """Runs `config`; `stop` sees the events so far, `emit` each event."""
    run = Run(Path(config.train.output_dir))

    def take(event: Event) -> None:
        run.events.append(event)
        if emit is not None:
            emit(event)

    run.end = run_sft(config, take, lambda: stop(run))
    return run


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def merged(base: Path, run: Path) -> Any:
    """The base with the adapter of a run in its weights, by PEFT alone."""
    from peft import PeftModel

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run).merge_and_unload()
