"""Tiny models with random weights, their tokenizer, and datasets, made once for all tests of training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from trainer.config import RunConfig

WORDS = ("red", "green", "blue", "one", "two", "three", "sun", "moon", "star", "tree", "river", "stone")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def make_model(folder: Path, seed: int = 0, **changes: Any) -> Path:
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2,
        "tie_word_embeddings": True, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None,
    }  # fmt: skip
    model = Qwen2ForCausalLM(Qwen2Config(**{**settings, **changes}))
    model.save_pretrained(folder)
    make_tokenizer(folder)
    return folder


def make_rows(count: int) -> list[dict[str, str]]:
    """Rows of different lengths; the same ones each time."""

    def words(start: int, length: int) -> str:
        return " ".join(WORDS[(start * 5 + place * 7) % len(WORDS)] for place in range(length))

    return [
        {"instruction": words(row, 1 + row % 5), "output": words(row + 3, 1 + (row * 3) % 9)}
        for row in range(count)
    ]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.json").write_text(json.dumps(make_rows(24)), encoding="utf-8")
    (folder / "dataset_info.json").write_text(
        json.dumps({"rows": {"file_name": "rows.json"}}), encoding="utf-8"
    )
    return folder


Configure = Callable[..., RunConfig]


@pytest.fixture
def configure(model_folder: Path, data_folder: Path, tmp_path: Path) -> Configure:
    """A config of a short run on the CPU; names of options change it."""

    def make(**changes: Any) -> RunConfig:
        flat: dict[str, Any] = {
            "model_name_or_path": str(model_folder), "dataset": "rows", "dataset_dir": str(data_folder),
            "output_dir": str(tmp_path / "run"), "cutoff_len": 128, "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1, "max_steps": 4, "logging_steps": 1, "learning_rate": 0.01,
            "lr_scheduler_type": "constant", "compute_type": "fp32",
        }  # fmt: skip
        return RunConfig.from_flat({**flat, **changes})

    return make
