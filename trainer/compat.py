"""LLaMA-Factory's words for what this program says otherwise: renamed, harmless, or refused with the reason.

Nothing that changes training is ignored: a harmless option has no bearing on the numbers, and a refused one is harmless
only with the value that switches it off. Source: the option tables of LLaMA-Factory 0.9.6 (snapshot of August 2026).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

EVALUATES = ("do_predict", "do_eval")
# Any of these, without a word of data or training, makes a file one of export.
EXPORTS = ("export_dir", "export_format", "export_hub_model_id")
TRAINS = ("do_train", *EVALUATES, "dataset", "eval_dataset", "tokenized_path")
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


def is_true(value: Any) -> bool:
    return value is True or str(value).strip().lower() in TRUE


def is_off(value: Any) -> bool:
    """Whether a value switches an option off: false, nothing, zero."""
    return value in (None, False, 0, "", [], ()) or str(value).strip().lower() in (
        *FALSE,
        "none",
        "null",
        "0.0",
    )


# Options of LLaMA-Factory that decide only how fast, or with what comfort, the same thing is done.
HARMLESS = frozenset({
    "use_fast_tokenizer", "low_cpu_mem_usage", "print_param_status", "preprocessing_batch_size", "cache_dir",
    "data_shared_file_system", "offload_folder", "use_kv_cache", "use_cache",
    "ddp_find_unused_parameters", "save_safetensors", "infer_backend",
    "use_reentrant_gc", "remove_unused_columns",
    "include_tokens_per_second", "include_effective_tokens_per_second",
    "logging_dir",
    "trackio_space_id", "hub_private_repo", "swanlab_project", "swanlab_run_name", "swanlab_workspace",
    "badam_mode",
    "badam_switch_mode", "badam_switch_interval", "badam_update_ratio",
    "pref_beta", "pref_ftx", "pref_loss", "ref_model", "simpo_gamma", "dpo_label_smoothing",
    "predict_with_generate", "ray_run_name", "ray_num_workers",
    "top_k", "num_beams", "repetition_penalty", "length_penalty", "skip_special_tokens",
    # Said by files that train in bf16 without a GPU; the device is chosen here by what the machine has.
    "use_cpu",
    # Calibration of GPTQ, which is refused where it is asked for.
    "export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen",
    "resources_per_worker", "placement_strategy", "asft_alpha", "eaft_alpha",
})  # fmt: skip


class Refusal(NamedTuple):
    """Why an option cannot be used, what to do instead, and whether a value means the same as leaving it out."""

    reason: str
    way: str
    harmless: Callable[[Any], bool] = is_off


_NOT_YET = "this program does not do it yet."
_LEAVE = "Leave it out, or train this file with the program it was written for."


def _not_yet(*names: str) -> dict[str, Refusal]:
    return {name: Refusal(_NOT_YET, _LEAVE) for name in names}


REFUSED: dict[str, Refusal] = {
    **_not_yet(
        "use_badam", "use_adam_mini", "use_asft_loss", "use_eaft_loss",
            "shift_attn", "mixture_of_depths", "use_unsloth", "use_unsloth_gc",
        "use_swanlab",
        "split_special_tokens", "tool_format",
        "compute_accuracy", "fp8", "adapter_folder",
        "use_v1_kernels", "use_mca", "use_megatron_bridge", "use_hyper_parallel", "reward_model",
        "eval_num_beams",
    ),
    "ignore_pad_token_for_loss": Refusal(
        "padding is never trained here.", "Leave it out.", lambda value: value is None or is_true(value)
    ),
    "model_revision": Refusal(_NOT_YET, "Use main.", lambda value: str(value) in ("main", "None", "")),
    "hf_hub_token": Refusal(
        "a secret does not belong in a file of settings.", "Put it into the environment variable HF_TOKEN."
    ),
    "ms_hub_token": Refusal(
        "a secret does not belong in a file of settings.", "Put it into the environment variable MODELSCOPE_API_TOKEN."
    ),
    "om_hub_token": Refusal("this hub is not supported.", "Download the model and give its folder."),
    "swanlab_api_key": Refusal("a secret does not belong in a file of settings.", "Leave it out."),
    "export_legacy_format": Refusal(
        "files in pickle can run code when they are loaded; only safetensors are written.", "Leave it out."
    ),
    "export_quantization_bit": Refusal(
        "it means GPTQ, which this program does not make.",
        "Use export_format: gguf with gguf_type: q4_0 or q8_0, or export_format: quantized.",
    ),
}  # fmt: skip


def _compute_type(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {"compute_type": name} if is_true(value) else {}


def _either(value: Any) -> dict[str, Any]:
    """transformers' own name for the switch takes true and false, ours also auto."""
    word = str(value).strip().lower()
    if word in ("auto", "on", "off"):
        return {"gradient_checkpointing": word}
    return {"gradient_checkpointing": "on" if is_true(value) else "off"}


