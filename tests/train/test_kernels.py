"""Kernels and number formats: what is installed is used and said, and what is asked for in 32 bits is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

from tests.train import tiny
from tests.train.conftest import Configure
from trainer import device
from trainer.events import Note
from trainer.model.load import PRECISIONS, load_model
from trainer.train import kernels
from trainer.train.kernels import attention_note, choose_attention, fused
from trainer.train.prepare import prepare_model


def test_attention_is_resolved_to_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    bf16 = PRECISIONS["bf16"]
    assert [choose_attention(each, bf16).name for each in ("disabled", "sdpa")] == ["eager", "sdpa"]
    monkeypatch.setattr(device, "is_accelerated", lambda: False)
    assert choose_attention("auto", bf16).name == "sdpa"
    for choice in ("fa2", "fa3"):
        found = choose_attention(choice, bf16)
        assert (found.name, [note.level for note in found.notes]) == ("sdpa", ["warning"])
        assert choice in found.notes[0].text and "no GPU" in found.notes[0].text
    monkeypatch.setattr(device, "is_accelerated", lambda: True)
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda _: None)
    assert "flash_attn is not installed" in choose_attention("fa2", bf16).notes[0].text
    assert choose_attention("auto", bf16).name == "sdpa"
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: name)
    assert [choose_attention(each, bf16).name for each in ("auto", "fa2", "fa3")] == [
        "flash_attention_2", "flash_attention_2", "flash_attention_3",
    ]  # fmt: skip
    assert "16 bits" in choose_attention("fa2", PRECISIONS["fp32"]).notes[0].text


def test_a_family_without_flash_attention_takes_what_it_knows(
    model_folder: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Qwen2ForCausalLM

    monkeypatch.setattr(Qwen2ForCausalLM, "_supports_flash_attn", False)
    model = load_model(model_folder, torch.bfloat16, attention="flash_attention_2")
    assert attention_note(model).values["name"] == "sdpa"
    said = prepare_model(configure(flash_attn="disabled"), model_folder, PRECISIONS["fp32"]).notes
    assert [note.values["name"] for note in said if note.code == "attention_used"] == ["eager"]


def test_a_file_that_wants_flash_attention_and_liger_runs_and_says_so(configure: Configure) -> None:
    """On a machine with neither: the same curve, and a sentence for each."""
    if device.is_accelerated():
        pytest.fail("run the tests of the CPU without a GPU: CUDA_VISIBLE_DEVICES=''")
    plain = tiny.train(configure("plain"))
    asked = tiny.train(configure("asked", flash_attn="fa2", enable_liger_kernel=True))
    assert asked.losses == plain.losses
    said = {each.code: each.text for each in asked.of(Note)}
    assert "fa2" in said["attention_instead"] and "sdpa" in said["attention_used"]
    assert "GPU" in said["liger_without_effect"]
    assert {each.code: each.text for each in plain.of(Note)}[
        "attention_used"
    ] == "Attention is computed by sdpa."


def test_ligers_kernels_reach_a_model_and_leave_its_loss_and_other_models_alone(
    model_folder: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only their places are looked at: they run on a GPU."""
    pytest.importorskip("liger_kernel")
    from transformers.models.qwen2 import modeling_qwen2

    monkeypatch.setattr(device, "is_accelerated", lambda: True)
    monkeypatch.setattr(device, "current", lambda: torch.device("cpu"))
    before = {**vars(modeling_qwen2)}, {**vars(modeling_qwen2.Qwen2ForCausalLM)}
    model = prepare_model(configure(), model_folder, PRECISIONS["fp32"]).model
    base = model.get_base_model()
    told: list[Note] = []
    with fused(model, True, told.append):
        assert [note.code for note in told] == ["liger_used"]
        assert "Liger" in type(base.model.norm).__name__ or "liger" in base.model.norm.forward.__module__
        assert "liger" in modeling_qwen2.apply_rotary_pos_emb.__module__
        assert modeling_qwen2.Qwen2ForCausalLM.forward is before[1]["forward"]
        assert "liger" not in getattr(base.forward, "__module__", "")
    after = {**vars(modeling_qwen2)}, {**vars(modeling_qwen2.Qwen2ForCausalLM)}
    for once, now in zip(before, after, strict=True):
        assert [name for name, value in once.items() if now[name] is not value] == []
    base.config.model_type = "somethingnew"
    with fused(model, True, told.append):
        assert told[-1].code == "liger_without_effect" and "somethingnew" in told[-1].text
    with fused(model, False, told.append):
        assert len(told) == 2
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda _: None)
    with fused(model, True, told.append):
        assert "not installed" in told[-1].text


