"""Methods and engines that exclude each other: each pair has its sentence, and its good neighbour has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.config import RunConfig
from trainer.errors import UserErrors

FULL = {"finetuning_type": "full"}
FOUR = {"quantization_bit": 4}
ZERO3 = '{"zero_optimization": {"stage": 3}}'

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({**FOUR, **FULL}, "quantized_method", "quantization_bit"),
    ({**FOUR, "pissa_init": True}, "quantized_with", "pissa_init"),
    ({**FOUR, "create_new_adapter": True, "adapter_name_or_path": "a"}, "quantized_with", "create_new_adapter"),
    ({**FOUR, "adapter_name_or_path": "a,b"}, "quantized_adapters", "adapter_name_or_path"),
    ({"quantization_bit": 3}, "bits_unheld", "quantization_bit"),
    ({"quantization_bit": 4, "quantization_method": "eetq"}, "bits_unheld", "quantization_bit"),
    ({**FULL, "loraplus_lr_ratio": 4}, "only_with_lora", "loraplus_lr_ratio"),
    ({**FULL, "use_rslora": True}, "only_with_lora", "use_rslora"),
    ({"finetuning_type": "oft", "use_dora": True}, "only_with_lora", "use_dora"),
    ({"finetuning_type": "freeze", "pissa_init": True}, "only_with_lora", "pissa_init"),
    ({**FULL, "use_llama_pro": True}, "expanded_method", "use_llama_pro"),
    ({"finetuning_type": "freeze", "freeze_trainable_layers": 0}, "freeze_nothing", "freeze_trainable_layers"),
    ({"finetuning_type": "oft", "oft_rank": 4, "oft_block_size": 4}, "oft_size", "oft_block_size"),
    ({"ds_stage": "2", "fsdp": "full_shard"}, "engines_two", "fsdp"),
    ({"ds_stage": "2", "deepspeed": "x.json"}, "option_twice", "deepspeed"),
    ({"deepspeed": "examples/deepspeed/ds_z3_config.json", "pissa_init": True}, "zero3_with", "pissa_init"),
    ({"ds_stage": "3", "pissa_init": True}, "zero3_with", "pissa_init"),
    ({"ds_stage": "3", "quantization_bit": 4}, "zero3_with", "quantization_bit"),
    ({"fsdp": "full_shard", "pissa_init": True}, "engine_excludes", "pissa_init"),
    ({"deepspeed": ZERO3, "pure_bf16": True}, "zero3_with", "compute_type"),
    ({"ds_stage": "3", "do_train": True, "do_predict": True, "val_size": 0.1}, "zero3_with", "do_predict"),
    ({"ds_stage": "3", "adapter_name_or_path": "a", "create_new_adapter": True}, "zero3_with", "create_new_adapter"),
    (
        {"fsdp": "full_shard", "load_best_model_at_end": True, "save_only_model": True, "val_size": 0.1, "eval_strategy": "steps"},
        "engine_excludes", "load_best_model_at_end",
    ),
    ({"ds_stage": "3", "adapter_name_or_path": "a,b"}, "sharded_adapters", "adapter_name_or_path"),
    ({"report_to": "wandbb"}, "report_unknown", "report_to"),
    ({"metric_for_best_model": "rouge-1"}, "best_metric", "metric_for_best_model"),
]  # fmt: skip

RIGHT: list[dict[str, Any]] = [
    {**FOUR, "finetuning_type": "oft"},
    {**FOUR, "adapter_name_or_path": "a"},
    {"quantization_bit": 3, "quantization_method": "hqq"},
    {**FULL, "use_galore": True, "galore_layerwise": True},
    {"finetuning_type": "freeze", "use_muon": True, "gradient_accumulation_steps": 8},
    {"finetuning_type": "freeze", "freeze_trainable_layers": 0, "freeze_extra_modules": "embed_tokens"},
    {"finetuning_type": "oft", "oft_rank": 4},
    {"use_dora": True, "use_rslora": True, "loraplus_lr_ratio": 4},
    {"use_llama_pro": True},
    {"early_stopping_steps": 3, "eval_strategy": "epoch", "val_size": 0.1, "load_best_model_at_end": True},
    {"ds_stage": "2", "pissa_init": True},
    {**FULL, "ds_stage": "0", "use_muon": True},
    {"deepspeed": "not_here.json", "pure_bf16": True},
    {"metric_for_best_model": "eval_identity_loss"},
    {"lora_target": r".*\.(q|v)_proj"},
    {"lora_target": "model.layers.0.self_attn.q_proj"},
    # What an evaluation or an export says of methods is of no importance.
    {**FULL, "use_dora": True, "do_eval": True, "eval_dataset": "a"},
]


@pytest.mark.parametrize(("mapping", "code", "field"), WRONG)
def test_what_excludes_each_other_is_told(mapping: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat(mapping)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == (code, field)
    assert problem.hint


@pytest.mark.parametrize("mapping", RIGHT)
def test_its_good_neighbour_is_not(mapping: dict[str, Any]) -> None:
    RunConfig.from_flat(mapping)


def test_a_deepspeed_file_says_its_stage(tmp_path: Path) -> None:
    file = tmp_path / "ds.json"
    file.write_text(ZERO3)
    with pytest.raises(UserErrors, match="ZeRO-3"):
        RunConfig.from_flat({"deepspeed": str(file), "pissa_init": True})
    file.write_text('{"zero_optimization": {"stage": 2}}')
    RunConfig.from_flat({"deepspeed": str(file), "pissa_init": True})
