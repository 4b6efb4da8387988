"""Which layers an adapter goes to, and which adapters fit a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config

from tests.train import tiny
from trainer.errors import UserError
from trainer.model.adapter import check_adapter, choose_layers, new_adapter, old_adapter
from trainer.model.load import load_model
from trainer.options import LoraOptions

QWEN = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_model(tmp_path_factory.mktemp("adapter") / "model")


def test_all_means_every_linear_layer_but_the_head(folder: Path) -> None:
    model = load_model(folder, torch.float32)
    layers = choose_layers(model, ("all",))
    assert len(layers) == 14
    assert {name.rsplit(".", 1)[-1] for name in layers} == QWEN
    assert choose_layers(model, ("layers.1.mlp.up_proj",)) == ["model.layers.1.mlp.up_proj"]


def test_a_name_that_matches_nothing_lists_those_that_exist(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        choose_layers(load_model(folder, torch.float32), ("q_proj", "query"))
    assert caught.value.values["names"] == "query"
    assert all(name in caught.value.hint for name in QWEN)


def test_rank_and_scale(folder: Path) -> None:
    adapted = new_adapter(load_model(folder, torch.float32), LoraOptions(lora_rank=3), torch.float32)
    config = adapted.peft_config["default"]
    assert (config.r, config.lora_alpha) == (3, 6)
    assert not any(each.requires_grad for name, each in adapted.named_parameters() if "lora_" not in name)


def test_frozen_weights_and_adapter_have_their_formats(folder: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        adapted = new_adapter(load_model(folder, torch.bfloat16), LoraOptions(), dtype)
        assert {each.dtype for each in adapted.parameters() if each.requires_grad} == {dtype}
        assert {each.dtype for each in adapted.parameters() if not each.requires_grad} == {torch.bfloat16}


def test_an_adapter_of_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    saved = new_adapter(load_model(folder, torch.float32), LoraOptions(), torch.float32)
    saved.save_pretrained(tmp_path / "adapter")
    same = load_model(folder, torch.float32)
    check_adapter(same, tmp_path / "adapter")
    old_adapter(same, tmp_path / "adapter", torch.float32, trainable=True)
    wider = tiny.save_model(tmp_path / "wider", tiny.qwen(intermediate_size=96))
    other = tiny.save_model(
        tmp_path / "gpt2",
        GPT2Config(vocab_size=tiny.VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    )
    for model, reason in ((wider, "96"), (other, "no layer")):
        with pytest.raises(UserError, match=reason) as caught:
            check_adapter(load_model(model, torch.float32), tmp_path / "adapter")
        assert caught.value.code == "adapter_other_base"
        assert str(folder) in caught.value.text


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_adapter(folder: Path, tmp_path: Path, gone: str) -> None:
    model = load_model(folder, torch.float32)
    new_adapter(model, LoraOptions(), torch.float32).save_pretrained(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(UserError, match=gone) as caught:
        check_adapter(load_model(folder, torch.float32), tmp_path)
    assert caught.value.code == "adapter_missing"