def _as_text(name: str) -> Callable[[Any], dict[str, Any]]:
    """A mapping inside a file of settings, as the JSON text that an option holds."""
    return lambda value: {name: json.dumps(value) if isinstance(value, Mapping) else value}


def _fsdp(value: Any) -> dict[str, Any]:
    """transformers takes a list or words with spaces; wrapping by layers is what is done in any case."""
    if is_off(value):
        return {"fsdp": "none"}
    said = value if isinstance(value, (list, tuple)) else str(value).lower().split()
    words = {str(each).lower() for each in said} - {"auto_wrap"}
    offload = {"fsdp_offload": True} if "offload" in words else {}
    strategy = words - {"offload", *TRUE}
    if len(strategy) > 1 or strategy - {"full_shard", "shard_grad_op"}:
        return {"fsdp": " ".join(sorted(strategy))}
    return {"fsdp": next(iter(strategy), "full_shard"), **offload}


# A name of LLaMA-Factory or transformers -> what it says in our words. An empty mapping: it says nothing.
RENAMED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "bf16": _compute_type("bf16"),
    "fp16": _compute_type("fp16"),
    "pure_bf16": _compute_type("pure_bf16"),
    "disable_gradient_checkpointing": lambda value: (
        {"gradient_checkpointing": "off"} if is_true(value) else {}
    ),
    "gradient_checkpointing": _either,
    "deepspeed": _as_text("deepspeed"),
    "fsdp_config": _as_text("fsdp_config"),
    "fsdp": _fsdp,
    "neat_packing": lambda value: {"packing": True} if is_true(value) else {},
    "evaluation_strategy": lambda value: {"eval_strategy": value},
    "do_sample": lambda value: {} if is_true(value) else {"temperature": 0.0},
}


# Arguments of SFTConfig that one of our options decides.
OWN = {
    "max_length": "cutoff_len",
    "max_seq_length": "cutoff_len",
    "assistant_only_loss": "train_on_prompt",
    "completion_only_loss": "train_on_prompt",
    "padding_free": "packing",
    "packing_strategy": "packing",
    "model_init_kwargs": "model_name_or_path",
    "chat_template_path": "template",
    "dataset_num_proc": "preprocessing_num_workers",
    "peft_config": "finetuning_type",
}


def settle(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Words that decide about another option, so that the two never contradict each other.

    `neat_packing` switches packing on whatever `packing` itself says, and a file that asks for an evaluation trains
    only when it says so. A file that says where to export, and nothing of training, is one of export.
    """
    found = dict(mapping)
    exports = any(found.get(name) for name in EXPORTS)
    if exports and "do_export" not in found and not any(found.get(name) for name in TRAINS):
        found["do_export"] = True
    if is_true(found.get("neat_packing")):
        found["packing"] = True
    if "do_train" not in found and any(is_true(found.get(name)) for name in EVALUATES):
        found["do_train"] = False
    return found


def translate(name: str, value: Any) -> dict[str, Any] | None:
    """What `name: value` says in our words, or None when it is no word of theirs that we say otherwise."""
    rename = RENAMED.get(name)
    return None if rename is None else rename(value)


def refusal(name: str, value: Any) -> Refusal | None:
    """Why `name: value` cannot be used, or None when it can be or has no effect."""
    found = REFUSED.get(name)
    return None if found is None or found.harmless(value) else found


def is_harmless(name: str) -> bool:
    """Whether `name` is accepted without effect (a refused one with a value that switches it off included)."""
    return name in HARMLESS or name in REFUSED
