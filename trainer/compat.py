"""LLaMA-Factory's words for what this program says otherwise: renamed, harmless, or refused with the reason.

Nothing that changes training is ignored: a harmless option has no bearing on the numbers, and a refused one is harmless
only with the value that switches it off. The tables are those of `compat_words`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from trainer.compat_words import (
    FALSE,
    HARMLESS,
    HARMLESS_WHY,
    MIXED,
    OWN,
    REFUSED,
    REFUSED_NOTHING,
    REFUSED_VALUES,
    TRUE,
    Refusal,
    Said,
    is_off,
    is_true,
)

__all__ = [
    "EXPORTS", "FALSE", "HARMLESS", "OWN", "REFUSED", "RENAMED", "SPELLED", "TRUE", "Refusal", "is_harmless", "is_off",
    "is_true", "refusal", "refused_value", "settle", "translate", "why_harmless",
]  # fmt: skip

EVALUATES = ("do_predict", "do_eval")
# Any of these, without a word of data or training, makes a file one of export.
EXPORTS = ("export_dir", "export_format", "export_hub_model_id")
TRAINS = ("do_train", *EVALUATES, "dataset", "eval_dataset", "tokenized_path")
# What LLaMA-Factory draws answers with where a file says no more than that they are drawn.
DRAWN = 0.95

Rename = Callable[[Any, Said], dict[str, Any]]


def _compute_type(name: str) -> Rename:
    return lambda value, said: {"compute_type": name} if is_true(value) else {}


def _bf16(value: Any, said: Said) -> dict[str, Any]:
    """Beside `pure_bf16` it says nothing more: computation and weights are in 16 bits already."""
    return {"compute_type": "bf16"} if is_true(value) and not is_true(said.get("pure_bf16")) else {}


def _either(value: Any, said: Said) -> dict[str, Any]:
    """transformers' own name for the switch takes true and false, ours also auto."""
    word = str(value).strip().lower()
    if word in ("auto", "on", "off"):
        return {"gradient_checkpointing": word}
    return {"gradient_checkpointing": "on" if is_true(value) else "off"}


def _as(name: str) -> Rename:
    return lambda value, said: {name: value}


def _when_true(**means: Any) -> Rename:
    return lambda value, said: dict(means) if is_true(value) else {}


def _sampling(value: Any, said: Said) -> dict[str, Any]:
    if not is_true(value):
        return {"temperature": 0.0}
    return {} if "temperature" in said else {"temperature": DRAWN}


def _generates(value: Any, said: Said) -> dict[str, Any]:
    """An evaluation that generates answers rows; a training is evaluated by its loss while it goes on."""
    evaluates = is_true(said.get("do_eval")) and not is_true(said.get("do_train"))
    return {"do_predict": True} if is_true(value) and evaluates else {}


def _report(value: Any, said: Said) -> dict[str, Any]:
    """LLaMA-Factory has a switch of its own for SwanLab, beside those that `report_to` names."""
    named = value.replace(" ", ",").split(",") if isinstance(value, str) else value
    if not isinstance(named, (list, tuple)):
        named = [] if is_off(named) else [str(named)]
    names = list(dict.fromkeys(str(each).strip().lower() for each in named if str(each).strip()))
    if is_true(said.get("use_swanlab")):
        names = [*(each for each in names if each not in ("none", "swanlab")), "swanlab"]
    # `all` says every one, `none` says no other.
    if len(names) > 1 and "all" not in names:
        names = [each for each in names if each != "none"]
    return {"report_to": ["all"] if "all" in names else names or ["none"]}


def _uses_swanlab(value: Any, said: Said) -> dict[str, Any]:
    return _report(said.get("report_to"), said) if is_true(value) else {}


def _swanlab(name: str) -> Rename:
    """What only SwanLab is told, where it is told anything and nothing else is said."""

    def rename(value: Any, said: Said) -> dict[str, Any]:
        told = is_true(said.get("use_swanlab")) or "swanlab" in str(said.get("report_to", "")).lower()
        return {name: value} if told and value and name not in said else {}

    return rename


def _parts(value: Any) -> list[str]:
    """`full_shard auto_wrap offload` as words; a list stays one."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    return [str(each).strip().lower() for each in words] if isinstance(words, (list, tuple)) else []


def _fsdp(value: Any, said: Said) -> dict[str, Any]:
    """transformers' words for FSDP, `full_shard auto_wrap offload`: the layers are always wrapped."""
    if isinstance(value, bool) or value is None:
        return {"fsdp": "full_shard" if value else "none"}
    if not isinstance(value, (str, list, tuple)):
        return {"fsdp": value}
    parts = _parts(value)
    kinds = [each for each in parts if each not in ("auto_wrap", "offload")]
    if len(kinds) > 1:
        return {"fsdp": value}
    kind = kinds[0] if kinds else "full_shard" if parts else "none"
    strategy = "none" if is_off(kind) or kind == "no_shard" else "full_shard" if kind in TRUE else kind
    return {"fsdp": strategy, **({"fsdp_offload": True} if "offload" in parts else {})}


def _written(name: str) -> Rename:
    """Settings of another program: those that stand in the file itself become JSON, a path stays one."""

    def rename(value: Any, said: Said) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return {name: json.dumps(value, ensure_ascii=False, default=str) if value else ""}
        return {name: "" if value in (None, False) else value}

    return rename


def _loss(value: Any, said: Said) -> dict[str, Any]:
    word = str(value).strip().lower()
    return (
        {"use_dft_loss": True}
        if word == "dft"
        else {}
        if word in ("nll", "chunked_nll", "none")
        else {"use_dft_loss": value}
    )


