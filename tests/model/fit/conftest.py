"""Models wide enough that each part of their memory counts, and runs of a few steps that are measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2MoeConfig,
    Qwen3Config,
)

from tests.model.fit.peak import Measured, measuring
from tests.train import tiny
from trainer.config import RunConfig
from trainer.model.fit.activations import Batch
from trainer.train.loop import RowTrainer

WIDE: dict[str, Any] = {
    "vocab_size": 640, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "initializer_range": 0.2, "eos_token_id": 2,
    "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip
FAMILIES: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: tiny.qwen(**WIDE, tie_word_embeddings=False),
    "tied": lambda: tiny.qwen(**{**WIDE, "vocab_size": 2048}, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**WIDE, head_dim=32),
    "llama": lambda: LlamaConfig(**WIDE),
    "phi3": lambda: Phi3Config(**WIDE),
    "gemma2": lambda: Gemma2Config(**WIDE, head_dim=32),
    "gemma3": lambda: Gemma3TextConfig(**WIDE, head_dim=32),
    "mixtral": lambda: MixtralConfig(**WIDE, num_local_experts=4),
    "qwen2_moe": lambda: Qwen2MoeConfig(
        **WIDE,
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        shared_expert_intermediate_size=256,
    ),
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "rows"
    monkeypatch.setattr("trainer.dataset.cache.default_folder", lambda: folder)
    monkeypatch.setattr("trainer.train.pixels.default_folder", lambda: folder.with_name("pixels"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tiny.save_model(tmp_path_factory.mktemp("wide") / name, FAMILIES[name]())
        return made[name]

    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows of some 150 tokens, most of them trained."""
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {"instruction": "red", "output": " ".join(tiny.WORDS[(row * 5 + at * 7) % 12] for at in range(120))}
        for row in range(8)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}', encoding="utf-8")
    return folder


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    def make(folder: Path, **changes: Any) -> RunConfig:
        flat: dict[str, Any] = {
            "model_name_or_path": str(folder), "dataset": "rows", "dataset_dir": str(data),
            "output_dir": str(tmp_path / "run"), "overwrite_output_dir": True, "cutoff_len": 1024,
            "per_device_train_batch_size": 2, "max_steps": 2, "logging_steps": 1, "save_steps": 1000,
            "compute_type": "fp32", "gradient_checkpointing": "off",
        }  # fmt: skip
        return RunConfig.from_flat({**flat, **changes})

    return make


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunConfig], tuple[Measured, Batch]]:
    """Trains, and says what was taken, and how large the largest micro-batch was."""

    def run(config: RunConfig) -> tuple[Measured, Batch]:
        seen: list[Batch] = []
        loss = RowTrainer.compute_loss

        def noted(self: RowTrainer, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
            ids, lengths, pixels = inputs["input_ids"], inputs.get("row_lengths"), inputs.get("pixel_values")
            rows, longest = (len(lengths), max(lengths)) if lengths else ids.shape
            kept = inputs["keep"].numel() * len(ids)
            seen.append(Batch(ids.numel(), kept, rows, longest, 0 if pixels is None else len(pixels)))
            return loss(self, model, inputs, *rest, **more)

        with monkeypatch.context() as patch:
            patch.setattr(RowTrainer, "compute_loss", noted)
            with measuring(patch) as found:
                tiny.train(config)
        return found, max(seen)

    return run
