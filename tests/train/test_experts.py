"""The balance of experts: the routers of a mixture learn it, a dense model says that it has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MixtralConfig, Qwen2MoeConfig, Qwen3MoeConfig

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.events import Started

SIZE = {
    "vocab_size": tiny.VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None,
    "initializer_range": 0.2,
}  # fmt: skip
EXPERTS: dict[str, Any] = {
    "mixtral": lambda: MixtralConfig(**SIZE, num_local_experts=4, router_aux_loss_coef=0.02),
    "qwen2_moe": lambda: Qwen2MoeConfig(
        **SIZE, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=24,
        decoder_sparse_step=1,
    ),
    "qwen3_moe": lambda: Qwen3MoeConfig(
        **SIZE, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, decoder_sparse_step=1, head_dim=8
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mixtures")
    return {name: tiny.save_model(folder / name, make()) for name, make in EXPERTS.items()}


def _balance(folder: Path) -> float:
    """transformers' own figure for all rows together; 2 experts of 4, evenly used, give 2."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [
        {"role": role, "content": row[key]}
        for row in tiny.rows(24)
        for role, key in (("user", "instruction"), ("assistant", "output"))
    ]
    ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return float(model(ids, output_router_logits=True).aux_loss)


@pytest.mark.parametrize(
    "family",
    ["qwen3_moe", *(pytest.param(each, marks=pytest.mark.slow) for each in ("mixtral", "qwen2_moe"))],
)
def test_routers_learn_to_use_all_experts(
    configure: Configure, mixtures: dict[str, Path], family: str
) -> None:
    folder = mixtures[family]
    options = {
        "model_name_or_path": str(folder), "finetuning_type": "full", "max_steps": 20, "learning_rate": 0.005,
    }  # fmt: skip
    plain = tiny.train(configure("plain", **options))
    pulled = tiny.train(configure("pulled", moe_aux_loss_coef=2.0, **options))
    assert ("router_loss" in plain.codes, "router_loss" in pulled.codes) == (False, True)
    # The loss that is shown and minimised is larger by the balance, 2 times at least 2.
    assert pulled.losses[1] - plain.losses[1] == pytest.approx(2 * _balance(folder), rel=0.3)
    assert _balance(pulled.folder) < _balance(plain.folder) - 0.02
    # What is saved keeps the settings of the model that it came from.
    first, then = (json.loads((each / "config.json").read_text()) for each in (folder, pulled.folder))
    for name in ("router_aux_loss_coef", "output_router_logits"):
        assert first.get(name) == then.get(name)


@pytest.mark.slow
def test_the_balance_counts_once_in_a_step_whatever_its_parts(
    configure: Configure, mixtures: dict[str, Path]
) -> None:
    options = {"model_name_or_path": str(mixtures["mixtral"]), "max_steps": 1, "learning_rate": 1e-9}
    extra = {}
    for name, more in {
        "whole": {},
        "parts": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
        "twice": {"gradient_checkpointing": "on"},
    }.items():
        plain = tiny.train(configure(f"{name}_plain", **options, **more)).losses[1]
        extra[name] = tiny.train(configure(name, moe_aux_loss_coef=1.0, **options, **more)).losses[1] - plain
    assert extra["twice"] == pytest.approx(extra["whole"], rel=1e-4)
    # Rows that lie together are balanced together: nearly the same, not twice as much.
    assert extra["parts"] == pytest.approx(extra["whole"], rel=0.2)


@pytest.mark.slow
def test_evaluation_measures_the_tokens_alone(configure: Configure, mixtures: dict[str, Path]) -> None:
    options = {
        "model_name_or_path": str(mixtures["qwen3_moe"]), "max_steps": 1, "learning_rate": 1e-9, "val_size": 4,
        "eval_strategy": "steps", "eval_steps": 1,
    }  # fmt: skip
    plain = tiny.train(configure("plain", **options))
    pulled = tiny.train(configure("pulled", moe_aux_loss_coef=1.0, **options))
    assert pulled.end.eval_loss == pytest.approx(plain.end.eval_loss, rel=1e-5)


def test_a_dense_model_says_that_there_is_nothing_to_balance(configure: Configure) -> None:
    plain, asked = (tiny.train(configure(name, **more)) for name, more in (("plain", {}), ("asked", {"moe_aux_loss_coef": 0.1})))  # fmt: skip
    assert asked.losses == plain.losses
    assert ("router_none" in asked.codes, "router_none" in plain.codes) == (True, False)
    off = tiny.train(configure("off", moe_aux_loss_coef=0))
    assert "router_none" not in off.codes


def test_experts_are_left_with_a_word_and_meant_by_their_earlier_names(
    configure: Configure, mixtures: dict[str, Path]
) -> None:
    options = {"model_name_or_path": str(mixtures["mixtral"]), "max_steps": 1}
    usual = tiny.train(configure("all", lora_target="all", **options))
    named = tiny.train(configure("named", lora_target="all,gate_up_proj,down_proj", **options))
    earlier = tiny.train(configure("earlier", lora_target="q_proj,w1,w2,w3", **options))
    assert [("experts_left" in each.codes) for each in (usual, named, earlier)] == [True, False, False]
    for run in (named, earlier):
        settings = json.loads((run.folder / "adapter_config.json").read_text())
        assert {each.rpartition(".")[2] for each in settings["target_parameters"]} == {
            "gate_up_proj",
            "down_proj",
        }
    assert named.of(Started)[0].trainable > 2 * usual.of(Started)[0].trainable