@pytest.mark.parametrize("compute_type", ["pure_bf16", pytest.param("bf16", marks=pytest.mark.slow)])
def test_norms_and_logits_in_32_bits(configure: Configure, tmp_path: Path, compute_type: str) -> None:
    config = LlamaConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=2, pad_token_id=0, bos_token_id=None, initializer_range=0.2,
    )  # fmt: skip
    folder = tiny.save_model(tmp_path / "model", config)
    options: dict[str, Any] = {"model_name_or_path": str(folder), "compute_type": compute_type}
    wide = {"upcast_layernorm": True, "upcast_lmhead_output": True}
    prepared = prepare_model(configure(**options, **wide), folder, PRECISIONS[compute_type])
    base = prepared.model.get_base_model()
    norms = {name for name, each in base.named_parameters() if each.ndim == 1}
    assert len(norms) == 5
    frozen = [(name, each) for name, each in base.named_parameters() if "lora_" not in name]
    assert {name for name, each in frozen if each.dtype == torch.float32} == norms
    with torch.no_grad():
        assert base(torch.arange(9)[None]).logits.dtype == torch.float32
    run = tiny.train(configure("wide", **options, **wide))
    plain = tiny.train(configure("plain", **options))
    assert "norms_in_fp32" in run.codes
    assert run.losses[1] == pytest.approx(plain.losses[1], rel=2e-2)


def test_pure_bf16_holds_weights_and_moments_in_16_bits(configure: Configure, model_folder: Path) -> None:
    options = {"compute_type": "pure_bf16", "finetuning_type": "full", "max_steps": 4, "save_steps": 4}
    run = tiny.train(configure(**options))
    assert {each.dtype for each in load_file(run.folder / "model.safetensors").values()} == {torch.bfloat16}
    state = torch.load(run.folder / "checkpoint-4" / "optimizer.pt", weights_only=True)["state"]
    assert {each[name].dtype for each in state.values() for name in ("exp_avg", "exp_avg_sq")} == {
        torch.bfloat16
    }
    assert run.losses[4] < run.losses[1]
    adapter = tiny.train(configure("adapter", compute_type="pure_bf16"))
    assert {each.dtype for each in tiny.adapter(adapter.folder).values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "method", ["freeze", *(pytest.param(each, marks=pytest.mark.slow) for each in ("lora", "full"))]
)
def test_activations_are_computed_twice_with_the_same_result(configure: Configure, method: str) -> None:
    """With equal losses, and with far less kept for the backward pass: counted, not measured."""
    kept: dict[str, int] = {}

    def count(run: str) -> Any:
        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept[run] = kept.get(run, 0) + tensor.numel()
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)

    losses = {}
    ways: dict[str, dict[str, Any]] = {
        "off": {"gradient_checkpointing": "off"}, "on": {"gradient_checkpointing": "on"},
        "reentrant": {
            "gradient_checkpointing": "on", "gradient_checkpointing_kwargs": {"use_reentrant": True},
        },
        "theirs": {"disable_gradient_checkpointing": True, "use_reentrant_gc": True},
    }  # fmt: skip
    for name, options in ways.items():
        with count(name):
            losses[name] = tiny.train(
                configure(name, finetuning_type=method, freeze_trainable_layers=1, max_steps=3, **options)
            ).losses
    for found in losses.values():
        assert found == pytest.approx(losses["off"], rel=1e-6)
    assert kept["on"] < 0.5 * kept["off"]