def _spelled(name: str, **words: Any) -> Rename:
    """An option of ours with the words that other programs have for its values."""
    return lambda value, said: {name: words.get(str(value).strip().lower(), value)}


# Values that other programs spell otherwise, which the person is told of.
SPELLED = ("flash_attn", "quantization_method", "optim", "fsdp")

# A name of LLaMA-Factory or transformers -> what it says in our words. An empty mapping: it says nothing. Our own names
# stand here for values that are written in another way elsewhere.
RENAMED: dict[str, Rename] = {
    "bf16": _bf16,
    "fp16": _compute_type("fp16"),
    "pure_bf16": _compute_type("pure_bf16"),
    "disable_gradient_checkpointing": _when_true(gradient_checkpointing="off"),
    "gradient_checkpointing": _either,
    "activation_checkpointing": _either,
    "use_unsloth_gc": _when_true(gradient_checkpointing="on"),
    "neat_packing": _when_true(packing=True),
    "sft_packing": _as("packing"),
    "evaluation_strategy": _as("eval_strategy"),
    "do_sample": _sampling,
    "predict_with_generate": _generates,
    "report_to": _report,
    "use_swanlab": _uses_swanlab,
    "swanlab_project": _swanlab("project"),
    "swanlab_run_name": _swanlab("run_name"),
    "fsdp": _fsdp,
    "fsdp_config": _written("fsdp_config"),
    "deepspeed": _written("deepspeed"),
    "use_liger_kernel": _as("enable_liger_kernel"),
    "router_aux_loss_coef": _as("moe_aux_loss_coef"),
    "loss_type": _loss,
    "group_by_length": _when_true(train_sampling_strategy="group_by_length"),
    "adafactor": _when_true(optim="adafactor"),
    "per_gpu_train_batch_size": _as("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": _as("per_device_eval_batch_size"),
    "num_layer_trainable": _as("freeze_trainable_layers"),
    "name_module_trainable": _as("freeze_trainable_modules"),
    "checkpoint_dir": _as("adapter_name_or_path"),
    "image_dir": _as("media_dir"),
    "train_mm_proj_only": _when_true(
        freeze_vision_tower=True, freeze_multi_modal_projector=False, freeze_language_model=True
    ),
    "flash_attn": _spelled(
        "flash_attn", flash_attention_2="fa2", flash_attention_3="fa3", flash_attn_2="fa2", true="fa2",
        eager="disabled", off="disabled", false="disabled",
    ),
    "quantization_method": _spelled("quantization_method", bitsandbytes="bnb"),
    "optim": _spelled("optim", adamw_hf="adamw_torch"),
    "save_total_limit": _spelled("save_total_limit", **{"0": None, "-1": None}),
    "resume_from_checkpoint": _spelled("resume_from_checkpoint", false=""),
    "include_num_input_tokens_seen": _spelled("include_num_input_tokens_seen", all=True, non_padding=True),
}  # fmt: skip


def settle(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Words that decide about another option, so that the two never contradict each other.

    `neat_packing` switches packing on whatever `packing` itself says, plain text is packed unless it says otherwise,
    answers that are not drawn have no temperature, and a file that asks for an evaluation trains only when it says so.
    A file that says where to export, and nothing of training, is one of export.
    """
    found = {str(name).strip(): value for name, value in mapping.items()}
    exports = any(found.get(name) for name in EXPORTS)
    if exports and "do_export" not in found and not any(found.get(name) for name in TRAINS):
        found["do_export"] = True
    if is_true(found.get("neat_packing")) or (
        str(found.get("stage", "")).strip().lower() == "pt" and found.get("packing") in (None, "", "null")
    ):
        found["packing"] = True
    if "do_train" not in found and any(is_true(found.get(name)) for name in EVALUATES):
        found["do_train"] = False
    if "temperature" in found and "do_sample" in found and is_off(found["do_sample"]):
        found["temperature"] = 0.0
    # The number of blocks of an OFT adapter takes the place of their size, which has a default.
    if not is_off(found.get("oft_rank")) and "oft_block_size" not in found:
        found["oft_block_size"] = 0
    return found


def translate(name: str, value: Any, said: Said | None = None) -> dict[str, Any] | None:
    """What `name: value`, in a file that says `said`, says in our words; None when it is no word of theirs that we say
    otherwise."""
    rename = RENAMED.get(name)
    return None if rename is None else rename(value, said or {})


def refusal(name: str, value: Any, said: Said | None = None) -> Refusal | None:
    """Why `name: value` cannot be used in a file that says `said`, or None when it can be or has no effect."""
    found = REFUSED.get(name)
    if found is None or found.harmless(value) or not found.matters(said or {}):
        return None
    return found


def refused_value(name: str, value: Any) -> Refusal | None:
    """Why an option of ours cannot have a value that it has elsewhere."""
    if name == MIXED and (value is None or str(value).strip().lower() in ("none", "null")):
        return REFUSED_NOTHING
    known = REFUSED_VALUES.get(name, {})
    words = value if isinstance(value, (list, tuple)) else [*str(value).replace(",", " ").split()]
    return next(
        (known[str(each).strip().lower()] for each in words if str(each).strip().lower() in known), None
    )


def is_harmless(name: str) -> bool:
    """Whether `name` is accepted without effect (a refused one with a value that switches it off included)."""
    return name in HARMLESS or name in REFUSED


def why_harmless(name: str) -> str:
    """Why a harmless word has no effect: `off` for a value that switches off what is refused, else a word for the reason
    (`speed`, `report` ...) or the name of the switch that it belongs to."""
    return HARMLESS_WHY.get(name, "off")
