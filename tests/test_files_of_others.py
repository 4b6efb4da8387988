"""Files written for LLaMA-Factory: every word of each is accounted for, and every name there is has been decided upon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer import compat
from trainer.compat_words import HARMLESS_WHY, REFUSED_VALUES
from trainer.config import Reading, RunConfig, read_file, read_settings, training_arguments
from trainer.errors import UserErrors
from trainer.flags import read_flags
from trainer.options import options

HERE = Path(__file__).parent / "files"
FILES = sorted((HERE / "yaml").glob("*.yaml"))
NAMES = [
    name
    for line in (HERE / "names.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for name in line.split()
]


def fate(name: str) -> str:
    """What becomes of a name, whatever its value."""
    if name in options():
        return "option"
    for fate, known in (
        ("renamed", compat.RENAMED),
        ("refused", compat.REFUSED),
        ("harmless", compat.HARMLESS),
        ("own", compat.OWN),
        ("argument", training_arguments()),
    ):
        if name in known:
            return fate
    return "unknown"


def test_the_list_of_names_is_whole() -> None:
    assert len(NAMES) == len(set(NAMES)) > 400


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_unknown(name: str) -> None:
    assert fate(name) != "unknown"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_read_is_never_lost(name: str) -> None:
    """Whatever its value, a name is in the settings, an argument, in a note, or a problem."""
    for value in (True, False, 3, "a_word", None):
        found = read_settings({name: value})
        told = name in found.harmless or any(each[0] == name for each in found.renamed)
        told |= name in options() or name in found.config.extra
        told |= any(problem.field == name or name in problem.text for problem in found.problems)
        assert told, value


def test_a_word_has_one_fate() -> None:
    refused, harmless, own = set(compat.REFUSED), compat.HARMLESS, set(compat.OWN)
    assert not refused & harmless and not own & (refused | harmless)
    assert not set(options()) & (refused | harmless | own)
    assert set(REFUSED_VALUES) <= set(options())
    assert set(compat.SPELLED) <= set(options())
    # A detail belongs to a word that is known itself, or to the environment.
    for why in set(HARMLESS_WHY.values()):
        assert why.isupper() or why in ("speed", "device", "files", "report", "measures", "settled") or (
            fate(why) != "unknown"
        )  # fmt: skip


def test_what_changes_training_is_never_ignored() -> None:
    """Arguments of transformers and TRL that reach the optimiser, the rows or the model."""
    for name in (
        "adam_beta1", "adam_beta2", "adam_epsilon", "label_smoothing_factor", "lr_scheduler_kwargs", "optim_args",
        "optim_target_modules", "data_seed", "full_determinism", "dataloader_drop_last", "torch_compile", "tf32",
        "use_badam", "use_adam_mini", "use_asft_loss", "use_eaft_loss", "shift_attn", "mixture_of_depths", "fp8",
        "split_special_tokens", "tool_format", "model_revision", "adapter_folder", "crop_to_patches", "stage",
        "tensor_model_parallel_size", "context_parallel_size", "image_do_pan_and_scan", "use_audio_in_video",
        "use_unsloth", "use_kt", "use_mca", "use_megatron_bridge", "use_hyper_parallel", "ignore_data_skip",
    ):  # fmt: skip
        assert name not in compat.HARMLESS, name


ON = {
    "use_badam": True, "use_adam_mini": True, "use_asft_loss": True, "use_eaft_loss": True, "shift_attn": True,
    "mixture_of_depths": "convert", "use_unsloth": True, "split_special_tokens": True, "tool_format": "qwen",
    "compute_accuracy": True, "fp8": True, "adapter_folder": "a", "use_v1_kernels": True, "use_mca": True, "use_kt": True,
    "use_megatron_bridge": True, "use_hyper_parallel": True, "model_revision": "v2", "quantization_device_map": "auto",
    "save_safetensors": False, "ignore_pad_token_for_loss": False, "push_to_hub": True, "image_do_pan_and_scan": True,
    "crop_to_patches": True, "use_audio_in_video": True, "enable_torch_profiler": True, "profile_modules": "mlp",
    "tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 4, "sequence_parallel": True, "task": "mmlu_test",
    "master_addr": "10.0.0.1", "hf_hub_token": "x", "ms_hub_token": "x", "om_hub_token": "x", "swanlab_api_key": "x",
    "device_map": "auto", "ignore_data_skip": True, "bf16_full_eval": True, "sortish_sampler": True,
    "parallelism_config": {"a": 1}, "export_quantization_bit": 4, "export_legacy_format": True,
}  # fmt: skip


@pytest.mark.parametrize("name", ON)
def test_what_is_refused_says_why_and_what_to_do(name: str) -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat({name: ON[name]})
    (problem,) = caught.value.problems
    assert problem.code == "option_refused" and problem.field == name
    assert len(problem.values["reason"]) > 10 and problem.hint.endswith(".")  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [None, "null", "none"])
def test_a_third_answer_to_a_question_of_two_is_refused(said: str | None) -> None:
    (problem,) = read_settings({"enable_thinking": said}).problems
    assert problem.code == "option_refused" and problem.field == "enable_thinking"


@pytest.mark.parametrize("stage", ["dpo", "rm", "ppo", "kto"])
def test_other_stages_are_not_there_yet(stage: str) -> None:
    (problem,) = read_settings({"stage": stage, "pref_beta": 0.1}).problems
    assert "yet" in problem.text and "sft" in problem.hint


# Values as people write them.


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ({"report_to": "none"}, {"report_to": ("none",)}),
        ({"report_to": None}, {"report_to": ("none",)}),
        ({"report_to": "all"}, {"report_to": ("all",)}),
        ({"report_to": ["wandb", "tensorboard"]}, {"report_to": ("wandb", "tensorboard")}),
        ({"report_to": "Wandb, none"}, {"report_to": ("wandb",)}),
        ({"report_to": "none", "use_swanlab": True}, {"report_to": ("swanlab",)}),
        ({"use_swanlab": "true", "swanlab_project": "p"}, {"report_to": ("swanlab",), "project": "p"}),
        ({"lora_target": ["q_proj", "v_proj"]}, {"lora_target": ("q_proj", "v_proj")}),
        ({"lora_target": "q_proj, v_proj"}, {"lora_target": ("q_proj", "v_proj")}),
        (
            {"quantization_method": "bitsandbytes", "quantization_bit": 4},
            {"quantization_method": "bnb", "quantization_bit": "4"},
        ),
        ({"flash_attn": "flash_attention_2"}, {"flash_attn": "fa2"}),
        ({"flash_attn": False}, {"flash_attn": "disabled"}),
        ({"deepspeed": {"a": 1}}, {"deepspeed": '{"a": 1}'}),
        ({"deepspeed": "ds.json"}, {"deepspeed": "ds.json"}),
        ({"deepspeed": None}, {"deepspeed": ""}),
        ({"fsdp": "full_shard auto_wrap"}, {"fsdp": "full_shard", "fsdp_offload": False}),
        ({"fsdp": ["shard_grad_op", "offload"]}, {"fsdp": "shard_grad_op", "fsdp_offload": True}),
        ({"fsdp": True}, {"fsdp": "full_shard"}),
        ({"fsdp": ""}, {"fsdp": "none"}),
        ({"fsdp": False}, {"fsdp": "none"}),
        ({"fsdp": "full_shard", "fsdp_config": {"version": 2}}, {"fsdp_config": '{"version": 2}'}),
        ({"freeze_trainable_modules": "all"}, {"freeze_trainable_modules": ("all",)}),
        ({"learning_rate": "1.0e-4"}, {"learning_rate": 1e-4}),
        ({"bf16": True, "pure_bf16": True}, {"compute_type": "pure_bf16"}),
        ({"bf16": "true", "fp16": False}, {"compute_type": "bf16"}),
        ({"eval_strategy": "steps", "evaluation_strategy": "steps", "val_size": 5}, {"eval_strategy": "steps"}),
        ({"eval_strategy": False}, {"eval_strategy": "no"}),
        ({"stage": "pt"}, {"packing": True}),
        ({"stage": "pt", "packing": False}, {"packing": False}),
        ({"stage": "sft"}, {"packing": False}),
        ({"image_max_pixels": "1280*28*28"}, {"image_max_pixels": 1280 * 28 * 28}),
        ({"save_total_limit": 0}, {"save_total_limit": None}),
        ({"quantization_bit": 4.0}, {"quantization_bit": "4"}),
        ({"devices": 0}, {"devices": ("0",)}),
        ({"resume_from_checkpoint": False}, {"resume_from_checkpoint": ""}),
        ({"do_sample": False, "temperature": 0.95}, {"temperature": 0.0}),
        ({"do_sample": True}, {"temperature": 0.95}),
        ({"do_sample": True, "temperature": 0.3}, {"temperature": 0.3}),
        ({"use_unsloth_gc": True}, {"gradient_checkpointing": "on"}),
        ({"use_liger_kernel": True}, {"enable_liger_kernel": True}),
        ({"loss_type": "dft"}, {"use_dft_loss": True}),
        ({"oft_rank": 8, "finetuning_type": "oft"}, {"oft_block_size": 0}),
        ({"do_eval": True, "predict_with_generate": True}, {"do_predict": True}),
        ({"num_layer_trainable": 3}, {"freeze_trainable_layers": 3}),
        ({"include_num_input_tokens_seen": "all"}, {"include_num_input_tokens_seen": True}),
    ],
)  # fmt: skip
def test_values_as_people_write_them(written: dict[str, Any], means: dict[str, Any]) -> None:
    config = RunConfig.from_flat(written)
    assert {name: getattr(getattr(config, options()[name].section), name) for name in means} == means
    assert RunConfig.from_flat(config.to_flat()) == config


def test_words_that_no_option_has_are_passed_on() -> None:
    given = {"group_by_length": True, "save_strategy": False, "adam_beta2": "0.98"}
    config = RunConfig.from_flat(
        {**given, "lr_scheduler_kwargs": '{"min_lr": 1e-6}', "logging_strategy": "no"}
    )
    assert dict(config.extra) == {
        "lr_scheduler_kwargs": {"min_lr": 1e-6}, "logging_strategy": "no",
        "train_sampling_strategy": "group_by_length", "save_strategy": "no", "adam_beta2": 0.98
    }  # fmt: skip


def test_what_draws_answers_counts_only_where_some_are_drawn() -> None:
    drawn = {"top_k": 50, "num_beams": 4, "repetition_penalty": 1.2, "skip_special_tokens": False}
    assert not read_settings({**drawn, "dataset": "a"}).problems
    answered = {**drawn, "do_predict": True, "eval_dataset": "a"}
    found = read_settings({**answered, "temperature": 0.9}).problems
    assert {problem.field for problem in found} == set(drawn)
    # The likeliest token is the likeliest of fifty, too.
    assert "top_k" not in {problem.field for problem in read_settings(answered).problems}


# Whole files. Of each: what its words come to, beside those that are options by themselves.

MEANS: dict[str, dict[str, Any]] = {
    "qwen2vl_full_zero3_offload": {
        "finetuning_type": "full", "deepspeed": "examples/deepspeed/ds_z3_offload_config.json", "flash_attn": "fa2",
        "load_best_model_at_end": True, "compute_type": "bf16", "val_size": 0.1, "video_max_pixels": 16384,
    },
    "lora_sft": {"lora_target": ("all",), "compute_type": "bf16", "warmup_ratio": 0.1},
    "qlora_bnb": {
        "quantization_method": "bnb", "quantization_bit": "4", "quantization_type": "nf4", "double_quantization": True,
        "optim": "paged_adamw_8bit", "lora_target": ("q_proj", "v_proj"),
    },
    "freeze": {"freeze_trainable_layers": 8, "freeze_extra_modules": ("embed_tokens", "norm")},
    "llama_pro": {"use_llama_pro": True, "freeze_trainable_modules": ("all",)},
    "galore": {"use_galore": True, "galore_target": ("mlp", "self_attn"), "compute_type": "pure_bf16"},
    "apollo": {"use_apollo": True, "apollo_rank": 128, "apollo_scale": 32.0},
    "pissa": {"pissa_init": True, "pissa_convert": True},
    "dora_loraplus": {
        "use_dora": True, "use_rslora": True, "loraplus_lr_ratio": 16.0, "packing": True, "use_dft_loss": True,
        "additional_target": ("embed_tokens", "lm_head"), "interleave_probs": ("0.7", "0.3"),
    },
    "pretrain": {"stage": "pt", "packing": True, "template": ""},
    "predict": {"do_train": False, "do_predict": True, "temperature": 0.0, "max_new_tokens": 128},
    "ray_fsdp_swanlab": {
        "fsdp": "full_shard", "fsdp_offload": True, "report_to": ("wandb", "tensorboard", "swanlab"),
        "project": "workshop", "model_name_or_path": "meta-llama/Meta-Llama-3-8B-Instruct",
    },
    "deepspeed_inline": {"rope_scaling": "yarn", "enable_liger_kernel": True, "eval_strategy": "epoch"},
    "thinking_tokens": {
        "add_special_tokens": ("<plan>", "</plan>"), "resize_vocab": True, "early_stopping_steps": 5,
        "enable_thinking": False, "mask_history": True,
    },
    "oft_badam_off": {"finetuning_type": "oft", "oft_rank": 8, "oft_block_size": 0, "module_dropout": 0.05},
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "qwen2vl_full_zero3_offload": {
        "dataloader_num_workers": 4, "metric_for_best_model": "eval_loss", "greater_is_better": False
    },
    "ray_fsdp_swanlab": {"dataloader_num_workers": 4, "save_only_model": False, "run_name": "try-7"},
    "deepspeed_inline": {
        "dataloader_num_workers": 4, "save_only_model": False, "save_strategy": "epoch",
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
    },
}  # fmt: skip


def read(path: Path) -> Reading:
    return read_settings(read_flags([str(path)]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_word_of_a_file_is_accounted_for(path: Path) -> None:
    found = read(path)
    told = {*found.harmless, *(name.partition(":")[0] for name, _, _ in found.renamed)}
    told |= {*options(), *found.config.extra, *(problem.field for problem in found.problems)}
    assert not set(read_file(path)) - told


@pytest.mark.parametrize("name", MEANS)
def test_a_file_means_the_same_here(name: str) -> None:
    found = read(HERE / "yaml" / f"{name}.yaml")
    assert not found.problems
    config = found.config
    assert {each: getattr(getattr(config, options()[each].section), each) for each in MEANS[name]} == MEANS[
        name
    ]
    assert ARGUMENTS.get(name, dict(config.extra)) == dict(config.extra)
    # And its own record of settings means the same again.
    assert RunConfig.from_flat(config.to_flat()) == config


def test_all_files_are_looked_at() -> None:
    assert {path.stem for path in FILES} == {*MEANS, "refused"} and len(FILES) >= 15


def test_a_file_that_cannot_be_run_says_so_of_every_word() -> None:
    found = {problem.field: problem.code for problem in read(HERE / "yaml" / "refused.yaml").problems}
    refused = (
        "stage", "use_unsloth", "use_badam", "shift_attn", "mixture_of_depths", "tool_format", "fp8", "report_to",
        "save_safetensors", "compute_accuracy", "quantization_device_map", "hf_hub_token", "tensor_model_parallel_size",
    )  # fmt: skip
    assert found == {
        **dict.fromkeys(refused, "option_refused"), "max_length": "option_extra_own",
        "learning_rat": "option_unknown", "quantization_bit": "bits_unheld",
    }  # fmt: skip
