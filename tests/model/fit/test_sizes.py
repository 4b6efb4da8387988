"""Parameters counted from a config.json are those of transformers' own models, whatever the family."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    Glm4Config,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from tests.train import families
from trainer.model import catalog
from trainer.model.fit import model
from trainer.model.fit.layout import computed_layout, stored_layout, total
from trainer.model.fit.shape import read_shape
from trainer.model.load import outline
from trainer.model.parts import parts_of
from trainer.paths import MODELS

SIZES: dict[str, Any] = {
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 4, "vocab_size": 1000, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip
MOE: dict[str, Any] = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
CONFIGS: dict[str, Any] = {
    "qwen2": lambda: Qwen2Config(**SIZES),
    "qwen2 tied": lambda: Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**SIZES),
    "llama": lambda: LlamaConfig(**SIZES),
    "llama with biases": lambda: LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "mistral": lambda: MistralConfig(**SIZES, head_dim=64),
    "gemma": lambda: GemmaConfig(**SIZES),
    "gemma2": lambda: Gemma2Config(**SIZES),
    "gemma3": lambda: Gemma3TextConfig(**SIZES),
    "phi3": lambda: Phi3Config(**SIZES),
    "glm4": lambda: Glm4Config(**SIZES),
    "smollm3": lambda: SmolLM3Config(**SIZES),
    "granite": lambda: GraniteConfig(**SIZES),
    "qwen2_moe": lambda: Qwen2MoeConfig(
        **SIZES, **MOE, shared_expert_intermediate_size=128, mlp_only_layers=[1]
    ),
    "mixtral": lambda: MixtralConfig(**SIZES, num_local_experts=4),
    "qwen3_moe": lambda: Qwen3MoeConfig(**SIZES, **MOE),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("whole", [True, False])
def test_parameters_of_a_family(name: str, whole: bool) -> None:
    """Also from a config.json that leaves out what is as usual."""
    config = CONFIGS[name]()
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    written = json.loads(config.to_json_string(use_diff=not whole))
    assert total(computed_layout(read_shape(written))) == sum(each.numel() for each in made.parameters())


@pytest.mark.parametrize(
    "name", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "llava", "internvl", "smolvlm"]
)
def test_parameters_of_a_model_that_sees(name: str, tmp_path: Path) -> None:
    """By part, from the headers of its files; Qwen's families from config.json alone, too."""
    folder = families.save(name, tmp_path / "model")
    made = outline(folder)
    parts = parts_of(made)
    shape = read_shape(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    layouts = [stored_layout(catalog.weight_files(folder), shape)]
    if name.startswith("qwen"):
        layouts.append(computed_layout(shape))
    expected: Counter[str] = Counter()
    for each, parameter in made.named_parameters():
        expected[parts.part_of(each)] += parameter.numel()
    for layout in layouts:
        counted: Counter[str] = Counter()
        for weight in layout:
            counted[weight.part] += weight.numbers
        assert total(layout) == expected.total()
        if name.startswith(("qwen", "gemma3", "llava")):
            assert counted == expected


@pytest.mark.parametrize("name", ["sprout", "sprout-vl"])
def test_the_models_that_ship(name: str) -> None:
    found = model.sizes_in(MODELS / name)
    assert found is not None
    assert total(found.layout) == sum(each.numel() for each in outline(MODELS / name).parameters())
    assert total(computed_layout(found.shape)) == total(found.layout)


def test_every_model_of_the_catalogue_is_known() -> None:
    """By its name, and as many parameters as the name says, within a fifth."""
    for entry in catalog.entries():
        found = model.sizes_of(entry.name, "huggingface")
        assert found is not None, entry.name
        assert total(found.layout) > 1e6


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("Qwen2.5-7B-Instruct", 7_616), ("Qwen/Qwen3-4B", 4_022), ("Llama-3.1-8B-Instruct", 8_030),
        ("Qwen2-VL-7B-Instruct", 8_291), ("Gemma-2-9B-Instruct", 9_242), ("Mistral-7B-Instruct-v0.3", 7_248),
        ("Qwen3-30B-A3B-Instruct-2507", 30_532), ("Phi-3-4B-4k-Instruct", 3_821), ("SmolLM2-135M", 135),
    ],
)  # fmt: skip
def test_sizes_that_makers_name(name: str, millions: int) -> None:
    found = model.sizes_of(name, "huggingface")
    assert found is not None
    assert round(total(found.layout) / 1e6) == pytest.approx(millions, abs=1)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"hidden_size": "wide"}', '{"hidden_size": 8, "vocab_size": 9}']
)
def test_a_config_that_says_nothing_is_unknown(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert model.sizes_of(str(tmp_path), "huggingface") is None
    assert model.sizes_of("nobody/knows-this", "huggingface") is None
